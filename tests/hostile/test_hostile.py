"""A small part of what `python -m tests.benchmarks.hostile` sends: a few thousand attacks on a real server."""

import asyncio

from tests.hostile.corpus import FAMILIES, corpus, each
from tests.hostile.runner import run
from tests.hostile.server import memory, ours, still_right, target

ATTACKS = 3000


def test_hostile_requests(packages, tmp_path):
    attacked = target(packages())
    with ours(packages(), tmp_path / "server.log") as (process, port):
        asyncio.run(run(port, each(attacked, 15, seed=1)))
        before = memory(process)
        outcome = asyncio.run(run(port, corpus(attacked, ATTACKS, seed=2)))
        log = (tmp_path / "server.log").read_text()
        assert not [(attack.family, attack.parts[0][:300], answer) for attack, answer in outcome.faults], log
        assert not [(attack.family, attack.parts[0][:300]) for attack in outcome.hung]
        assert still_right(port, attacked)
        # Two of the largest bodies at once take 32 MB, or not. The long run asks for less growth, of more requests.
        assert memory(process) < 1.5 * before
    assert {family for family, _ in outcome.answers} == set(FAMILIES)
    assert "Traceback" not in log
    assert outcome.count(200, 300) > ATTACKS / 15
    assert outcome.count(400, 500) > ATTACKS / 3
