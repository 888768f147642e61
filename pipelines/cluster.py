"""What a task gets on a cluster: its name in the UI, resources, a time-out, retries with back-off."""

from typing import Any

from kfp import kubernetes

from components.shared.config import ClusterConfig, Stage


def on_cluster(task: Any, stage: Stage, cluster: ClusterConfig) -> Any:
    """Say how a task is to run on a cluster.

    Args:
        task: The KFP task.
        stage: Name of its stage.
        cluster: The section `cluster` of the configuration.

    Returns:
        The same task.
    """
    settings = cluster.tasks[stage]
    task.set_display_name(stage.capitalize())
    task.set_cpu_request(f"{settings.cpu:g}").set_cpu_limit(f"{settings.cpu_limit:g}")
    task.set_memory_request(settings.memory).set_memory_limit(settings.memory_limit)
    kubernetes.set_timeout(task, settings.seconds)
    if settings.retries:
        task.set_retry(
            num_retries=settings.retries,
            backoff_duration=f"{cluster.backoff_seconds}s",
            backoff_factor=cluster.backoff_factor,
            backoff_max_duration=f"{cluster.backoff_limit_seconds}s",
        )
    return task
