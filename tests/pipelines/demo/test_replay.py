"""What a replay does besides its stages."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.records import Decided, Decision, HeldBack, Resumed
from components.shared.store import Store
from pipelines.config_file import load_config
from pipelines.demo.replay import Replay
from pipelines.demo.telling import week_line
from pipelines.demo.timetable import Timetable

NOW = datetime(2013, 9, 3, tzinfo=UTC)


@pytest.mark.parametrize(("held_back", "asked"), [("not helping", True), ("cool-down", False)])
def test_whoever_is_asked_whether_to_go_on_says_yes(
    store: Store, tmp_path: Path, held_back: HeldBack, asked: bool
) -> None:
    config = load_config(Path("pipelines/configs/flights_demo.yaml"))
    replay = Replay(config, Timetable(2, 91), cast(Any, None), tmp_path, store, print)
    decision = Decision(
        model=config.name, version="a1", window=(NOW, NOW), windows=(), mode="on", policy={}, findings=(),
        action="warn", held_back=held_back, reason="the last 3 did not help",
    )  # fmt: skip

    said = replay._answered([Decided(number=1, when=NOW, decision=decision)], NOW)

    kept = AuditLog(store, config.name).records()
    assert [record.when for record in kept if isinstance(record, Resumed)] == [NOW] * asked
    assert ("a person is asked, and lets it go on" in week_line(NOW, [], said)) == asked
