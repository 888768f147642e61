"""`versions`: the versions of a model and the history of its champion."""

from typing import Annotated

import typer

from pipelines.cli.consoles import plain_console
from pipelines.cli.places import local_store


def versions(model: Annotated[str, typer.Argument(metavar="MODEL", help="name of the model")]) -> int:
    """List a model's versions, which of them have served, and when and why.

    Examples:
        python -m pipelines versions flights
    """
    from components.shared.registry.registry import Registry
    from pipelines.cli.version_tables import print_versions

    console = plain_console(wide=True)
    print_versions(Registry(local_store(), model), console)
    return 0
