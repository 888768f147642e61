"""Stages called by a pipeline become tasks: each one of its own, or several neighbours one, as `cluster.fuse` says.

A pipeline calls its stages in order and hands on what they put out; it does not see which of them share a task.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kfp.dsl.base_component import BaseComponent
from kfp.dsl.pipeline_channel import PipelineChannel

from components.shared.config import ClusterConfig
from components.shared.stages import BY_NAME
from pipelines.cluster.tasks import on_cluster
from pipelines.fusing import Call, Output, fuse, output_names


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a stage puts out, by the stage's own names."""

    stage: str

    def __getitem__(self, name: str) -> Output:
        return Output(self.stage, name)


class Tasks:
    """The tasks of one pipeline.

    Args:
        cluster: The section `cluster` of the configuration.
        fuse: Groups of stages that share a task; none for each a task of its own.
        cached: Whether tasks may be taken from an earlier run, of those stages for which the table allows it.
        reads_log: Stages that read the inference log in this pipeline, besides those that always may.
    """

    def __init__(
        self,
        cluster: ClusterConfig,
        *,
        fuse: Sequence[Sequence[str]] = (),
        cached: bool = True,
        reads_log: Collection[str] = (),
    ) -> None:
        self.cluster = cluster
        self.reads_log = frozenset(reads_log)
        self.cached = cached
        self._groups = {stage: tuple(group) for group in fuse for stage in group}
        self._calls: dict[str, Call] = {}
        self._channels: dict[Output, PipelineChannel] = {}

    def add(self, component: BaseComponent, **inputs: object) -> Outputs:
        """Call a stage; its task is made with the last stage of its group.

        Args:
            component: The stage's component.
            inputs: Constants, pipeline parameters, and outputs of stages.

        Returns:
            Its outputs, for the inputs of other stages.
        """
        stage = component.python_func.__name__
        self._calls[stage] = Call(component, inputs)
        group = self._groups.get(stage, (stage,))
        if stage == group[-1]:
            self._make({name: self._calls[name] for name in group})
        return Outputs(stage)

    def channel(self, value: object) -> object:
        """The KFP channel of an output, for loops and conditions; any other value is returned unchanged."""
        return self._channels[value] if isinstance(value, Output) else value

    def _make(self, calls: dict[str, Call]) -> None:
        stages = tuple(calls)
        (first, *others) = calls.values()
        made = fuse(calls) if others else first
        task = made.component(**{name: self.channel(value) for name, value in made.inputs.items()})
        on_cluster(task, stages, self.cluster, reads_log=bool(self.reads_log.intersection(stages)))
        if not (self.cached and all(BY_NAME[stage].cached for stage in stages)):
            task.set_caching_options(False)
        self._channels |= {output: task.outputs[name] for output, name in output_names(stages).items()}
