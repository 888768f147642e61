"""Tests of numbers, times and limits as text: that a reader is neither misled nor bored."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.shared.formatting import (
    format_against,
    format_count,
    format_duration,
    format_limit,
    format_number,
    format_quantity,
    format_share,
    format_value,
)

NUMBER = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (336776, "336,776"),
        (0.81234, "0.8123"),
        (0.5, "0.5"),
        (12345.678, "12,346"),
        (-1234.5, "-1,234"),
        (999.96, "1,000"),
        (0.99999, "1"),
        (0.00012345, "0.0001234"),
        (1.5e-7, "1.5e-7"),
        (2e15, "2e15"),
        (10**400, "1e400"),
        (-0.0, "0"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (None, "–"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (np.int64(1234567), "1,234,567"),
        (np.float32(0.1), "0.1"),
        (Decimal("1.250"), "1.25"),
        (Fraction(1, 3), "0.3333"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text


@given(st.floats(-1e300, 1e300), st.integers(1, 12))
def test_a_number_reads_back_as_itself_within_its_digits(x, digits):
    assert float(format_number(x, digits).replace(",", "")) == pytest.approx(x, rel=10.0 ** (1 - digits), abs=0)


@given(st.integers())
def test_whole_numbers_keep_all_digits_below_a_quadrillion(n):
    if abs(n) < 10**15:
        assert int(format_number(n).replace(",", "")) == n


def test_numbers_refuse_what_is_none():
    with pytest.raises(ValueError, match="expected a number or None, found str: 'x'"):
        format_number("x")
    with pytest.raises(ValueError, match="digits: expected at least 1"):
        format_number(1, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.1234, "12.3%"),
        (1e-9, "<0.1%"),
        (0.99999, ">99.9%"),
        (-0.25, "-25%"),
        (1.5, "150%"),
        (-1e-9, "0%"),
        (None, "–"),
        (math.nan, "NaN"),
    ],
)
def test_shares(value, text):
    assert format_share(value) == text


@given(st.floats(0, 1), st.integers(0, 4))
def test_only_nothing_is_no_share_and_only_all_is_all(x, digits):
    text = format_share(x, digits)
    assert (text == "0%") == (x == 0)
    assert (text == "100%") == (x == 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (0.00042, "420 µs"),
        (0.0123, "12.3 ms"),
        (0.9999, "1 s"),
        (0.000999999, "1 ms"),
        (8.44, "8.4 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3725, "1 h 02 min"),
        (270_000, "3 d 3 h"),
        (-5, "-5 s"),
        (None, "–"),
    ],
)
def test_durations(value, text):
    assert format_duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2013, 1, 1, 5, tzinfo=UTC), "2013-01-01 05:00:00+00:00"),
        (date(2013, 1, 1), "2013-01-01"),
        (timedelta(seconds=90), "1 min 30 s"),
        ("x", "x"),
        (["a"], "['a']"),
    ],
)
def test_other_values(value, text):
    assert format_value(value) == text


def test_counts():
    assert [format_count(n) for n in (336776, 12.0, None, math.inf)] == ["336,776", "12", "–", "∞"]
    assert [format_quantity(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


# Limits


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
