"""Several stages in one task: what runs in its container, stage after stage, as if each had a task of its own.

The task's program holds the functions of its stages and one call of `fused`, whose result KFP's executor takes for the
function of an ordinary component: it has the inputs that the stages do not put out for one another, and all their
outputs. `pipelines/fusing.py` writes that program.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from components.shared.progress import borders


@dataclass(frozen=True, slots=True)
class Wiring:
    """How one stage's inputs and outputs are connected.

    Attributes:
        inputs: By its own name of an input, the task's input.
        between: By its own name of an input, the stage before it in the same task and the output of that.
        outputs: By its own name of an output, the task's output.
    """

    inputs: Mapping[str, str]
    between: Mapping[str, tuple[str, str]]
    outputs: Mapping[str, str]


def fused(functions: Sequence[Callable[..., object]], wirings: Mapping[str, Wiring]) -> Callable[..., object]:
    """Make one function of several stages'.

    Args:
        functions: The functions of the stages, in the order in which they run.
        wirings: The connections of each, by its name.

    Returns:
        A function with the task's inputs and outputs, annotated as KFP's executor expects it.
    """
    returned = [each for function in functions for each in _returned(function, wirings[function.__name__])]
    make_outputs: Any = NamedTuple("Outputs", returned)  # type: ignore[misc]  # the fields are known at run time

    def run(**given: object) -> object:
        values: dict[tuple[str, str], object] = {}
        for function in functions:
            values |= _run_stage(function, wirings[function.__name__], given, values)
        found = {wirings[stage].outputs.get(name, ""): value for (stage, name), value in values.items()}
        return make_outputs(**{name: found[name] for name, _ in returned}) if returned else None

    # KFP's executor looks in both places.
    signature = _signature(functions, wirings, make_outputs if returned else inspect.Signature.empty)
    run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    run.__signature__ = signature  # type: ignore[attr-defined]  # functions have none to be typed
    return run


def _signature(
    functions: Sequence[Callable[..., object]], wirings: Mapping[str, Wiring], returns: object
) -> inspect.Signature:
    """The signature of the task's function: all inputs and output artifacts, each once, and the return type."""
    parameters = {
        parameter.name: parameter
        for function in functions
        for parameter in _parameters(function, wirings[function.__name__])
    }
    return inspect.Signature(list(parameters.values()), return_annotation=returns)


def _run_stage(
    function: Callable[..., object],
    wiring: Wiring,
    given: Mapping[str, object],
    values: Mapping[tuple[str, str], object],
) -> dict[tuple[str, str], object]:
    """Run one stage.

    Args:
        function: The stage's.
        wiring: Its connections.
        given: The task's inputs and output artifacts.
        values: What the stages before it have put out, by stage and name.

    Returns:
        What this one has put out.
    """
    stage = function.__name__
    artifacts = {own: given[name] for own, name in wiring.outputs.items() if name in given}
    inputs = {own: given[name] for own, name in wiring.inputs.items() if name in given}
    between = {own: values[source] for own, source in wiring.between.items()}
    with borders(stage):
        result = function(**inputs, **between, **artifacts)
    found = result._asdict() if hasattr(result, "_asdict") else {"Output": result}
    return {(stage, name): value for name, value in {**artifacts, **found}.items()}


def _parameters(function: Callable[..., object], wiring: Wiring) -> list[inspect.Parameter]:
    """The stage's parameters that are also inputs or outputs of the task, by their names in the task."""
    names = {**wiring.inputs, **wiring.outputs}
    return [
        inspect.Parameter(names[parameter.name], inspect.Parameter.KEYWORD_ONLY, annotation=parameter.annotation)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name in names
    ]


def _returned(function: Callable[..., object], wiring: Wiring) -> list[tuple[str, object]]:
    """Name in the task and type of each value that the stage returns."""
    kind = inspect.signature(function).return_annotation
    if kind in (None, inspect.Signature.empty):
        return []
    fields = kind.__annotations__ if hasattr(kind, "_fields") else {"Output": kind}
    return [(wiring.outputs[name], each) for name, each in fields.items()]
