"""Estimators and pipelines of a family, with what the configuration says of every model.

One place that knows which settings an estimator takes: families have different names for the same thing, and some lack
it. Tune and train both make their estimators here, or the model that is trained would not be the one that was found.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.shared.config import FamilyName, FittingConfig, SearchConfig, TaskName
from components.shared.families.table import FAMILIES
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS
from components.shared.tasks.base import Value

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

PREPROCESS, MODEL = "preprocess", "model"  # steps of every pipeline


def make_estimator(
    family: FamilyName,
    task: TaskName,
    parameters: Mapping[str, Value],
    *,
    seed: int = 0,
    threads: int = 1,
    balanced: bool = False,
) -> "BaseEstimator":
    """An unfitted estimator.

    Args:
        family: Which.
        task: Decides between classes and numbers.
        parameters: By the estimator's own names.
        seed: Of all that is random in it.
        threads: Cores it may use; the result does not depend on it.
        balanced: Whether rare classes weigh more, in inverse proportion to their rows.
    """
    estimator = FAMILIES[family].estimator(task)
    fixed = {
        "random_state": seed,
        "n_jobs": threads,
        "class_weight": "balanced" if balanced and TASKS[task].has_classes else None,
        **TASKS[task].objectives.get(family, {}),
    }
    known = estimator.get_params()
    # scikit-learn's linear models have nothing that n_jobs would speed up and warn of it
    applicable = {
        name: value
        for name, value in fixed.items()
        if name in known and not (name == "n_jobs" and FAMILIES[family].linear)
    }
    return estimator.set_params(**parameters, **applicable)


def make_pipeline(
    family: FamilyName,
    parameters: Mapping[str, Value],
    schema: Schema,
    *,
    search: SearchConfig,
    training: FittingConfig,
    threads: int = 1,
) -> "Pipeline":
    """The unfitted pipeline of a family: preprocessing and model, from a frame to predictions."""
    from sklearn.pipeline import Pipeline

    from components.shared.preprocessing import make_preprocessor

    estimator = make_estimator(
        family,
        schema.task,
        parameters,
        seed=search.seed,
        threads=threads,
        balanced=training.class_weight == "balanced",
    )
    preprocessor = make_preprocessor(schema, training, linear=FAMILIES[family].linear, seed=search.seed)
    return Pipeline([(PREPROCESS, preprocessor), (MODEL, estimator)])
