"""`approve`: a version that waits for a person, deployed."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.places import LOCAL_ENDPOINTS, as_environment, endpoint_folder, local_store


def approve(
    model: options.Model,
    version: options.WaitingVersion,
    namespace: options.EndpointNamespace = "",
    why: options.Why = "",
    here: Annotated[
        bool, typer.Option("--here", help="serve it on this machine, where nothing of the model is served yet")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="although its shadow has answered too few requests; --why has to say why")
    ] = False,
) -> int:
    """Deploy a version that waits for approval, with the proofs of every deployment; it is champion once it serves.

    Examples:
        python -m pipelines approve flights --version 9528be9c5e80 --why "looked at the card"
    """
    from components.deploy.approval import approve as approve_version
    from components.shared.store import Store

    folder = LOCAL_ENDPOINTS.resolve() if here else endpoint_folder(model, namespace)
    store = local_store() if folder else Store.connect()
    with as_environment(store):
        deployed = approve_version(store, model, version, folder=folder, namespace=namespace, why=why, force=force)
    print(deployed.message)
    return 0
