import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.shared.pages.limits import format_against, format_limit

NUMBER = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("limit", "share", "text"),
    [
        (0.9999, True, "99.99%"),
        (0.0001, True, "0.01%"),
        (0.9, True, "90%"),
        (1.0, True, "100%"),
        (0.123456, False, "0.123456"),
        (50.0, False, "50"),
        (1234567.5, False, "1,234,567.5"),
        (1e-12, False, "1e-12"),
        (math.inf, False, "∞"),
    ],
)
def test_a_limit_keeps_all_of_its_digits(limit: float, share: bool, text: str) -> None:
    assert format_limit(limit, share=share) == text


@pytest.mark.parametrize(
    ("value", "limit", "share", "text"),
    [
        (0.89999, 0.9, False, "0.89999"),
        (0.9, 0.9, False, "0.9"),
        (0.12345, 0.9, False, "0.1235"),
        (0.99995, 0.9999, True, "99.995%"),
        (0.9, 0.9999, True, "90%"),
        (50.04, 50.0, False, "50.04"),
        (math.nan, 0.5, True, "NaN"),
    ],
)
def test_a_value_is_told_from_its_limit(value: float, limit: float, share: bool, text: str) -> None:
    assert format_against(value, limit, share=share) == text


@given(NUMBER, NUMBER, st.booleans())
def test_only_a_value_at_its_limit_reads_like_it(value: float, limit: float, share: bool) -> None:
    if abs(value - limit) > 1e-12 * max(abs(value), abs(limit)):
        assert format_against(value, limit, share=share) != format_limit(limit, share=share)
