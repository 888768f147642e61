"""`compile`: the pipelines as YAML for Kubeflow Pipelines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli import options
from pipelines.cli.places import BUILD


def compile(
    config: options.ConfigFile,
    pipeline: Annotated[
        Literal["training", "batch-prediction", "monitoring"] | None,
        typer.Option(help="only this one (default: all three)"),
    ] = None,
    output: options.Output = None,
) -> int:
    """Write the pipelines as YAML for Kubeflow Pipelines.

    Examples:
        python -m pipelines compile pipelines/configs/wine.yaml
        python -m pipelines compile pipelines/configs/wine.yaml --pipeline batch-prediction --output predict.yaml
    """
    from components.shared.config.file import load_config

    checked = load_config(config)
    from pipelines.cluster.compiled import Kind, compile_to

    outputs: dict[Kind, Path] = {
        "training": BUILD / f"{checked.name}.yaml",
        "batch-prediction": BUILD / f"{checked.name}-batch-prediction.yaml",
        "monitoring": BUILD / f"{checked.name}-monitoring.yaml",
    }
    if pipeline or output:
        chosen: Kind = pipeline or "training"
        outputs = {chosen: output or outputs[chosen]}
    for kind, path in outputs.items():
        compile_to(checked, kind, path)
        print(f"wrote {path}")
    return 0
