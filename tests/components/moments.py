"""Moments as Python's own calendar knows them, for the tests of what becomes of timestamps."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import strategies as st

from components.shared.dates import DAY

MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))


def seconds_of(moments) -> np.ndarray:
    """Whole seconds since 1970, one column."""
    since = [moment - datetime(1970, 1, 1, tzinfo=UTC) for moment in moments]
    return np.array([[one.days * DAY + one.seconds] for one in since], dtype=np.int64)


def parts_of(moment: datetime) -> list[int]:
    """Year, quarter, month, ISO week, day, day of the year, weekday, hour and minute."""
    _, week, _ = moment.isocalendar()
    first = [moment.year, (moment.month + 2) // 3, moment.month, week, moment.day, moment.timetuple().tm_yday]
    return [*first, moment.weekday(), moment.hour, moment.minute]
