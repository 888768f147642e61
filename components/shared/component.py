"""How a stage becomes a Kubeflow Pipelines component."""

import os
from collections.abc import Callable
from typing import Any

from kfp import dsl

STAGE_IMAGE = os.environ.get("FULLCIRCLE_STAGE_IMAGE", "localhost/fullcircle/python-stage:dev")


def stage(function: Callable[..., Any]) -> Any:
    """Turn a typed function into a lightweight component that runs in the project's own image.

    Nothing is installed at run time: the image carries the project and its dependencies.
    """
    return dsl.component(base_image=STAGE_IMAGE, install_kfp_package=False)(function)
