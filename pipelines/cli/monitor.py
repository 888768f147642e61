"""`monitor`: the work of the scheduled jobs of a cluster, for models of this machine."""

from typing import Annotated

import typer

from pipelines.cli.places import as_environment, local_store


def monitor(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="names of models (default: all)", show_default=False),
    ] = None,
) -> int:
    """Report on windows of requests that are over, and on the newest requests, of models of this machine.

    Examples:
        python -m pipelines monitor flights
    """
    from components.monitor import compact
    from components.monitor.__main__ import main as report

    with as_environment(local_store()):
        return max(compact.main(models or []), report(models or []))
