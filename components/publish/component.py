"""Adapter of the publish stage."""

from kfp import dsl

from components.shared.component import stage


@stage
def publish(
    name: str,
    model: dsl.Input[dsl.Model],
    evaluated: dsl.Input[dsl.Artifact],
    verdict: dsl.Input[dsl.Artifact],
    monitoring: str = "{}",
) -> str:
    """Store the model package as an immutable version; deploy makes it the champion once it has served.

    Args:
        name: Name of the model.
        model: Folder with the trained files of the package.
        evaluated: Folder with `metrics.json` and `card.html`.
        verdict: The gate's verdict, JSON.
        monitoring: Section `monitoring` of the configuration, JSON: how the version will be watched.

    Returns:
        The version's id.
    """
    from pathlib import Path

    from components.publish.publish import publish_version
    from components.shared.config import MonitoringConfig
    from components.shared.progress import announce
    from components.shared.registry.monitoring import keep_settings
    from components.shared.store import Store

    store = Store.connect()
    published = publish_version(
        store, name, model=Path(model.path), evaluated=Path(evaluated.path), verdict=Path(verdict.path)
    )
    keep_settings(store, name, published.version, MonitoringConfig.model_validate_json(monitoring))
    announce(published.message)
    return published.version
