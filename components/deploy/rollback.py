"""What a person asks of an endpoint: to go back to the version before, or to be gone.

Both act where the model is served: on this machine when a server of it runs here, else on the cluster.
"""

import json
from pathlib import Path

from components.deploy.deploy import deploy_on
from components.deploy.deployed import Deployed
from components.deploy.local_endpoint import LocalEndpoint
from components.deploy.promotion import of_rollback
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.registry.history import rollback_target, this_person
from components.shared.registry.registry import Registry
from components.shared.store import Store


def is_served_here(name: str, folder: Path) -> bool:
    """Whether a server of a model runs on this machine.

    Args:
        name: Name of the model.
        folder: Folder of this machine's endpoints.
    """
    return LocalEndpoint(folder, name).running() is not None


def roll_back(
    store: Store,
    name: str,
    *,
    folder: Path | None = None,
    namespace: str = "",
    dark_launch: bool = True,
    version: str = "",
    why: str = "",
) -> Deployed:
    """Deploy the version that was champion before, with the same proofs and the settings in use.

    It becomes the champion once it serves. Done again it goes back further, to what was champion before that one; it
    never leads to a version that has not served. When another version than the champion serves, as after a deployment
    that was killed, the champion is deployed again.

    Args:
        store: The object store.
        name: Name of the model.
        folder: Folder of this machine's endpoints, for one of them; None for the cluster.
        namespace: Of the endpoint on a cluster; empty for that of the pod, or of the kubeconfig's context.
        dark_launch: Whether the version has to answer the latest logged requests first.
        version: A version that was champion before, to go to; empty for the one before.
        why: For the history.

    Raises:
        DeployError: Nothing of the model is served, or the version does not serve; then the champion is what it was.
        PackageError: There is no version before.
        StoreError: The object store cannot be reached.
    """
    entries = Registry(store, name).history()
    try:
        serves, serving = _in_use(name, folder=folder, namespace=namespace)
    except DeployError:
        rollback_target(entries, name, wanted=version)  # that there is no way back is reported first
        raise
    if not dark_launch:
        quick = serving.dark_launch.model_copy(update={"enabled": False})
        serving = serving.model_copy(update={"dark_launch": quick})
    begin = of_rollback(serves, wanted=version, why=why or f"asked for by {this_person() or 'somebody'}")
    return deploy_on(store, name, serving, begin=begin, folder=folder, namespace=namespace)


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
    from components.deploy.cluster_endpoint import ClusterEndpoint
    from components.deploy.serving_namespace import ServingNamespace

    place = ServingNamespace.connect(namespace)
    version = ClusterEndpoint(place, name).remove()
    if not version:
        raise DeployError(f"There is no InferenceService {name} in namespace {place.name}.")
    return version


def _in_use(name: str, *, folder: Path | None, namespace: str) -> tuple[str, ServingConfig]:
    """The version that the model is served with now, and the settings.

    Raises:
        DeployError: It is not served.
    """
    if folder is not None:
        state = LocalEndpoint(folder, name).running()
        if state is None:
            raise DeployError(f"No server of {name!r} runs on this machine. Deploy it first.")
        content, _ = json.JSONDecoder().raw_decode(state.settings)
        return state.version, ServingConfig.model_validate({**content, "port": state.wanted_port})
    from components.deploy.inference_service import MODEL_VERSION, annotation, refuse_foreign, serving_of
    from components.deploy.serving_namespace import ServingNamespace

    place = ServingNamespace.connect(namespace)
    found = place.get(name)
    if found is None:
        raise DeployError(f"There is no InferenceService {name} in namespace {place.name}. Deploy it first.")
    refuse_foreign(found, "changed")
    return annotation(found, MODEL_VERSION), serving_of(found)
