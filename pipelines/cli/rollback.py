"""`rollback`: a version that was champion before, deployed again."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.places import as_environment, endpoint_folder, local_store


def rollback(
    model: options.Model,
    namespace: options.EndpointNamespace = "",
    version: Annotated[
        str,
        typer.Option(
            metavar="VERSION", help="one that was champion before (default: the one before)", show_default=False
        ),
    ] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="why, for the history", show_default=False)] = "",
    no_dark_launch: Annotated[
        bool, typer.Option("--no-dark-launch", help="do without the latest logged requests: golden requests only")
    ] = False,
) -> int:
    """Deploy the version that was champion before; it is champion again once it serves.

    Examples:
        python -m pipelines rollback flights --reason "wrong on Mondays"
        python -m pipelines rollback flights --version 9528be9c5e80 --namespace fullcircle
    """
    from components.deploy.rollback import roll_back
    from components.shared.store import Store

    folder = endpoint_folder(model, namespace)
    store = local_store() if folder else Store.connect()
    with as_environment(store):
        deployed = roll_back(
            store, model, folder=folder, namespace=namespace, dark_launch=not no_dark_launch, version=version,
            why=reason,
        )  # fmt: skip
    print(deployed.message)
    return 0
