"""Ten kills; `make bench-decisions` does two hundred."""

from tests.pipelines.decisions.decision_kills import DecisionKills

TIMES = 10


def test_a_monitor_that_is_killed_and_run_again_decides_and_retrains_once(store):
    kills = DecisionKills(store.settings, seed=1)
    kills.run(TIMES)
    print(dict(kills.outcomes))
    assert kills.outcomes["killed"] == TIMES
