"""The times of a replay."""

import itertools
from datetime import UTC, datetime, timedelta

from pipelines.demo.timetable import Timetable

TABLE = Timetable(weeks=3, learn_days=28)


def test_at_each_look_the_week_before_is_over_and_its_labels_are_there():
    for number, moment in enumerate(TABLE.looks()):
        start, end = TABLE.span(number)
        known = [span for _, span in TABLE.arrivals(TABLE.start, moment)]

        assert end < moment
        assert known[-1][1] == end
        assert known[0][0] == TABLE.start
        assert start.weekday() == 0


def test_labels_come_two_days_late():
    for arrival, (start, end) in TABLE.arrivals(TABLE.start, TABLE.looks()[-1]):
        assert timedelta(days=1) < arrival - end < timedelta(days=2)
        assert arrival - start > timedelta(days=2)


def test_every_label_comes_once():
    looks = [TABLE.start, *TABLE.looks()]
    between = [arrival for pair in itertools.pairwise(looks) for arrival in TABLE.arrivals(*pair)]

    assert between == list(TABLE.arrivals(looks[0], looks[-1]))


def test_nothing_is_learned_from_that_is_not_known_yet():
    moment = TABLE.looks()[1]
    start, end = TABLE.learned(moment)

    assert end == TABLE.week(2)
    assert end - start == timedelta(days=28)
    assert all(arrival <= moment for arrival, (_, last) in TABLE.arrivals(TABLE.start, moment) if last <= end)


def test_the_first_version_learns_from_the_first_of_january_on():
    start, end = TABLE.learned_first()

    assert start == datetime(2013, 1, 1, tzinfo=UTC)
    assert end == datetime(2013, 3, 30, tzinfo=UTC)
