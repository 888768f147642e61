"""Logged times are asked again as this version takes them, whichever version logged them."""

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.deploy.logged_requests import _read
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import parse_rows

SIX = datetime(2024, 1, 1, 6)


@pytest.mark.parametrize("logged", [pa.timestamp("s"), pa.timestamp("s", "UTC")])
@pytest.mark.parametrize(
    ("zoned", "sent"),
    [(True, "2024-01-01T06:00:00+00:00"), (False, "2024-01-01T06:00:00"), (None, "2024-01-01T06:00:00")],
)
def test_logged_times_are_sent_as_this_version_takes_them(logged, zoned, sent):
    feature = Feature(name="t", kind="timestamp", nullable=True, zoned=zoned)
    schema = Schema(task="regression", target="y", features=[feature])
    times = pa.array([SIX, None], pa.timestamp("s")).cast(logged)
    file = io.BytesIO()
    pq.write_table(pa.table({"request_id": ["a", "a"], "request_row": [0, 1], "t": times}), file)
    rows = [row for _, _, row in _read(file.getvalue(), schema, newest=10)]
    assert rows[0]["t"].removesuffix("+00:00") == sent.removesuffix("+00:00")
    assert zoned is None or rows[0]["t"] == sent
    assert rows[1]["t"] is None
    assert parse_rows(rows, schema).times[0, 0] == int(SIX.replace(tzinfo=UTC).timestamp())
