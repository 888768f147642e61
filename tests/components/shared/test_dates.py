"""Tests of timestamps as numbers, against pandas and Python's own calendar."""

from datetime import UTC, datetime
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.shared.config import DatePart
from components.shared.dates import DAY, FIRST_SECOND, DateParts, cycles, cyclic_parts, date_outputs
from components.shared.package.scoring import MISSING_TIME
from tests.components.moments import MOMENTS, parts_of, seconds_of

PARTS: tuple[DatePart, ...] = (
    *("year", "quarter", "month", "week", "day", "day_of_year", "weekday", "hour", "minute"),
)


@given(st.lists(MOMENTS, min_size=1, max_size=30))
@example([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
@example([datetime(year, 12, 31, tzinfo=UTC) for year in range(1, 9999, 101)])
def test_date_parts_are_those_of_the_calendar(moments):
    seconds = seconds_of(moments)
    assert DateParts(PARTS).fit(seconds).transform(seconds).tolist() == [parts_of(moment) for moment in moments]


def test_date_parts_are_those_of_pandas_on_every_day_of_two_centuries():
    days = pd.date_range("1850-01-01", "2101-01-08", freq="D", unit="s")
    found = DateParts(PARTS).fit(np.zeros((1, 1))).transform(days.to_numpy().astype(np.int64).reshape(-1, 1))
    expected = [days.year, days.quarter, days.month, days.isocalendar().week, days.day, days.day_of_year, days.weekday]
    np.testing.assert_array_equal(found[:, :7], np.stack([np.asarray(part, dtype=np.int64) for part in expected], 1))


def test_missing_times_become_nan_column_by_column():
    seconds = np.array([[0, MISSING_TIME], [MISSING_TIME, DAY * 31]], dtype=np.int64)
    parts = DateParts(("month", "weekday")).fit(seconds).transform(seconds)
    assert parts.dtype == np.float32
    np.testing.assert_array_equal(parts, [[1, 3, np.nan, np.nan], [np.nan, np.nan, 2, 6]])


def test_elapsed_is_days_since_the_median_and_between_timestamps():
    ordered = np.array([10, 20, 30], dtype=np.int64) * DAY
    seconds = np.stack([ordered, ordered + DAY // 2, [MISSING_TIME, 0, 0]], axis=1)
    parts = DateParts(("elapsed",)).fit(seconds)
    assert parts.origin_.tolist() == [20 * DAY, 20 * DAY + DAY // 2, 0]
    np.testing.assert_array_equal(
        parts.transform(seconds),
        [[-10, -10, np.nan, 0.5, np.nan, np.nan], [0, 0, 0, 0.5, -20, -20.5], [10, 10, 0, 0.5, -30, -30.5]],
    )


def test_elapsed_keeps_minutes_for_twenty_years_each_way():
    start = np.int64(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
    parts = DateParts(("elapsed",)).fit(np.array([[start]]))
    for far in (-20 * 365 * DAY, 20 * 365 * DAY):
        minutes = (start + far + 60 * np.arange(1000)).reshape(-1, 1)
        assert len(np.unique(parts.transform(minutes))) == 1000


def test_a_timestamp_without_values_can_be_fitted():
    nothing = np.full((3, 2), MISSING_TIME)
    assert np.isnan(DateParts(("elapsed", "hour")).fit(nothing).transform(nothing)).all()


@pytest.mark.parametrize("part", cyclic_parts(PARTS))
def test_the_last_value_of_a_cycle_lies_next_to_the_first(part: DatePart):
    around = cycles((part,))
    sines, cosines = around.table.reshape(2, -1)
    np.testing.assert_allclose(sines**2 + cosines**2, 1, rtol=1e-6)
    steps = np.hypot(np.diff(sines, append=sines[0]), np.diff(cosines, append=cosines[0]))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)


def test_cycles_follow_the_parts_of_each_timestamp():
    noon, night = (int(datetime(2024, 3, 1, hour, tzinfo=UTC).timestamp()) for hour in (12, 0))
    seconds = np.array([[noon, night]])
    found = DateParts(("hour", "year", "quarter"), cyclic=True).fit(seconds).transform(seconds)
    expected = [[12, 2024, 1, 0, 0, -1, 1], [0, 2024, 1, 0, 0, 1, 1]]
    np.testing.assert_allclose(found.reshape(2, 7), expected, atol=1e-6)


@pytest.mark.parametrize(("columns", "cyclic"), [*product([1, 3, 12], [True, False])])
def test_every_output_is_described(columns: int, cyclic: bool):
    seconds = np.arange(columns, dtype=np.int64).reshape(1, -1) + FIRST_SECOND
    for parts in (PARTS, ("elapsed", *PARTS), ("elapsed",), ("year",)):
        width = DateParts(parts, cyclic=cyclic).fit(seconds).transform(seconds).shape[1]
        assert len(date_outputs(parts, columns, cyclic=cyclic)) == width
