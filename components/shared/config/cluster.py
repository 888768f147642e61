"""`cluster`: resources, time-outs and retries of tasks, and where their keys are."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from components.shared.config.base import Memory, ObjectName, Section, Stage, mebibytes


class TaskConfig(Section):
    """What one stage's task gets on a cluster; a run on one machine takes no notice of it."""

    cpu: float = Field(default=0.25, gt=0, description="Cores reserved.")
    cpu_limit: float = Field(default=2, gt=0, description="Most cores.")
    memory: Memory = Field(default="512Mi", description="Memory reserved, such as `512Mi` or `2Gi`.")
    memory_limit: Memory = Field(default="2Gi", description="Most memory; a task that needs more is ended.")
    seconds: int = Field(default=1800, ge=1, description="Longest time of one attempt, in seconds, waiting included.")
    retries: int = Field(default=1, ge=0, le=10, description="How often a task that failed is started again.")

    @model_validator(mode="after")
    def _limits_hold_what_is_reserved(self) -> Self:
        if self.cpu > self.cpu_limit:
            raise ValueError(f"cpu ({self.cpu:g}) is above cpu_limit ({self.cpu_limit:g})")
        if mebibytes(self.memory) > mebibytes(self.memory_limit):
            raise ValueError(f"memory ({self.memory}) is above memory_limit ({self.memory_limit})")
        return self


Size = Literal["small", "large"]

# Two retries where the outside world is asked. One where a stage only computes: it mends an eviction or a lost node,
# and a second would only repeat what the data made fail. None where a person has to look: a version that failed to
# serve, and a prediction that was killed and has left its claim on the destination.
DEFAULT_TASKS: dict[Stage, TaskConfig] = {
    "fingerprint": TaskConfig(cpu_limit=1, memory_limit="1Gi", seconds=900, retries=2),
    "ingest": TaskConfig(retries=2),
    "validate": TaskConfig(),
    "prepare": TaskConfig(),
    "profile": TaskConfig(),
    "tune": TaskConfig(memory_limit="3Gi", seconds=3600),
    "train": TaskConfig(memory_limit="4Gi", seconds=3600),
    "evaluate": TaskConfig(memory_limit="3Gi"),
    "gate": TaskConfig(retries=2),
    "publish": TaskConfig(cpu_limit=1, memory_limit="1Gi", seconds=900, retries=2),
    "deploy": TaskConfig(cpu_limit=1, memory_limit="1Gi", retries=0),
    "monitor": TaskConfig(retries=2),
    "predict": TaskConfig(seconds=7200, retries=0),
}

# What the stages that hold the table reserve beyond that where it is large.
_LARGE: dict[Stage, dict[str, Any]] = {
    "ingest": {"cpu": 0.5, "memory": "1Gi"},
    "validate": {"cpu": 0.5, "memory": "1Gi"},
    "prepare": {"cpu": 0.5, "memory": "1Gi"},
    "profile": {"cpu": 0.5, "memory": "1Gi"},
    "tune": {"cpu": 1, "memory": "2Gi"},
    "train": {"cpu": 1, "memory": "2Gi"},
    "evaluate": {"cpu": 0.5, "memory": "2Gi"},
    "gate": {"cpu": 0.5, "memory": "1Gi"},
    "monitor": {"cpu": 0.5, "memory": "1Gi"},
    "predict": {"cpu": 1, "memory": "1Gi"},
}


def default_tasks(size: Size) -> dict[Stage, TaskConfig]:
    """What each stage's task gets where nothing else is said."""
    more = _LARGE if size == "large" else {}
    return {stage: task.model_copy(update=more.get(stage, {})) for stage, task in DEFAULT_TASKS.items()}


class ClusterConfig(Section):
    """Tasks and endpoints on a cluster."""

    namespace: str = Field(
        default="",
        pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$",
        description="Namespace of the endpoint and of the monitoring CronJob; empty for that of the run.",
    )
    size: Size = Field(
        default="small",
        description="How much tasks reserve where `tasks` does not say it: `small` fits a node of two cores beside an "
        "endpoint, `large` reserves up to a core and 2 GiB for a table of many million rows. Limits are the same.",
    )
    tasks: dict[Stage, TaskConfig] = Field(
        default=DEFAULT_TASKS,
        description="Resources, time-out and retries by stage; what is not said stays at the stage's own default.",
    )
    backoff_seconds: int = Field(default=30, ge=1, description="Seconds before a task is started again.")
    backoff_factor: float = Field(default=2, ge=1, description="What each further wait is multiplied by.")
    backoff_limit_seconds: int = Field(
        default=600,
        ge=1,
        description="Most seconds that a task's waits together may take, besides its attempts; then it is not started "
        "again.",
    )
    store_config_map: ObjectName = Field(
        default="fullcircle-store", description="The ConfigMap that says to tasks where the object store is."
    )
    stages_secret: ObjectName = Field(
        default="fullcircle-stages", description="The secret with the keys of tasks that use the object store."
    )
    log_secret: ObjectName = Field(
        default="fullcircle-monitoring",
        description="The secret with keys that read the inference log, for the deployment's replay of logged requests.",
    )

    @model_validator(mode="before")
    @classmethod
    def _keep_what_is_not_said(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("size", "small") not in get_args(Size):
            return given
        tasks = given.get("tasks", {})
        if not isinstance(tasks, dict):
            return given
        defaults = default_tasks(given.get("size", "small"))
        own: dict[str, Any] = {stage: task.model_dump() for stage, task in defaults.items()}
        said = {
            stage: {**own.get(stage, {}), **task} if isinstance(task, dict) else task for stage, task in tasks.items()
        }
        return {**given, "tasks": {**own, **said}}
