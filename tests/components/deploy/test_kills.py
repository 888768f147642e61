"""Three kills; `make bench-kills` does two hundred."""

import pytest

from tests.components.deploy.kills import Kills
from tests.ports import free_port

TIMES = 3


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_a_champion_that_serves(store, packages, tmp_path):
    kills = Kills(store, tmp_path, packages(), free_port(200), seed=1)
    try:
        kills.run(TIMES)
    finally:
        kills.endpoint.stop()
    print(dict(kills.outcomes))
    assert kills.outcomes["champion moved"] + kills.outcomes["champion not moved"] == TIMES
