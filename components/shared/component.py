"""How a stage becomes a Kubeflow Pipelines component."""

import ast
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import docstring_parser
from kfp import dsl

from components.shared.stages import BY_NAME, Stage

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent
    from kfp.dsl.structures import OutputSpec


def image_of(stage: Stage) -> str:
    """The image that a stage runs in; `make compile` says which by REGISTRY and TAG."""
    return os.environ.get(f"FULLCIRCLE_{stage.image.upper()}_IMAGE") or f"localhost/fullcircle/{stage.image}:dev"


def stage(function: Callable[..., object]) -> "BaseComponent":
    """Turn a typed function into a lightweight component that runs in the project's own image.

    Nothing is installed at run time: the image carries the project and its dependencies.

    Args:
        function: Has the name of its row in `components/shared/stages.py`.
    """
    image = image_of(BY_NAME[function.__name__])
    component = dsl.component(base_image=image, install_kfp_package=False)(function)
    _describe_outputs(component.component_spec.outputs or {}, function.__doc__ or "")
    command = component.component_spec.implementation.container.command
    command[-1] = _without_docstring(command[-1])
    return component


def _without_docstring(source: str) -> str:
    """The source of a component without its description, which the component has beside it.

    Argo keeps the source in its status of the run eight times a task, and compresses a status that is too large.
    """
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    description = function.body[0]
    lines = source.splitlines()
    del lines[description.lineno - 1 : description.end_lineno]
    return "\n".join(lines) + "\n"


def _describe_outputs(outputs: "dict[str, OutputSpec]", docstring: str) -> None:
    """Give the outputs their descriptions: KFP looks for those of artifacts under `Returns:`, where none stands."""
    parsed = docstring_parser.parse(docstring)
    described = {param.arg_name: param.description for param in parsed.params}
    if parsed.returns:
        described["Output"] = parsed.returns.description
    for name, output in outputs.items():
        output.description = output.description or described.get(name)
