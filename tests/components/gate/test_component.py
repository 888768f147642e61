"""The gate stage as KFP runs it, and its page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import dsl

from components.gate.component import gate
from components.gate.gate import Candidate
from components.gate.page import verdict_page
from components.gate.verdict import Check, decide
from components.shared.config import GateConfig, SearchConfig
from components.shared.store import Store
from tests.components.gate.conftest import EVALUATION

Make = Callable[..., Candidate]


def run(made: Candidate, folder: Path, *, settings: GateConfig, force: bool = False) -> bool:
    promoted: bool = gate.python_func(
        name=made.name,
        settings=settings.model_dump_json(),
        search=SearchConfig().model_dump_json(),
        evaluation=EVALUATION.model_dump_json(),
        force=force,
        splits=dsl.Dataset(uri=str(made.splits)),
        model=dsl.Model(uri=str(made.model)),
        evaluated=dsl.Artifact(uri=str(made.evaluated)),
        verdict=dsl.Artifact(uri=str(folder / "verdict.json")),
        gate_page=dsl.HTML(uri=str(folder / "page.html")),
    )
    return promoted


def test_the_stage_returns_and_writes_its_verdict(
    candidate: Make, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candidate(), tmp_path, settings=GateConfig()) is True
    verdict = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    assert set(verdict) >= {"promoted", "forced", "reasons", "checks", "champion"}
    assert verdict["champion"] is None
    assert set(verdict["checks"][0]) == {"name", "value", "limit", "holds", "detail", "unsure"}
    assert "promoted: all 4 checks hold" in capsys.readouterr().out
    assert "Promoted" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_blocked_candidate_is_no_error(
    candidate: Make, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candidate(), tmp_path, settings=GateConfig(package_megabytes=1e-6)) is False
    assert "not promoted: 1 of 4 checks does not hold; The package has" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Blocked" in page
    assert "Why not" in page


def test_a_forced_candidate_is_promoted(candidate: Make, store: Store, tmp_path: Path) -> None:
    assert run(candidate(), tmp_path, settings=GateConfig(package_megabytes=1e-6), force=True) is True
    assert json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))["forced"] is True


@pytest.mark.parametrize(
    ("force", "warn", "expected"),
    [(False, False, "Blocked"), (True, False, "forced for this run"), (False, True, "The gate only warns")],
)
def test_the_page_says_how_it_was_decided(force: bool, warn: bool, expected: str) -> None:
    checks = [
        Check(name="threshold:roc_auc", value=float("nan"), limit=0.5, holds=False, detail="Too low."),
        Check(name="threshold:unheard_of", value=1.0, limit=None, holds=True, detail="Fine."),
        Check(name="other", value=1.0, limit=2.0, holds=False, detail="Odd."),
    ]
    page = verdict_page("demo", decide(checks, champion="abc", candidate="def", force=force, warn=warn)).render()
    assert expected in page
    assert "Threshold of ROC AUC" in page
    assert "2 of 3 checks do not hold" in page
