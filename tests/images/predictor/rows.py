"""Values of columns, right and wrong, for property-based tests of the parsers."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

LARGE = [0, 1, -1, 3, 2**53, 2**53 + 1, 2**63, 2**64, 10**29, 10**30, 10**38, 10**39, 10**400]
TIMES = [
    "2013-06-30", "2013-06-30T17:45", "2013-06-30T17:45:00Z", "2013-06-30t17:45:00z", "2013-06-30 17:45:00.5+02:00",
    "2013-06-30T23:59:59.9999999", "2013-06-30T23:59:59.999999Z", "9999-12-31T23:59:59.999999", "0001-01-01T00:00:00",
    "0001-01-01T00:00:00+10:00", "1969-12-31T23:59:59.5", "2013-06-30T24:00:00", "2013-02-29T00:00:00", "tomorrow", "",
    "1969-12-31T23:59:59-23:59", "20130630T174500", "2013-06-30T17:45:00,5", "2013-06-30T17:45:00.123456789-00:00",
]  # fmt: skip
texts = st.text(max_size=4) | st.sampled_from(["green", "1", "null", "\x00", "é" * 3, '"', "\ud800"])
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.sampled_from(LARGE)
times = st.sampled_from(TIMES) | st.datetimes(timezones=st.sampled_from([None, UTC])).map(datetime.isoformat)
anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | numbers | texts | times
    | st.just([]) | st.just({}) | st.lists(st.integers(), max_size=2) | st.dictionaries(texts, st.none(), max_size=1)
)  # fmt: skip
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "amount": st.none() | st.floats(-1e3, 1e3) | st.integers(-9, 9),
    "visits": st.integers(-99, 99) | st.integers(-99, 99).map(float),
    "member": st.booleans(),
    "colour": st.none() | texts | st.integers(-9, 9),
    "opened at": st.none() | times,
}


def values(name: str) -> st.SearchStrategy[Any]:
    """Values of a column, mostly right."""
    return st.one_of(FITTING[name], FITTING[name], FITTING[name], anything)


rows = st.fixed_dictionaries(
    {name: values(name) for name in FITTING},
    optional={"id": anything, "other": anything},
)
some_rows = st.lists(rows, min_size=1, max_size=4)
columns = st.integers(1, 5).flatmap(
    lambda count: st.fixed_dictionaries(
        {name: st.lists(values(name), min_size=count, max_size=count) for name in FITTING}
    )
)
