"""Adapter of the tune stage."""

from kfp import dsl

from components.shared.component import stage


@stage
def tune(
    family: str,
    search: str,
    training: str,
    splits: dsl.Input[dsl.Dataset],
    trials: dsl.Output[dsl.Artifact],
) -> None:
    """Search the parameters of one model family.

    Args:
        family: Name of the family.
        search: Section `search` of the configuration, JSON.
        training: What of the section `train` of the configuration says how models are fitted, JSON.
        splits: Folder with the three parts and their schema.
        trials: JSON with the family's best parameters and score, and every trial.
    """
    from pathlib import Path
    from typing import cast

    from components.shared.config import FamilyName, FittingConfig, SearchConfig
    from components.shared.progress import announce
    from components.tune.search import tune_family, write_trials

    found = tune_family(
        cast(FamilyName, family),
        Path(splits.path),
        search=SearchConfig.model_validate_json(search),
        training=FittingConfig.model_validate_json(training),
    )
    write_trials(found, Path(trials.path))
    announce(found.message)
