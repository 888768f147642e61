"""What the chosen model says of rows that it did not learn from: by this it is calibrated and its threshold chosen.

Of many rows: those of the validation part, by a model fitted to the training part alone; boosted trees stop early on
them. Of few: every row of both parts by cross-validation, with the rounds that the search found. Either way the final
model, which learns from all of them, is never asked about rows it knows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from components.shared.config import SearchConfig, TrainConfig
from components.shared.families import FAMILIES, MODEL, PREPROCESS, Parameters, Rows, best_rounds, make_pipeline
from components.shared.folds import FEW_ROWS, load_seen, make_folds, split_method, take
from components.shared.frames import Part, load_part
from components.shared.package.schema import Schema
from components.shared.resources import training_threads
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray
from components.shared.trials import FamilyTrials


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be fitted, on which rows.

    Attributes:
        best: The family and its parameters.
        splits: The folder that prepare writes.
        schema: Its columns.
        rows: Of the training and the validation part.
    """

    best: FamilyTrials
    splits: Path
    schema: Schema
    search: SearchConfig
    training: TrainConfig
    rows: int

    def pipeline(self, parameters: Parameters) -> Pipeline:
        """An unfitted pipeline of the family."""
        return make_pipeline(
            self.best.family,
            parameters,
            self.schema,
            search=self.search,
            training=self.training,
            threads=training_threads(self.rows),
        )


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows and what a model that did not learn from them says.

    Attributes:
        target: Class indices, shape (rows,).
        scores: Probabilities, shape (rows, classes).
        weights: How much each row counts; None for all the same.
        rows: Where they are from.
        later: Whether all of them come after the rows that the model learned from.
    """

    target: TargetArray
    scores: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    rows: Literal["validation", "folds"]
    later: bool = False


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is found out before the final fit.

    Attributes:
        held_out: None for numbers, which have neither threshold nor probabilities.
        parameters: Of the final model: the best ones, with rounds for the rows it will learn from.
    """

    held_out: HeldOut | None
    parameters: Parameters


def rehearse(task: Task) -> Rehearsal:
    """Fit the model without the rows it is then asked about."""
    train = load_part(task.splits, "train", task.schema)
    if len(train.target) < FEW_ROWS and (rehearsal := _by_folds(task)):
        return rehearsal
    return _by_validation(task, train)


# Example: 100 rounds that were best on 70 rows become 143 for 100 rows; for 1,000 rows they become 200, no more.
def scaled(rounds: int, *, found_on: int, rows: int) -> int:
    """Rounds for more rows than those that they were found on: in proportion, at most twice as many."""
    return max(1, round(rounds * min(2.0, rows / max(1, found_on))))


def _by_validation(task: Task, train: Part) -> Rehearsal:
    best, family = task.best, FAMILIES[task.best.family]
    classes = TASKS[task.schema.task].has_classes
    if not classes and not best.finds_rounds:
        return Rehearsal(None, best.best.parameters)
    unseen = load_part(task.splits, "validation", task.schema)
    pipeline = task.pipeline(best.best.parameters)
    preprocessor, model = pipeline[PREPROCESS], pipeline[MODEL]
    seen = Rows(preprocessor.fit_transform(train.frame, train.target), train.target, train.weights)
    watched = Rows(preprocessor.transform(unseen.frame), unseen.target, unseen.weights)
    parameters = best.best.parameters
    if best.finds_rounds:
        rounds = best_rounds([family.fit_early(model, seen, watched, most=task.search.rounds)])
        more = scaled(rounds, found_on=len(train.target), rows=len(train.target) + len(unseen.target))
        parameters = {**parameters, family.rounds: more}
    else:
        family.fit(model, seen)
    if not classes:
        return Rehearsal(None, parameters)
    later = split_method(task.splits) == "chronological"
    scores = np.asarray(model.predict_proba(watched.features), dtype=np.float64)
    return Rehearsal(HeldOut(unseen.target, scores, unseen.weights, "validation", later), parameters)


def _by_folds(task: Task) -> Rehearsal | None:
    """None where no fold can be learned from."""
    seen = load_seen(task.splits, task.schema)
    divisions = make_folds(seen, classes=len(task.schema.classes), seed=task.search.seed)
    if not divisions:
        return None
    best, family, part = task.best, FAMILIES[task.best.family], seen.part
    parameters = best.best.parameters
    if best.finds_rounds and family.rounds in parameters:
        rounds = scaled(int(parameters[family.rounds] or 1), found_on=best.best.rows, rows=len(part.target))
        parameters = {**parameters, family.rounds: rounds}
    if not TASKS[task.schema.task].has_classes:
        return Rehearsal(None, parameters)
    answers = []
    for fold in divisions[0]:  # each row once
        pipeline = fit_pipeline(task.pipeline(best.best.parameters), take(part, fold.train))
        answers.append(np.asarray(pipeline.predict_proba(part.frame.iloc[fold.unseen]), dtype=np.float64))
    rows = np.concatenate([fold.unseen for fold in divisions[0]])
    order = np.argsort(rows)
    chosen = take(part, rows[order])
    scores, later = np.concatenate(answers)[order], seen.method == "chronological"
    return Rehearsal(HeldOut(chosen.target, scores, chosen.weights, "folds", later), parameters)


def fit_pipeline(pipeline: Pipeline, part: Part) -> Pipeline:
    """Fit a pipeline, each row counting by its weight."""
    weights = {} if part.weights is None else {f"{MODEL}__sample_weight": part.weights}
    return pipeline.fit(part.frame, part.target, **weights)
