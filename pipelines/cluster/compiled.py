"""Compiled pipelines: YAML for Kubeflow Pipelines, in ASCII, and the name of its content.

The name of the content makes the same configuration the same version on Kubeflow Pipelines, however often it is
submitted. The file is in ASCII, whatever languages the configuration's texts are in, so that no program on its way can
read it in another encoding.
"""

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the command line's help loads this file
    from components.shared.config import Config

Kind = Literal["training", "batch-prediction", "monitoring"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NAME_LENGTH = 12


def compile_to(config: "Config", kind: Kind, output: Path) -> None:
    """Compile one of the pipelines of a configuration.

    Args:
        config: The checked configuration.
        kind: Which pipeline.
        output: The YAML file; its folder is made.
    """
    from kfp import compiler

    from pipelines.batch_prediction import batch_prediction_pipeline
    from pipelines.monitoring import monitoring_pipeline
    from pipelines.training import training_pipeline

    builders = {
        "training": training_pipeline,
        "batch-prediction": batch_prediction_pipeline,
        "monitoring": monitoring_pipeline,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        compiler.Compiler().compile(builders[kind](config), str(output))
    put_in_ascii(output)


def put_in_ascii(path: Path) -> None:
    """Escape the rest: KFP writes texts so already, but not the comments at the top."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.encode("ascii", "backslashreplace").decode("ascii"), encoding="ascii")


def content_name(path: Path) -> str:
    """A short hash of a file: the same content has the same name."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_NAME_LENGTH]
