"""The whole configuration of one use case, put together from its sections.

The sections are models of their own, because each stage gets its own and no more: a changed section re-runs only what
depends on it. What concerns two sections at once, such as a metric that does not fit the task, can only be checked
here.
"""

from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from components.shared.config.base import Section
from components.shared.config.cluster import ClusterConfig
from components.shared.config.contract import ContractConfig
from components.shared.config.evaluation import EvaluationConfig
from components.shared.config.gate import GateConfig
from components.shared.config.monitoring import MonitoringConfig
from components.shared.config.prepare import PrepareConfig
from components.shared.config.problem import ProblemConfig
from components.shared.config.profile import ProfileConfig
from components.shared.config.search import SearchConfig
from components.shared.config.serving import ServingConfig
from components.shared.config.source import AnySourceConfig, SourceConfig
from components.shared.config.train import TrainConfig
from components.shared.names import MetricName
from components.shared.tasks import TASKS


class Config(Section):
    """One use case: from a table to a monitored endpoint."""

    name: str = Field(
        pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$",
        description="Name of the pipeline, the model and the endpoint: lower-case letters, digits and - (at most 40).",
    )
    description: str = Field(default="", description="What is predicted and why, in a sentence.")
    source: AnySourceConfig = Field(
        description="The source tables and the query that joins them; or `{kind: log, weeks: 12}`, what the endpoint "
        "was really asked, with the labels that have come.",
    )
    problem: ProblemConfig = Field(description="What is to be predicted from what.")
    contract: ContractConfig = Field(default=ContractConfig(), description="The data contract.")
    prepare: PrepareConfig = Field(default=PrepareConfig(), description="Repairs and the split.")
    profile: ProfileConfig = Field(default=ProfileConfig(), description="The EDA report.")
    search: SearchConfig = Field(default=SearchConfig(), description="Model families and their tuning.")
    train: TrainConfig = Field(default=TrainConfig(), description="The scikit-learn pipeline and the model package.")
    evaluation: EvaluationConfig = Field(default=EvaluationConfig(), description="Metrics, slices, explanations.")
    gate: GateConfig = Field(default=GateConfig(), description="What a candidate has to fulfil.")
    serving: ServingConfig = Field(default=ServingConfig(), description="The endpoint.")
    monitoring: MonitoringConfig = Field(default=MonitoringConfig(), description="The drift report.")
    cluster: ClusterConfig = Field(default=ClusterConfig(), description="Resources, time-outs and retries of tasks.")

    @field_validator("source", mode="after")
    @classmethod
    def _log_of_this_model(cls, source: SourceConfig, known: ValidationInfo) -> SourceConfig:
        name = known.data.get("name", "")  # missing where it is itself a mistake
        return source.of_model(name) if source.of_requests and name else source

    @model_validator(mode="after")
    def _search_ends_in_time(self) -> Self:
        longest = self.cluster.tasks["tune"].seconds
        if self.search.budget.seconds >= longest:
            raise ValueError(
                f"search.budget.seconds ({self.search.budget.seconds:g}) has to be below "
                f"cluster.tasks.tune.seconds ({longest}), which ends the task"
            )
        return self

    @model_validator(mode="after")
    def _metrics_fit_the_task(self) -> Self:
        mistakes = [
            f"{path}: {metric!r} is not a metric of a {self.problem.task} task"
            for path, metric in self._named_metrics()
            if metric not in TASKS[self.problem.task].metrics
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @model_validator(mode="after")
    def _calibration_fits_the_task(self) -> Self:
        if self.train.calibration == "isotonic" and not TASKS[self.problem.task].has_positive_class:
            raise ValueError(
                f"train.calibration: `isotonic` is for two classes, and the task is {self.problem.task}; "
                "use `sigmoid`, or leave it at `auto`"
            )
        return self

    @property
    def gate_of_metric(self) -> GateConfig:
        """The gate with the metric by which it compares, where the configuration names one."""
        champion = self.gate.champion
        named = champion.model_copy(update={"metric": champion.metric or self.search.metric})
        return self.gate.model_copy(update={"champion": named})

    def _named_metrics(self) -> list[tuple[str, MetricName]]:
        """Every metric the configuration names, with its path."""
        optional = {
            "search.metric": self.search.metric,
            "gate.champion.metric": self.gate.champion.metric,
            "gate.slices.metric": self.gate.slices.metric,
        }
        thresholds = [(f"gate.thresholds.{metric}", metric) for metric in self.gate.thresholds]
        return [*((path, metric) for path, metric in optional.items() if metric), *thresholds]
