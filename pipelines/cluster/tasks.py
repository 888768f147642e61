"""What a task gets on a cluster: its name in the UI, resources, a time-out, retries with back-off, the store's keys.

The stages themselves know nothing of a cluster. All that their pods need is said here in one place, from the section
`cluster` and the table of stages: only tasks that use the store get its keys, and only those that read the inference
log get the keys that may. Secrets are optional, because a pod that waits for one waits in silence, and a task without
keys says so.
"""

from collections.abc import Sequence

from kfp import kubernetes
from kfp.dsl import PipelineTask
from kfp.dsl.structures import ResourceSpec
from pydantic import BaseModel

from components.shared.config import ClusterConfig, TaskConfig
from components.shared.config.base import mebibytes
from components.shared.stages import BY_NAME

_STORE = ("AWS_ENDPOINT_URL", "AWS_REGION", "FULLCIRCLE_BUCKET")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_LOG_KEYS = {
    "AWS_ACCESS_KEY_ID": "FULLCIRCLE_LOG_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "FULLCIRCLE_LOG_SECRET_ACCESS_KEY",
}
_USER = 1000  # the image's
# KFP labels every pod of a run so.
_RUN_ID_LABEL = "metadata.labels['pipeline/runid']"


def constant(section: BaseModel) -> str:
    """A section of the configuration as the text that a task receives.

    JSON keeps whole numbers whole, which KFP's own structs do not. What is at its default is left out: the image of
    the stages, which is pinned, has the same defaults, and each quote takes eight characters in Argo's status of a run.
    """
    return section.model_dump_json(exclude_defaults=True)


def on_cluster(
    task: PipelineTask, stages: Sequence[str], cluster: ClusterConfig, *, reads_log: bool = False
) -> PipelineTask:
    """Say how a task is to run on a cluster.

    Args:
        task: The KFP task.
        stages: Names of its stages, in order: one, or those that share the task.
        cluster: The section `cluster` of the configuration.
        reads_log: Whether this pipeline lets one of them read the inference log, whatever the table of stages says.

    Returns:
        The same task.
    """
    settings = combined_resources([cluster.tasks[stage] for stage in stages])
    task.set_display_name(", ".join(stages).capitalize())
    _set_resources(task, settings)
    kubernetes.set_timeout(task, settings.seconds)
    # Set here, so that a namespace may enforce the restricted profile whatever KFP is configured to say.
    kubernetes.set_security_context(task, run_as_user=_USER, run_as_group=_USER, run_as_non_root=True)
    if settings.retries:
        task.set_retry(
            num_retries=settings.retries,
            backoff_duration=f"{cluster.backoff_seconds}s",
            backoff_factor=cluster.backoff_factor,
            # Argo counts it from the start of the first attempt, and ends a later one that is still at work then.
            backoff_max_duration=f"{(settings.retries + 1) * settings.seconds + cluster.backoff_limit_seconds}s",
        )
    if any(BY_NAME[stage].uses_store for stage in stages):
        _environment(task, cluster)
    if reads_log or any(BY_NAME[stage].reads_log for stage in stages):
        _secret(task, cluster.log_secret, _LOG_KEYS)
    return task


def with_receivers(task: PipelineTask, cluster: ClusterConfig, variables: Sequence[str]) -> PipelineTask:
    """Let a task know the receivers of notifications, and the run that it is to tell of.

    Args:
        task: The KFP task.
        cluster: The section `cluster` of the configuration.
        variables: Names of the receivers' variables, which are those of the secret's keys.

    Returns:
        The same task.
    """
    _secret(task, cluster.notifications_secret, {name: name for name in variables})
    _run_id(task)
    return task


def _set_resources(task: PipelineTask, settings: TaskConfig) -> None:
    """Say what a task's container asks for, in one assignment.

    KFP's own four methods each read the source of every function on the stack (`inspect.stack`), only to name
    themselves in an error: that was most of the time that compiling a pipeline took.
    """
    task.container_spec.resources = ResourceSpec(
        cpu_request=f"{settings.cpu:g}",
        cpu_limit=f"{settings.cpu_limit:g}",
        memory_request=settings.memory,
        memory_limit=settings.memory_limit,
    )


# Example: of a stage with 1 core, 600 s and 2 retries, and one with 2 cores, 900 s and none, the task gets 2 cores,
# 1,500 s and no retry: what must not be repeated is not, even if it costs the other its retries.
def combined_resources(tasks: Sequence[TaskConfig]) -> TaskConfig:
    """What a task gets that runs several stages one after another: the most that one needs, and the time of all.

    It is started again as often as the stage that asks for most, unless one of them must not be repeated.
    """
    retries = [task.retries for task in tasks]
    return TaskConfig(
        cpu=max(task.cpu for task in tasks),
        cpu_limit=max(task.cpu_limit for task in tasks),
        memory=max((task.memory for task in tasks), key=mebibytes),
        memory_limit=max((task.memory_limit for task in tasks), key=mebibytes),
        seconds=sum(task.seconds for task in tasks),
        retries=max(retries) if all(retries) else 0,
    )


def _environment(task: PipelineTask, cluster: ClusterConfig) -> None:
    """Let a task know the object store, its keys to it, and the run it belongs to."""
    # Optional: a task that lacks them says so at once, where a pod that lacks them would wait without a word.
    kubernetes.use_config_map_as_env(
        task,
        config_map_name=cluster.store_config_map,
        config_map_key_to_env={key: key for key in _STORE},
        optional=True,
    )
    _secret(task, cluster.stages_secret, {key: key for key in _KEYS})
    _run_id(task)


def _run_id(task: PipelineTask) -> None:
    kubernetes.use_field_path_as_env(task, env_name="KFP_RUN_ID", field_path=_RUN_ID_LABEL)


def _secret(task: PipelineTask, name: str, keys: dict[str, str]) -> None:
    kubernetes.use_secret_as_env(task, secret_name=name, secret_key_to_env=keys, optional=True)
