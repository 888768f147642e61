"""`cluster`: resources, time-outs and retries of tasks, and where their keys are.

A run on one machine takes no notice of this section, so that the same file serves both. Defaults come from the table of
stages; a configuration that changes one number of a stage keeps its others. Which stages may share a task follows from
the pipeline, and a group that cannot is refused here, before anything is compiled.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from components.shared.agreed_names import MONITORING
from components.shared.config.base import Memory, ObjectName, Section, mebibytes
from components.shared.stages import BY_NAME, STAGES, TRAINING, StageName


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

DEFAULT_TASKS: dict[StageName, TaskConfig] = {stage.name: TaskConfig(**stage.resources) for stage in STAGES}


def default_tasks(size: Size) -> dict[StageName, TaskConfig]:
    """What each stage's task gets where nothing else is configured."""
    if size == "small":
        return dict(DEFAULT_TASKS)
    return {stage.name: TaskConfig(**{**stage.resources, **stage.large}) for stage in STAGES}


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
    tasks: dict[StageName, TaskConfig] = Field(
        default=DEFAULT_TASKS,
        description="Resources, time-out and retries by stage; what is not given stays at the stage's own default.",
    )
    fuse: list[list[StageName]] = Field(
        default=[],
        description="Groups of neighbouring stages of the training pipeline that run in one task, in one container, in "
        "this order, such as `[[ingest, validate, prepare], [publish, deploy]]`: fewer pods to wait for. What each "
        "stage writes keeps its own name. Default: every stage is a task of its own.",
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
        default=MONITORING,
        description="The secret with keys that read the inference log, for the deployment's replay of logged requests.",
    )

    notifications_secret: ObjectName = Field(
        default="fullcircle-notifications",
        description="The secret with addresses and keys of the receivers of `monitoring.notifications`, by the names "
        "of their variables.",
    )

    @model_validator(mode="before")
    @classmethod
    def _keep_stage_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("size", "small") not in get_args(Size):
            return given
        tasks = given.get("tasks", {})
        if not isinstance(tasks, dict):
            return given
        defaults = default_tasks(given.get("size", "small"))
        own: dict[str, Any] = {stage: task.model_dump() for stage, task in defaults.items()}
        configured = {
            stage: {**own.get(stage, {}), **task} if isinstance(task, dict) else task for stage, task in tasks.items()
        }
        return {**given, "tasks": {**own, **configured}}

    @field_validator("fuse")
    @classmethod
    def _groups_can_be_one_task(cls, fuse: list[list[StageName]]) -> list[list[StageName]]:
        mistakes = [mistake for group in fuse if (mistake := _why_not_one_task(group))]
        named = [name for group in fuse for name in group]
        mistakes += [f"{name} is named twice" for name in dict.fromkeys(named) if named.count(name) > 1]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return fuse


def _why_not_one_task(group: Sequence[StageName]) -> str:
    """Why stages cannot run in one task; empty when they can."""
    names = f"[{', '.join(group)}]"
    if len(group) < 2:
        return f"{names}: a group is of at least two neighbours"
    parts = {name: BY_NAME[name].part for name in group}
    for name, part in parts.items():
        if part in ("exit", "prediction", "monitoring"):
            return f"{names}: {name} is no stage of the training pipeline"
        if part == "each family":
            return (
                f"{names}: {name} runs once for each model family, so that it cannot share a task with its neighbours"
            )
    start = TRAINING.index(group[0])
    neighbours = TRAINING[start : start + len(group)]
    if neighbours != tuple(group):
        expected = f"after {group[0]} come {', '.join(neighbours[1:])}" if neighbours[1:] else f"{group[0]} is the last"
        return f"{names} are no neighbours in this order: {expected}"
    behind = [name for name, part in parts.items() if part == "promoted"]
    if behind and len(behind) < len(group):
        return (
            f"{names}: {behind[0]} runs only when the gate promotes the candidate, {group[0]} always; "
            f"a group cannot reach across that, end it before {behind[0]}"
        )
    return ""
