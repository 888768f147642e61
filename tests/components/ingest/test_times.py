"""Moments in every type they are stored in, and numbers that count from 1970."""

import datetime as dt
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

UTC = dt.UTC
MOMENT = dt.datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("resolution", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_every_resolution_and_zone_are_read(run, tmp_path, resolution, zone):
    moments = (
        pa.array([1704067201], pa.timestamp("s")).cast(pa.timestamp(resolution)).cast(pa.timestamp(resolution, zone))
    )
    pq.write_table(pa.table({"t": moments, "x": [1]}), tmp_path / "t.parquet")
    table = run(tmp_path / "t.parquet", time_column="t", window=("2024-01-01", "2024-01-02"))
    assert table["t"].to_pylist() == [MOMENT if zone else MOMENT.replace(tzinfo=None)]
    assert run(tmp_path / "t.parquet", types={"t": "timestamp"})["t"].type == table["t"].type


def test_what_pandas_writes_for_a_time_with_zone(run, tmp_path):
    times = pd.date_range("2024-03-30", "2024-04-10", periods=100, tz="Europe/Berlin")
    pd.DataFrame({"ts": times, "x": range(100)}).to_parquet(tmp_path / "t.parquet")
    table = run(tmp_path / "t.parquet", time_column="ts")
    assert table["ts"].type == pa.timestamp("us", "UTC")
    assert table["ts"][0].as_py() == dt.datetime(2024, 3, 29, 23, tzinfo=UTC)


EPOCHS = {"s": "1704067201", "ms": "1704067201000", "us": "1704067201000000", "ns": "1704067201000000000"}


@pytest.mark.parametrize("unit", EPOCHS)
def test_numbers_that_count_from_1970(write, run, tmp_path, unit):
    settings = {"columns": {"ts": {"unit": unit}}}
    path = write("t.csv", f"ts,x\n{EPOCHS[unit]},1\nNA,2\n-{EPOCHS[unit]},3\n")
    table = run(path, time_column="ts", **settings)
    assert table["ts"].to_pylist() == [MOMENT, None, dt.datetime(1916, 1, 1, 23, 59, 59, tzinfo=UTC)]
    for values in (pa.array([int(EPOCHS[unit])]), pa.array([float(EPOCHS[unit])])):
        pq.write_table(pa.table({"ts": values}), tmp_path / "t.parquet")
        assert run(tmp_path / "t.parquet", **settings)["ts"].to_pylist() == [MOMENT]
    lines = write("t.jsonl", f'{{"ts": {EPOCHS[unit]}}}\n{{"ts": null}}\n')
    assert run(lines, **settings)["ts"].to_pylist() == [MOMENT, None]


def test_fractions_of_seconds(write, run):
    table = run(write("t.csv", "ts\n1704067201.25\n"), columns={"ts": {"unit": "s"}})
    assert table["ts"].to_pylist() == [MOMENT.replace(microsecond=250_000)]


@pytest.mark.parametrize("value", ["soon", "1e300", "99999999999999"])
def test_what_is_no_number_of_seconds_is_named(write, refuses, value):
    message = refuses(write("t.csv", f"ts\n1704067201\n{value}\n"), columns={"ts": {"unit": "s"}})
    assert f"row 2 holds '{value}', which is no timestamp in the unit 's' since 1970" in message


@pytest.mark.parametrize(
    ("value", "setting"),
    [("1704067201", "unit: s"), ("20240101", 'date_format: "%Y%m%d"'), ("2024", 'date_format: "%Y"')],
)
def test_the_remedies_for_whole_numbers_as_times_work(write, run, refuses, value, setting):
    path = write("t.csv", f"ts,x\n{value},1\n{value},2\n")
    message = refuses(path, time_column="ts")
    assert "'ts' has to be a date or timestamp, found whole numbers" in message
    found = re.search(r"\{unit: s\}|\{date_format: \"%Y%m%d\"\}", message)
    assert found
    assert setting.split(":")[0] in message
    key, _, given = setting.partition(": ")
    assert run(path, time_column="ts", columns={"ts": {key: given.strip('"')}})["ts"][0].as_py().year == 2024


def test_the_remedy_for_texts_as_times_works(write, run, refuses):
    path = write("t.csv", "ts,x\n31/12/2024,1\n30/12/2024,2\n")
    message = refuses(path, time_column="ts", window=("2024-01-01", ""))
    assert '`columns: {"ts": {date_format: "%d/%m/%Y"}}`' in message
    table = run(path, time_column="ts", window=("2024-01-01", ""), columns={"ts": {"date_format": "%d/%m/%Y"}})
    assert table["ts"][0].as_py() == dt.date(2024, 12, 31)
