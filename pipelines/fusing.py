"""Several neighbouring stages as one component: one task, one pod, with what each stage puts out under its own name.

The component is an ordinary lightweight one of KFP. Its inputs are those of its stages that none of them puts out for
another; its outputs are all of theirs. A name is the stage's own, and has the stage's name before it only where two
stages use the same name for different things.
"""

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from components.shared.runs.task_names import stages_in
from components.shared.stages import BY_NAME
from pipelines.fused import Wiring, fused

if TYPE_CHECKING:
    from kfp.dsl import structures
    from kfp.dsl.base_component import BaseComponent


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a stage, which a task of its own or of several stages will put out.

    Attributes:
        stage: The stage.
        name: The stage's own name for it.
    """

    stage: str
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A component and what it is called with.

    Attributes:
        component: The KFP component.
        inputs: By name: constants, pipeline parameters, and outputs of stages.
    """

    component: "BaseComponent"
    inputs: Mapping[str, object]


@cache
def component_of(stage: str) -> "BaseComponent":
    """The KFP component of a stage."""
    return getattr(import_module(BY_NAME[stage].adapter), stage)


def output_names(stages: Sequence[str]) -> dict[Output, str]:
    """What the outputs of stages are called in one task: their own names, which are made different where they are not.

    Args:
        stages: The stages of the task; of one alone every output keeps its name.
    """
    outputs = [Output(stage, name) for stage in stages for name in component_of(stage).component_spec.outputs or {}]
    times = Counter(output.name for output in outputs)
    return {output: output.name if times[output.name] == 1 else f"{output.stage}_{output.name}" for output in outputs}


@cache
def own_names(task: str) -> dict[str, tuple[str, str]]:
    """Of a task that runs several stages: by the name of its output, the stage and the stage's own name for it."""
    stages = stages_in(task)
    return {name: (output.stage, output.name) for output, name in output_names(stages).items()} if stages[1:] else {}


def fuse(calls: Mapping[str, Call]) -> Call:
    """Make one component of several stages.

    Args:
        calls: The stages, in the order in which they run, as the pipeline calls them.

    Returns:
        The call of that component.
    """
    from kfp.dsl import python_component

    names = output_names(tuple(calls))
    inputs = _Inputs(set(names.values()))
    wirings = {stage: _wiring(stage, calls, inputs, names) for stage in calls}
    run = fused([call.component.python_func for call in calls.values()], wirings)
    spec = _specification(calls, wirings, names)
    return Call(python_component.PythonComponent(spec, python_func=run), inputs.values)


def _wiring(stage: str, calls: Mapping[str, Call], inputs: "_Inputs", names: Mapping[Output, str]) -> Wiring:
    given = calls[stage].inputs
    between = {own: value for own, value in given.items() if isinstance(value, Output) and value.stage in calls}
    return Wiring(
        inputs={own: inputs.name(stage, own, value) for own, value in given.items() if own not in between},
        between={own: (output.stage, output.name) for own, output in between.items()},
        outputs={output.name: name for output, name in names.items() if output.stage == stage},
    )


def _specification(
    calls: Mapping[str, Call], wirings: Mapping[str, Wiring], names: Mapping[Output, str]
) -> "structures.ComponentSpec":
    """The KFP specification of the fused component, put together from those of its stages."""
    from kfp.dsl import structures

    specs = {stage: call.component.component_spec for stage, call in calls.items()}
    first = next(iter(specs.values())).implementation.container
    function = "_".join(calls)
    container = structures.ContainerSpecImplementation(
        image=first.image,
        command=[*first.command[:-1], _program(function, specs, wirings)],
        args=[*first.args[:-1], function],
    )
    return structures.ComponentSpec(
        name="-".join(calls),
        description="\n".join(f"{stage}: {spec.description.strip()}" for stage, spec in specs.items()),
        inputs={
            name: specs[stage].inputs[own] for stage, wiring in wirings.items() for own, name in wiring.inputs.items()
        },
        outputs={name: specs[output.stage].outputs[output.name] for output, name in names.items()},
        implementation=structures.Implementation(container=container),
    )


class _Inputs:
    """Names the inputs of a task of several stages; a value that two stages share is one input.

    Args:
        outputs: The names that its outputs have.
    """

    def __init__(self, outputs: set[str]) -> None:
        self.outputs = outputs
        self.values: dict[str, object] = {}

    def name(self, stage: str, own: str, value: object) -> str:
        """The task's input for a value: the stage's own name, or `<stage>_<name>` if that name is taken."""
        is_free = own not in self.outputs and _same(self.values.get(own, value), value)
        name = own if is_free else f"{stage}_{own}"
        self.values[name] = value
        return name


def _same(one: object, other: object) -> bool:
    """Whether two inputs are the same; KFP channels are compared by identity, as their `==` makes a condition."""
    if isinstance(one, Output | str | int | float):
        return type(one) is type(other) and bool(one == other)
    return one is other


def _program(function: str, specs: "Mapping[str, structures.ComponentSpec]", wirings: Mapping[str, Wiring]) -> str:
    """The text of the component: the functions of the stages, and the one that KFP's executor runs."""
    programs = [spec.implementation.container.command[-1] for spec in specs.values()]
    header = programs[0][: programs[0].index("def ")]
    functions = "\n\n".join(_function(program) for program in programs)
    return (
        f"{header}{functions}\n\n"
        "from pipelines.fused import Wiring, fused\n\n"
        f"{function} = fused([{', '.join(specs)}], {wirings!r})\n"
    )


def _function(program: str) -> str:
    found = next(node for node in ast.parse(program).body if isinstance(node, ast.FunctionDef))
    return ast.get_source_segment(program, found) or ""
