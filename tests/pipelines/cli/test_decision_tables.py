import io

from rich.console import Console

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence_files import keep_evidence
from components.shared.decisions.records import Judged, Started
from components.shared.registry.registry import Registry
from pipelines.__main__ import main
from pipelines.cli.decision_tables import print_records, print_replay
from pipelines.decisions.replay import replay
from tests.components.shared.decisions.windows import BAD_ROWS, DAY, FIRST, ON, dropped, ended, window
from tests.pipelines.command_line import write_config

NOW = FIRST + 3 * DAY


def lines_of(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def wide() -> Console:
    return Console(file=io.StringIO(), width=250, highlight=False)


def test_the_audit_log_is_listed_with_what_came_of_each_decision(store):
    log = AuditLog(store, "demo", by="monitor")
    log.decide([window(0)], ON, NOW, champion="v1")
    decided = log.decide([dropped(1), dropped(2)], ON, NOW, champion="v1")
    assert decided is not None
    log.add(Started(when=NOW, about=2, lease=1))
    log.add(ended(decided, "promoted"))
    log.add(Judged(when=NOW, about=2, helped=True, message="it is better"))
    console = wide()
    print_records("demo", log.records(), console, everything=False)
    lines = lines_of(console)
    assert lines[0] == "demo · 5 records of decisions"
    assert [line.split(maxsplit=5)[0] for line in lines[2:-1]] == ["5", "4", "3", "2"]
    assert "retraining 2 helped monitor it is better" in lines[2]
    assert "retraining 2 promoted, version v2 monitor" in lines[3]
    assert "2026-03-03 00:00 – 2026-03-04 00:00 retrain monitor roc_auc is measured as 0.7" in lines[5]
    assert lines[-1] == "1 decision to do nothing left out: --all shows them."
    console = wide()
    print_records("demo", log.records(), console, everything=True)
    assert "nothing monitor no rule asks for anything" in lines_of(console)[-1]


def test_a_replay_shows_where_something_is_done_and_how_often(store):
    evidence = [window(0), dropped(1), dropped(2), window(3, problems=(BAD_ROWS,))]
    log = AuditLog(store, "demo")
    log.decide(evidence[:1], ON, evidence[0].made, champion="v1")
    log.decide(evidence[:3], ON, evidence[2].made, champion="v1")
    console = wide()
    history = [Registry(store, "demo").promote("v1", expected=None)]
    print_replay(replay(evidence, log.records(), ON, history), console)
    lines = lines_of(console)
    assert any("retrain retrain (dry run)" in line for line in lines)
    assert "warn, no retraining: severe problems" in lines[-4]
    assert lines[-3] == "This rule: 1 retraining, 1 warning and nothing 2 times in 4 decisions."
    assert lines[-2] == "As decided: 1 retraining, 0 warnings and nothing 1 time in 2 decisions."
    assert lines[-1] == "Of 2 moments the audit log has no decision."


def test_the_verbs(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["decisions", "demo"]) == 0
    assert "Nothing has been decided about 'demo' yet" in capsys.readouterr().out
    assert main(["replay-policy", "demo"]) == 0
    assert "Nothing is known of windows of 'demo'" in capsys.readouterr().out
    Registry(store, "demo").promote("v1", expected=None)
    for one in (dropped(0), dropped(1), dropped(1, version="v0", rows=9000)):
        keep_evidence(store, one)
    assert main(["replay-policy", "demo"]) == 0
    assert "This rule: 1 retraining, 0 warnings" in capsys.readouterr().out
    tolerant = write_config(tmp_path / "c.yaml", monitoring={"policy": {"allowed_drop": 0.5}})
    assert main(["replay-policy", "demo", "--policy", str(tolerant)]) == 0
    assert "This rule: 0 retrainings, 0 warnings" in capsys.readouterr().out
    assert main(["resume", "demo", "--why", "looked at"]) == 0
    assert main(["decisions", "demo"]) == 0
    assert "looked at" in capsys.readouterr().out
