"""The answers of a window, read from a real log."""

import io
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from components.monitor.quality.answers import read_answers
from components.monitor.quality.rows import read_rows
from components.shared.inference_log.layout import hour_prefix, raw_name
from components.shared.labels.joining import join
from components.shared.labels.store import Labels
from components.shared.store import Store
from tests.components.monitor.quality.conftest import DAY, MONDAY, Endpoint

HOUR = timedelta(hours=1)


def log(store: Store, table: pa.Table, *, drop: tuple[str, ...] = (), writer: str = "a") -> None:
    """Write rows hour by hour, as an endpoint does."""
    for hour in range(24 * 3):
        moment = MONDAY + hour * HOUR
        bounds = [pa.scalar(end, pa.timestamp("us", tz="UTC")) for end in (moment, moment + HOUR)]
        received = table["received"]
        inside = pa.compute.and_(pa.compute.greater_equal(received, bounds[0]), pa.compute.less(received, bounds[1]))
        rows = table.filter(inside).drop_columns(list(drop))
        if rows.num_rows:
            buffer = io.BytesIO()
            pq.write_table(rows, buffer)
            store.put_bytes(hour_prefix("demo", moment) + raw_name(moment, writer, rows.num_rows), buffer.getvalue())


def test_the_rows_of_one_version_in_a_window(store, endpoints):
    endpoint: Endpoint = endpoints("binary")[0]
    days = [endpoint.day(day, rows=240)[0] for day in range(3)]
    for table in days:
        log(store, table)
    place = days[1].column_names.index("model_version")
    other = days[1].set_column(place, days[1].schema.field(place), pa.array(["v2"] * 240))
    log(store, other, writer="b")
    start, end = MONDAY + DAY + 2 * HOUR, MONDAY + 2 * DAY
    found = read_answers(store, "demo", endpoint.schema, "v1", start=start, end=end)

    assert found.num_rows == 220
    assert set(found.column_names) == set(days[1].column_names) - {"latency_ms"}
    assert sorted(found["request_id"].to_pylist()) == sorted(days[1]["request_id"].to_pylist()[20:])
    assert read_answers(store, "demo", endpoint.schema, "v3", start=start, end=end).num_rows == 0
    some = read_answers(store, "demo", endpoint.schema, "v1", start=start, end=end, rows=100)
    assert 20 <= some.num_rows <= 100


def test_features_that_are_not_logged_are_missing_and_files_without_an_answer_are_left_out(store, endpoints):
    endpoint: Endpoint = endpoints("binary")[0]
    day, labels = endpoint.day(0, rows=240)
    log(store, day.slice(0, 120), drop=("amount",))
    log(store, day.slice(120), drop=("prediction",))
    found = read_answers(store, "demo", endpoint.schema, "v1", start=MONDAY, end=MONDAY + DAY)
    assert found.num_rows == 120
    assert "amount" not in found.column_names
    kept = Labels(store, "demo", endpoint.schema)
    kept.append(labels, source="a", arrival=MONDAY + DAY)
    rows = read_rows(join(found, kept.known_at(MONDAY + DAY), endpoint.schema).table, endpoint.schema)
    assert len(rows.targets.rows) == 120
    assert rows.unanswered == 0


def test_an_empty_window(store, endpoints):
    endpoint: Endpoint = endpoints("binary")[0]
    found = read_answers(store, "demo", endpoint.schema, "v1", start=MONDAY, end=MONDAY + DAY)
    assert found.num_rows == 0
    kept = Labels(store, "demo", endpoint.schema)
    assert read_rows(join(found, kept.known_at(MONDAY), endpoint.schema).table, endpoint.schema).table.num_rows == 0
