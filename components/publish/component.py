"""Adapter of the publish stage."""

from kfp import dsl

from components.shared.component import stage


@stage
def publish(
    name: str,
    model: dsl.Input[dsl.Model],
    evaluated: dsl.Input[dsl.Artifact],
    verdict: dsl.Input[dsl.Artifact],
) -> str:
    """Store the model package as an immutable version; deploy makes it the champion once it has served.

    Args:
        name: Name of the model.
        model: Folder with the trained files of the package.
        evaluated: Folder with `metrics.json` and `card.html`.
        verdict: The gate's verdict, JSON.

    Returns:
        The version's id.
    """
    from pathlib import Path

    from components.publish.publish import publish_version
    from components.shared.progress import announce
    from components.shared.store import Store

    published = publish_version(
        Store.connect_patiently(),
        name,
        model=Path(model.path),
        evaluated=Path(evaluated.path),
        verdict=Path(verdict.path),
    )
    announce(published.message)
    return published.version
