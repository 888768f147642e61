"""The parts of the serving benchmark, with a small model and little load."""

import dataclasses

import pytest

from tests.benchmarks.at_rest import needs
from tests.benchmarks.load import run_load
from tests.benchmarks.report import at_least, at_most, told
from tests.benchmarks.servers import Bench
from tests.benchmarks.serving import steadiness
from tests.benchmarks.sides import Side
from tests.benchmarks.workload import Flights, WrongAnswersError

SIZE = 10


@pytest.fixture(scope="module")
def rows(packages):
    return Flights(packages(), rows=100)


@pytest.fixture(scope="module")
def bench(packages, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(packages(), folder, core=0, first=rows.v1(1).requests[0], environment={})


@pytest.fixture(scope="module")
def server(bench):
    with bench.ours(log=False) as running:
        yield running


def test_a_server_is_described(server):
    assert 0 < server.start_seconds < 60
    assert 20e6 < server.memory < 1e9
    assert server.cpu_seconds > 0
    assert server.counters()['fullcircle_requests_total{protocol="v1",status="200"}'] >= 1


def test_answers_of_both_protocols_are_read_and_right(server, rows):
    for work, read in ((rows.v1(1), rows.read_v1), (rows.v1(SIZE), rows.read_v1), (rows.v2_binary(SIZE), rows.read_v2)):
        assert len(set(work.requests)) == len(work.requests) == 100 // work.rows
        side = Side("ours", server, work, read)
        side.measure(0.2, warm_up=0.1)
        side.measure(0.2, warm_up=0.1, rate=50)
        assert side.rate > 0
        assert side.p99 > 0


def test_a_server_that_is_only_busy_shows_how_steady_the_machine_is(bench, server, rows):
    side = Side("ours", server, rows.v1(1), rows.read_v1)
    side.measure(0.2, warm_up=0.1)
    found = steadiness(bench, side, 1, 0.2)
    assert found.value > 0
    assert found.holds is None


def test_wrong_answers_and_errors_end_the_benchmark(server, rows):
    work = rows.v1(1)
    load = run_load(server.port, work.requests, seconds=0.1)
    wrong = dataclasses.replace(work, expected=work.expected[::-1])
    with pytest.raises(WrongAnswersError, match="from what is right"):
        wrong.check(load, rows.read_v1)
    load.errors = 1
    with pytest.raises(WrongAnswersError, match="1 requests failed"):
        work.check(load, rows.read_v1)


def test_a_server_that_does_not_start_is_told_with_its_log(bench, tmp_path):
    with pytest.raises(RuntimeError, match="no manifest"), dataclasses.replace(bench, package=tmp_path).ours():
        pass


def test_the_server_answers_without_what_it_does_not_need(bench, store, s3):
    named = dataclasses.replace(bench, environment={**s3.environment(), "FULLCIRCLE_BUCKET": store.settings.bucket})
    assert needs(named).holds


def test_figures_hold_by_their_values():
    assert [at_least("", value, 5, unit="", target="").holds for value in (4.99999, 5)] == [False, True]
    assert [at_most("", value, 5, unit="", target="").holds for value in (5, 5.00001)] == [True, False]
    assert told("", 1, unit="").holds is None
