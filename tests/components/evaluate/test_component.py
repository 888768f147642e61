"""The evaluate stage as KFP runs it, and what it leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.evaluate.component import evaluate
from components.shared.config import EvaluationConfig, TaskName
from components.shared.errors import ConfigError
from components.shared.evaluation import Evaluation
from components.shared.tasks import TASKS
from tests.components.evaluate.conftest import Made

SETTINGS = EvaluationConfig(resamples=60, slice_rows=30)


def run(made: Made, folder: Path, settings: EvaluationConfig = SETTINGS) -> dict[str, Any]:
    outputs: dict[str, Any] = {
        "metrics": dsl.Metrics(uri=str(folder / "metrics")),
        "curves": dsl.ClassificationMetrics(uri=str(folder / "curves")),
        "evaluate_report": dsl.Artifact(uri=str(folder / "report")),
        "card": dsl.HTML(uri=str(folder / "card.html")),
    }
    evaluate.python_func(
        name="demo",
        evaluation=settings.model_dump_json(),
        splits=dsl.Dataset(uri=str(made.splits)),
        model=dsl.Model(uri=str(made.model)),
        validation=dsl.Artifact(uri=str(made.validation)),
        **outputs,
    )
    return outputs


@pytest.mark.parametrize("task", TASKS)
def test_the_stage_writes_report_card_and_metrics(
    made: Callable[[TaskName], Made], task: TaskName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = run(made(task), tmp_path)
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["card.html", "metrics.json"]
    card = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert card == (tmp_path / "report" / "card.html").read_text(encoding="utf-8")
    found = Evaluation.read(tmp_path / "report")
    assert outputs["metrics"].metadata == {
        name: value for name, value in found.scores.values.items() if value is not None
    }
    assert "on 120 test rows, baseline" in capsys.readouterr().out


def test_kfp_gets_curves_it_can_draw(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    outputs = run(made("multiclass"), tmp_path)
    drawn = outputs["curves"].metadata
    points = drawn["confidenceMetrics"]
    assert 2 < len(points) <= 200
    assert "Infinity" not in json.dumps(drawn)
    assert drawn["confusionMatrix"]["annotationSpecs"] == [{"displayName": name} for name in ("ja", "näh", "我")]


def test_regression_has_no_curves(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    assert run(made("regression"), tmp_path)["curves"].metadata == {}


def test_the_card_is_the_same_each_time_and_says_what_it_must(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    cards = []
    for name in ("one", "two"):
        run(made("multiclass"), tmp_path / name)
        cards.append((tmp_path / name / "card.html").read_text(encoding="utf-8"))
    assert cards[0] == cards[1]
    for expected in (
        "Model card: demo",
        "one of several classes",
        "ROC curve",
        "Calibration",
        "Confusion matrix",
        "Permutation importance",
        "Mean |SHAP|",
        "blue 青",
        "2024-01-25T23:00:00",
        "scikit-learn",
        "Limits",
        "what causes what",
    ):
        assert expected in cards[0]
    assert str(tmp_path) not in cards[0]


def test_the_card_of_numbers_shows_errors(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    run(made("regression"), tmp_path)
    card = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "predicted minus true target" in card
    assert "or its median where a metric is of absolute errors" in card


def test_nothing_is_left_half_written(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'member'"):
        run(made("binary"), tmp_path, EvaluationConfig(slices=["membre"]))
    assert list(tmp_path.iterdir()) == []
