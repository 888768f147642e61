"""The profile stage: what is in the data, for people."""

from kfp import dsl

from components.shared.component import stage


@stage
def profile(
    settings: str, splits: dsl.Input[dsl.Dataset], profile_page: dsl.Output[dsl.HTML], summary: dsl.Output[dsl.Artifact]
) -> None:
    """Describe all three parts of the data together: the EDA report.

    Args:
        settings: The `profile` section of the configuration, as JSON.
        splits: The folder that prepare writes.
        profile_page: Types, missing values, distributions, correlations, principal components, the target over time
            and by category.
        summary: The same figures as JSON.
    """
    from pathlib import Path

    from components.profile import page as pages
    from components.profile import statistics
    from components.profile.figures import headline
    from components.shared.config import ProfileConfig
    from components.shared.files import write_text
    from components.shared.progress import announce

    found, points = statistics.profile(Path(splits.path), ProfileConfig.model_validate_json(settings))
    pages.build(found, points).write(profile_page.path)
    write_text(Path(summary.path), found.model_dump_json(indent=2) + "\n")
    announce(headline(found))
