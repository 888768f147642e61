"""`open`: a version's package here, and how a notebook gets its fitted pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.places import local_store


def open(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name of the model")],
    version: Annotated[str, typer.Option(help="the version (default: the champion)")] = "",
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="where to")] = Path("build", "models"),
) -> int:
    """Download a version and load its fitted scikit-learn pipeline.

    Examples:
        python -m pipelines open flights
    """
    from components.shared.registry.registry import Registry
    from pipelines.open_model import open_model

    opened = open_model(Registry(local_store(), model), version, folder)
    print(f"{model} {opened.manifest.version} is in {opened.folder}, verified:\n\n{opened.pipeline}\n")
    print(f"In a notebook, from this folder:\n\n{opened.lines}")
    return 0
