"""`compile`: the pipelines as YAML for Kubeflow Pipelines."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.places import BUILD
from pipelines.cluster.compiled import KINDS, Kind, compile_to


def compile(
    config: options.ConfigFile,
    pipeline: Annotated[Kind | None, typer.Option(help="only this one (default: all three)")] = None,
    output: options.Output = None,
) -> int:
    """Write the pipelines as YAML for Kubeflow Pipelines.

    Examples:
        python -m pipelines compile pipelines/configs/wine.yaml
        python -m pipelines compile pipelines/configs/wine.yaml --pipeline batch-prediction --output predict.yaml
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    outputs = {kind: BUILD / f"{checked.name}{'' if kind == 'training' else f'-{kind}'}.yaml" for kind in KINDS}
    if pipeline or output:
        chosen: Kind = pipeline or "training"
        outputs = {chosen: output or outputs[chosen]}
    for kind, path in outputs.items():
        compile_to(checked, kind, path)
        print(f"wrote {path}")
    return 0
