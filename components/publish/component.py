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
    waits_to_serve: str = "",
    gate: str = "{}",
    evaluation: str = "{}",
    namespace: str = "",
) -> str:
    """Store the model package as an immutable version; deploy makes it the champion once it has served.

    Args:
        name: Name of the model.
        model: Folder with the trained files of the package.
        evaluated: Folder with `metrics.json` and `card.html`.
        verdict: The gate's verdict, JSON.
        monitoring: Section `monitoring` of the configuration, JSON: how the version will be watched.
        waits_to_serve: Section `serving` of the configuration, JSON, of a version that waits for approval, by a person
            or by labelled requests, before it is deployed; empty for one that is deployed by this run.
        gate: Section `gate` of the configuration, JSON, with the metric that is compared, of a version that waits.
        evaluation: Section `evaluation` of the configuration, JSON, of a version that waits.
        namespace: Where a version that waits is to be served on a cluster; empty for the namespace of the run.

    Returns:
        The version's id.
    """
    from pathlib import Path

    from components.publish.publish import publish_version, read_terms, wait_for_approval
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
    if waits_to_serve:
        terms = read_terms(waits_to_serve, gate, evaluation, namespace=namespace)
        announce(wait_for_approval(store, name, published.version, terms, verdict=Path(verdict.path)))
    return published.version
