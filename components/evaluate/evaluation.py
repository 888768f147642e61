"""How good the candidate is on rows it has never seen: the test part, scored with the served ONNX graph.

The graph that is scored is the one that will serve, so what is measured here is what clients get. Intervals come from
`Draws`, the same resamples for all metrics and slices. Permutation importance and SHAP values cost many scorings of
each row, so they take a sample and, of wide tables, the features that matter most; notes on the card say what was left
out.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.evaluate import importance
from components.evaluate.importance import explain, permutation_importance, sample_rows, screen
from components.evaluate.pictures import pictures
from components.evaluate.slices import find_slices, large_enough
from components.shared import frames, metrics
from components.shared.blocks import find_blocks
from components.shared.bootstrap import Draws
from components.shared.config import EvaluationConfig, Metric
from components.shared.errors import PackageError
from components.shared.evaluation import Evaluation, Importance, Resampled, Scores, Shap
from components.shared.judging import gaps, judge
from components.shared.package.model_package import TRAINING
from components.shared.package.schema import Schema
from components.shared.package.scored import Scored, load_scorer, score_test
from components.shared.tasks import TASKS

_IMPORTANCE_CELLS = 100_000_000  # rows × columns × features shuffled for permutation importance


def evaluate(name: str, settings: EvaluationConfig, *, splits: Path, model: Path) -> Evaluation:
    """Judge a candidate on the test part.

    Args:
        name: Name of the model.
        settings: Resamples, slices and samples.
        splits: The folder that prepare writes.
        model: The folder that train writes.

    Raises:
        ConfigError: A slice column is not in the table.
        DataError: The test part is empty, or the model answers NaN.
        PackageError: The training record cannot be read.
    """
    scored = score_test(splits, load_scorer(model))
    schema, metric = scored.schema, optimised_metric(model, scored.schema)
    found, notes = find_slices(splits, schema, settings)
    slices, small, small_notes = large_enough(found, settings.slice_rows)
    blocks = find_blocks(splits, "test", schema)
    draws = Draws(blocks.of, settings.resamples, run_length=blocks.run_length, weights=scored.weights)
    whole, parts = judge(schema.task, scored.target, scored.answers, slices, draws)
    scores = whole.scores(settings.confidence)
    rows, measured, importance_notes = _measure_importance(scored, settings, metric)
    return Evaluation(
        name=name,
        task=schema.task,
        target=schema.target,
        metric=metric,
        rows=len(scored.target),
        threshold=schema.threshold,
        confidence=settings.confidence,
        resamples=settings.resamples,
        resampled_by=Resampled(kind=blocks.kind, column=blocks.column, count=blocks.count, together=blocks.run_length),
        scores=scores,
        baseline=Scores(values=_baseline(splits, scored)),
        mape_rows_left_out=metrics.zero_targets(scored.target) if "mape" in scores.values else 0,
        **pictures(scored, threshold=schema.threshold),
        slices=[*(part.as_slice(settings.confidence) for part in parts), *small],
        gaps=gaps(parts, settings.confidence),
        importance_rows=rows,
        importance=measured,
        shap=_explain(scored, settings, measured),
        notes=[*_undefined(scores, scored), *notes, *small_notes, *importance_notes],
        warnings=[blocks.caution] if blocks.caution else [],
    )


def optimised_metric(model: Path, schema: Schema) -> Metric:
    """The metric by which the search chose the model."""
    try:
        record = json.loads((model / TRAINING).read_bytes())
    except (OSError, ValueError) as error:
        raise PackageError(f"{model / TRAINING} cannot be read: {error}. Run the train stage again.") from error
    found: Metric = record.get("metric") or TASKS[schema.task].default_metric
    return found


def _undefined(scores: Scores, scored: Scored) -> list[str]:
    unknown = [metric for metric, value in scores.values.items() if value is None]
    if not unknown:
        return []
    return [f"The test part cannot tell {', '.join(unknown)}: {TASKS[scored.schema.task].baseline.untold}."]


# Without looking at a feature


def _baseline(splits: Path, scored: Scored) -> dict[Metric, float]:
    """The metrics of the one answer to all rows that suits each of them best."""
    schema, task = scored.schema, TASKS[scored.schema.task]
    columns = [schema.target, *([schema.weights] if schema.weights else [])]
    table = pq.read_table(frames.part_path(splits, "train"), columns=columns)
    seen, counted = frames.labels(table, schema), frames.row_weights(table, schema)
    found = {}
    for metric in task.metrics:
        constant = metrics.TABLE[metric].best_constant
        answer = task.baseline.answer(constant, seen, counted, classes=len(schema.classes))
        scores = np.broadcast_to(answer, (len(scored.target), *answer.shape))
        found[metric] = metrics.score(
            metric, schema.task, scored.target, scores, threshold=schema.threshold, weights=scored.weights
        )
    return found


# What matters


def _measure_importance(
    scored: Scored, settings: EvaluationConfig, metric: Metric
) -> tuple[int, list[Importance], list[str]]:
    """Permutation importance on a sample: its rows, the features, and notes on what was left out."""
    columns = len(scored.schema.features)
    features = screen(scored.scorer, scored.inputs)
    limit = min(settings.importance_rows, max(200, _IMPORTANCE_CELLS // (columns * len(features))))
    rows = sample_rows(len(scored.target), limit)
    measured = permutation_importance(
        scored.scorer,
        scored.inputs.rows(rows),
        target=scored.target[rows],
        metric=metric,
        threshold=scored.schema.threshold,
        features=features,
        weights=None if scored.weights is None else scored.weights[rows],
    )
    notes = [] if measured else [f"The sampled rows cannot tell {metric}, so no permutation importance was measured."]
    if len(features) < columns:
        notes.append(
            f"Importance was measured for the {len(features)} of {columns:,} features on which the predictions depend "
            "most, found by shuffling groups of features."
        )
    return len(rows), measured, notes


def _explain(scored: Scored, settings: EvaluationConfig, measured: list[Importance]) -> Shap:
    """SHAP values of a sample, for the most important features when there are many."""
    columns = scored.schema.columns
    if len(columns) <= importance.MOST_EXPLAINED:
        features = np.arange(len(columns))
    else:
        place = {name: index for index, name in enumerate(columns)}
        leading = [place[item.feature] for item in measured] or list(range(len(columns)))
        features = np.sort(np.array(leading[: importance.MOST_EXPLAINED], dtype=np.int64))
    affordable = importance.explained_rows(len(columns), len(features))
    rows = sample_rows(len(scored.target), min(settings.shap_rows, affordable))
    return explain(scored.scorer, scored.inputs.rows(rows), features=features)
