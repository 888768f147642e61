"""Adapter of the train stage."""

from typing import List  # noqa: UP035, kfp knows lists of artifacts by this name alone

from kfp import dsl

from components.shared.component import stage


@stage
def train(
    search: str,
    training: str,
    problem: str,
    lineage: str,
    trials: dsl.Input[List[dsl.Artifact]],  # noqa: UP006
    splits: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
) -> None:
    """Fit the best model again and write its package, served model included.

    Args:
        search: Section `search` of the configuration, JSON.
        training: Section `train` of the configuration, JSON.
        problem: Section `problem` of the configuration, JSON.
        lineage: Where the rows came from, JSON.
        trials: What tuning found, one JSON file a family.
        splits: Folder with the three parts and their schema.
        model: Folder with the trained files of the model package.
    """
    from pathlib import Path

    from components.shared.config import ProblemConfig, SearchConfig, TrainConfig
    from components.shared.package.model_package import Lineage
    from components.shared.progress import announce
    from components.shared.trials import FamilyTrials
    from components.train.training import train_model

    trained = train_model(
        [FamilyTrials.model_validate_json(Path(one.path).read_bytes()) for one in trials],
        Path(splits.path),
        Path(model.path),
        search=SearchConfig.model_validate_json(search),
        training=TrainConfig.model_validate_json(training),
        problem=ProblemConfig.model_validate_json(problem),
        lineage=Lineage.model_validate_json(lineage),
    )
    announce(trained.message)
