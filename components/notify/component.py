"""Adapter of the notify stage, the exit task of the training pipeline."""

from kfp import dsl

from components.shared.component import stage


@stage
def notify(status: dsl.PipelineTaskFinalStatus, name: str, settings: str = "{}", families: str = "") -> None:
    """Tell the receivers of a run that failed, and why it did.

    Args:
        status: How the run's other tasks ended, as Kubeflow Pipelines says it.
        name: Name of the model.
        settings: Section `monitoring.notifications` of the configuration, JSON.
        families: Names of the model families, in order, with commas between them.
    """
    from components.notify.notify import notify_of_run
    from components.shared.config.notifications import NotificationsConfig
    from components.shared.progress import announce

    told = notify_of_run(
        name,
        state=status.state,
        error=status.error_message,
        settings=NotificationsConfig.model_validate_json(settings),
        families=families.split(","),
    )
    announce(told)
