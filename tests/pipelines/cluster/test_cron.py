"""Cron expressions as KFP's scheduler reads them."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from pipelines.cluster.cron import Cron, CronError

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)  # a Sunday


def upcoming(text: str, count: int = 3) -> list[str]:
    return [f"{moment:%m-%d %H:%M:%S}" for moment in islice(Cron.parse(text).times(START), count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17 3 * * *", ["03-02 03:17:00", "03-03 03:17:00", "03-04 03:17:00"]),
        ("0 17 3 * * *", ["03-02 03:17:00", "03-03 03:17:00", "03-04 03:17:00"]),
        ("*/20 * * * *", ["03-01 12:40:00", "03-01 13:00:00", "03-01 13:20:00"]),
        ("0 6 * * mon-fri", ["03-02 06:00:00", "03-03 06:00:00", "03-04 06:00:00"]),
        ("0 6 ? * 0", ["03-08 06:00:00", "03-15 06:00:00", "03-22 06:00:00"]),
        ("0 0 1 jan,JUL *", ["07-01 00:00:00", "01-01 00:00:00", "07-01 00:00:00"]),
        ("30 5/6 * * *", ["03-01 17:30:00", "03-01 23:30:00", "03-02 05:30:00"]),
        ("@daily", ["03-02 00:00:00", "03-03 00:00:00", "03-04 00:00:00"]),
        ("0 0 29 2 *", ["02-29 00:00:00", "02-29 00:00:00", "02-29 00:00:00"][:1]),
        # Either day is enough where both are said.
        ("0 0 4 * mon", ["03-02 00:00:00", "03-04 00:00:00", "03-09 00:00:00"]),
    ],
)
def test_when_it_comes(text, expected):
    assert upcoming(text, len(expected)) == expected


def test_five_fields_begin_at_second_0():
    assert Cron.parse(" 17 3  * * * ").text == "0 17 3 * * *"
    assert Cron.parse("@hourly").text == "0 0 * * * *"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("17 3 * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("60 3 * * *", "the minute is '60'; expected 0 to 59"),
        ("0 24 * * *", "the hour"),
        ("0 0 0 * *", "the day of the month"),
        ("0 0 * 13 *", "the month"),
        ("0 0 * * 7", "Sunday is 0"),
        ("0 0 * * funday", "the day of the week"),
        ("*/0 * * * *", "whole number after the /"),
        ("5-2 * * * *", "ends before it begins"),
        ("0 0 30 feb *", "never comes"),
        ("-1 * * * *", "the minute"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_is(text, named):
    with pytest.raises(CronError, match="CRON") as error:
        Cron.parse(text)

    assert named in str(error.value)
