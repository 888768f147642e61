"""The cases of the demonstration: what is changed, when, and what is left as it was."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import Config, ProblemConfig
from components.shared.errors import DataError
from pipelines.demo.cases import CASES, find_case
from pipelines.demo.rows import Rows, make_source

KEYS = ["scheduled", "carrier", "flight", "origin"]


def flights(days: list[date], *, a_day: int = 6) -> pa.Table:
    """Flights of some days, an hour apart; the last of each day is late, the first one never arrives."""
    rows = [
        {
            "scheduled": datetime(day.year, day.month, day.day, 6 + number),
            "carrier": "UA",
            "flight": str(number),
            "origin": "EWR",
            "temp": 68.0,
            "dewp": 50.0,
            "visib": 10.0,
            "late": None if number == 0 else number == a_day - 1,
        }
        for day in days
        for number in range(a_day)
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def config(tmp_path) -> Config:
    path = tmp_path / "all.parquet"
    pq.write_table(flights([date(2013, 5, 5), date(2013, 5, 6), date(2013, 6, 30), date(2013, 7, 1)]), path)
    return Config.model_validate(
        {
            "name": "flights",
            "source": {"tables": {"all": {"path": str(path)}}},
            "problem": {"target": "late", "task": "binary", "time_column": "scheduled", "keys": KEYS},
        }
    )


def changed(config: Config, name: str, tmp_path, *, rows_a_week: int = 1000) -> pa.Table:
    _, rows = make_source(config, CASES[name], tmp_path, rows_a_week=rows_a_week)
    return pq.read_table(rows.path)


def on(table: pa.Table, month: int, day: int) -> list[dict[str, object]]:
    return [row for row in table.to_pylist() if row["scheduled"].date() == date(2013, month, day)]


def test_the_year_is_as_it_was(config, tmp_path):
    assert changed(config, "year", tmp_path).to_pylist() == pq.read_table(tmp_path / "all.parquet").to_pylist()


def test_labels_change_places_within_a_day_and_nothing_else_does(config, tmp_path):
    before, after = pq.read_table(tmp_path / "all.parquet"), changed(config, "concept", tmp_path)

    assert after.drop_columns("late").to_pylist() == before.drop_columns("late").to_pylist()
    assert [row["late"] for row in on(after, 6, 30)] == [None, False, False, False, False, True]
    assert [row["late"] for row in on(after, 7, 1)] == [None, True, False, False, False, False]


def test_the_weather_is_metric_while_the_source_is_broken(config, tmp_path):
    after = changed(config, "broken", tmp_path)

    assert {(row["temp"], row["visib"]) for row in on(after, 5, 5)} == {(68.0, 10.0)}
    (found,) = {(row["temp"], row["dewp"], row["visib"]) for row in on(after, 5, 6)}
    assert found == pytest.approx((20.0, 10.0, 16.09))
    assert {(row["temp"], row["visib"]) for row in on(after, 6, 30)} == {(68.0, 10.0)}


def test_of_each_week_a_sample_is_taken_always_the_same(config, tmp_path):
    first = changed(config, "year", tmp_path, rows_a_week=4)

    assert first.num_rows == 4 * 4
    assert first.equals(changed(config, "year", tmp_path, rows_a_week=4))


def test_rows_are_asked_about_without_what_became_of_them(config, tmp_path):
    changed(config, "year", tmp_path)
    rows = Rows(
        tmp_path / "flights.parquet", ProblemConfig(target="late", task="binary", time_column="scheduled", keys=KEYS)
    )
    found = rows.between(datetime(2013, 5, 5, tzinfo=UTC), datetime(2013, 5, 6, tzinfo=UTC))

    assert rows.requests(found)[0] == {
        "scheduled": "2013-05-05T06:00:00", "carrier": "UA", "flight": "0", "origin": "EWR"
    }  # fmt: skip
    assert rows.labels(found).column_names == [*KEYS, "label"]
    assert rows.labels(found).num_rows == 5


def test_a_case_that_there_is_not_is_told():
    with pytest.raises(DataError, match="expected one of year, concept, broken"):
        find_case("storm")
    assert find_case("").name == "year"
