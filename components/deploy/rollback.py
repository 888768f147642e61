"""What a person asks of an endpoint: to go back to the version before, or to be gone.

Both act where the model is served: on this machine when a server of it runs here, else on the cluster.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from components.deploy.deploy import deploy_on
from components.deploy.deployed import Deployed
from components.deploy.local_endpoint import LocalEndpoint
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.registry.champion import Champion, move_champion, read_champion
from components.shared.store import Store


def is_served_here(name: str, folder: Path) -> bool:
    """Whether a server of a model runs on this machine.

    Args:
        name: Name of the model.
        folder: Folder of this machine's endpoints.
    """
    return LocalEndpoint(folder, name).running() is not None


def roll_back(
    store: Store, name: str, *, folder: Path | None = None, namespace: str = "", dark_launch: bool = True
) -> Deployed:
    """Make the version before the champion again, and deploy it with the same proofs and the settings in use.

    Done twice it is undone: the version that was left is then the one before.

    Args:
        store: The object store.
        name: Name of the model.
        folder: Folder of this machine's endpoints, for one of them; None for the cluster.
        namespace: Of the endpoint on a cluster; empty for that of the pod, or of the kubeconfig's context.
        dark_launch: Whether the version has to answer the latest logged requests first.

    Raises:
        DeployError: There is no version before, nothing of the model is served, or the version does not serve; then
            the champion is what it was.
        StoreError: The object store cannot be reached.
    """
    champion = read_champion(store, name)
    if champion is None:
        raise DeployError(f"No version of {name!r} is published in {store.uri('')}: there is nothing to roll back to.")
    if champion.previous is None:
        raise DeployError(f"Version {champion.version} of {name!r} is the first one: there is none to roll back to.")
    serving = _settings_in_use(name, folder=folder, namespace=namespace)
    if not dark_launch:
        quick = serving.dark_launch.model_copy(update={"enabled": False})
        serving = serving.model_copy(update={"dark_launch": quick})
    moved = datetime.now(UTC).isoformat(timespec="seconds")
    pointer = Champion(version=champion.previous, previous=champion.version, moved=moved)
    if not move_champion(store, name, pointer, expected=champion):
        raise DeployError(f"A run has moved the champion of {name!r} just now. Look at what serves, then try again.")
    try:
        return deploy_on(store, name, pointer.version, serving, folder=folder, namespace=namespace)
    except BaseException:
        _remember(store, name, champion)
        raise


def _remember(store: Store, name: str, champion: Champion) -> None:
    """Let the champion, which is restored already, know the version before it again."""
    now = read_champion(store, name)
    if now is not None and now.version == champion.version:
        move_champion(store, name, champion.model_copy(update={"moved": now.moved}), expected=now)


def undeploy(name: str, *, folder: Path | None = None, namespace: str = "") -> str:
    """End an endpoint that Fullcircle has made. Versions and the champion pointer stay.

    Args:
        name: Name of the model.
        folder: Folder of this machine's endpoints, for one of them; None for the cluster.
        namespace: Of the endpoint on a cluster.

    Returns:
        The version that it served.

    Raises:
        DeployError: There is no endpoint, or somebody else made it.
    """
    if folder is not None:
        endpoint = LocalEndpoint(folder, name)
        state = endpoint.running()
        if state is None or not endpoint.stop():
            raise DeployError(f"No server of {name!r} runs on this machine.")
        return state.version
    from components.deploy.cluster import Cluster
    from components.deploy.cluster_endpoint import ClusterEndpoint

    cluster = Cluster.connect(namespace)
    version = ClusterEndpoint(cluster, name).remove()
    if not version:
        raise DeployError(f"There is no InferenceService {name} in namespace {cluster.namespace}.")
    return version


def _settings_in_use(name: str, *, folder: Path | None, namespace: str) -> ServingConfig:
    """The settings with which the model is served now.

    Raises:
        DeployError: It is not served.
    """
    if folder is not None:
        state = LocalEndpoint(folder, name).running()
        if state is None:
            raise DeployError(f"No server of {name!r} runs on this machine. Deploy it first.")
        content, _ = json.JSONDecoder().raw_decode(state.settings)
        return ServingConfig.model_validate({**content, "port": state.wanted_port})
    from components.deploy.cluster import Cluster
    from components.deploy.inference_service import refuse_foreign, serving_of

    cluster = Cluster.connect(namespace)
    found = cluster.get(name)
    if found is None:
        raise DeployError(f"There is no InferenceService {name} in namespace {cluster.namespace}. Deploy it first.")
    refuse_foreign(found, "changed")
    return serving_of(found)
