"""A shrunk demonstration, end to end: pipeline, endpoint, log, labels, monitor, rule and page, with a real store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.shared.decisions.records import Decided
from pipelines.config_file import load_config
from pipelines.demo.cases import CASES
from pipelines.demo.demo import demonstrate
from pipelines.local.store import LocalStore
from tests.ports import free_port

WEEKS = 5
BROKEN = datetime(2013, 4, 22, tzinfo=UTC)


@pytest.mark.slow
def test_a_fault_at_the_source_is_seen_and_nothing_is_learned_from_it(tmp_path):
    config = load_config(Path("pipelines/configs/flights_demo.yaml"))
    search = config.search.model_copy(
        update={"rows": 2000, "rounds": 50, "budget": config.search.budget.model_copy(update={"trials": 1})}
    )
    serving = config.serving.model_copy(update={"port": free_port(200)})
    shrunk = config.model_copy(update={"search": search, "serving": serving})
    said: list[str] = []

    case = replace(CASES["broken"], weeks=WEEKS, since=BROKEN.date())

    told = demonstrate(shrunk, case, tmp_path, say=said.append, rows_a_week=400)

    story = told.story
    assert [outcome.name for outcome in story.outcomes][-1] == "ours"
    assert all(len(outcome.known) == WEEKS for outcome in story.outcomes)
    assert set(story.rows) == {400}
    assert sum(window.rows for window in story.windows) == 400 * WEEKS
    for window in story.windows:
        severe = any(problem.severe for problem in window.problems)
        assert severe == (window.start >= BROKEN), window
        assert window.quality is not None
        assert window.quality.mature
    broken = [record for record in story.records if isinstance(record, Decided) and record.decision.window[0] >= BROKEN]
    assert len(broken) == 2
    assert {record.decision.action for record in broken} == {"warn"}
    assert {finding.kind for record in broken for finding in record.decision.findings} >= {"rows"}
    # The look on the Tuesday after is about the week before, of which it learns, too.
    assert not [when for when in story.ours.retrained if when > BROKEN + timedelta(days=7)]
    assert len(said) >= WEEKS
    assert "could not be trusted" in told.page.read_text(encoding="utf-8")
    assert (tmp_path / "history.html").is_file()
    assert LocalStore(tmp_path).running() is None
