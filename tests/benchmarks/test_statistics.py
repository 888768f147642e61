"""The simulations, small and seeded: the same code as `make bench-statistics` runs on many more trials."""

from dataclasses import replace

import pytest

from tests.benchmarks.statistics import METRICS, PROCESSES, Process, coverage, pass_rates

TRIALS = 40  # a share of 0.95 then comes out between 0.85 and 1


def test_independent_rows_are_covered() -> None:
    found = coverage(PROCESSES[0], trials=TRIALS)
    assert all(0.85 <= found.ours[metric] <= 1.0 for metric in METRICS)


@pytest.mark.parametrize("process", PROCESSES[1:3], ids=lambda process: process.name)
def test_rows_that_are_alike_are_covered_by_blocks_and_not_by_rows(process: Process) -> None:
    found = coverage(replace(process, rows=600), trials=TRIALS)
    assert all(0.85 <= found.ours[metric] <= 1.0 for metric in METRICS)
    assert sum(found.before.values()) / len(METRICS) < sum(found.ours.values()) / len(METRICS) - 0.1


def test_a_worse_candidate_seldom_passes_and_an_equal_one_often() -> None:
    worse, equal = (pass_rates(rows=200, loss=loss, trials=TRIALS) for loss in (0.03, 0.0))
    assert worse.promote_if_not_worse <= 0.25
    assert worse.before >= 0.6
    assert equal.promote_if_not_worse >= 0.3
    assert equal.block < equal.promote_if_not_worse < equal.promote
