"""A candidate that waits for its decision, brought up beside the endpoint to be sent copies of requests, or ended.

It answers nobody else. It stays until it is decided on (deployed, rejected, expired) or the endpoint is undeployed.
"""

import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.deploy.fetching import fetch
from components.deploy.local_endpoint import LocalEndpoint
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.package.model_package import verify
from components.shared.processes import stoppable
from components.shared.store import Store


class Shadow(BaseModel):
    """A candidate that answers copies of requests.

    Attributes:
        name: Name of the model.
        version: The candidate.
        champion: The version that serves, whose requests are copied.
        place: Where the candidate answers: a URL on this machine, or its InferenceService on a cluster.
        percent: Share of the logged requests that are copied, in percent.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    champion: str
    place: str
    percent: float

    @property
    def message(self) -> str:
        """One line for people."""
        return (
            f"{self.version} is sent copies of {self.percent:g} % of the requests that {self.champion} answers, at "
            f"{self.place}"
        )


def start_shadow(
    store: Store, name: str, version: str, serving: ServingConfig, *, folder: Path | None = None, namespace: str = ""
) -> Shadow:
    """Bring a candidate up beside the endpoint of its model and prove it; one that is there gives way.

    Args:
        store: The object store.
        name: Name of the model.
        version: A version in the object store, other than the one that serves.
        serving: Settings of the endpoint; `serving.shadow.percent` says how many requests are copied.
        folder: Folder of this machine's endpoints, for one of them; None for the cluster.
        namespace: Of the endpoint on a cluster; empty for that of the pod, or of the kubeconfig's context.

    Raises:
        DeployError: The endpoint does not copy requests, or the candidate did not come up or answered wrongly.
        PackageError: What the store contains is altered or incomplete.
        StoreError: The object store cannot be reached or has no such version.
    """
    if folder is None:
        return _start_on_cluster(store, name, version, serving, namespace=namespace)
    endpoint = LocalEndpoint(folder, name)
    with stoppable(), endpoint.locked():
        serves = endpoint.running()
        if serves is None or not serves.shadow_port:
            raise _copies_nothing(name, "" if serves is None else serves.version)
        _refuse_same(name, version, serves.version)
        package = fetch(store, name, version, endpoint.shadow.versions)
        state = endpoint.shadow.start(version, package, serving, port=serves.shadow_port)
    return Shadow(name=name, version=version, champion=serves.version, place=state.url, percent=serving.shadow.percent)


def end_shadow(name: str, *, version: str = "", folder: Path | None = None, namespace: str = "") -> str:
    """End the candidate beside an endpoint.

    Args:
        name: Name of the model.
        version: Only this one; empty for whichever is there.
        folder: Folder of this machine's endpoints, for one of them; None for the cluster.
        namespace: Of the endpoint on a cluster.

    Returns:
        The version that ended; empty when there was none, or another one.

    Raises:
        DeployError: It does not end.
    """
    if folder is not None:
        endpoint = LocalEndpoint(folder, name)
        with endpoint.locked():
            return endpoint.shadow.end(version)
    from components.deploy.cluster_shadow import ClusterShadow
    from components.deploy.serving_namespace import ServingNamespace

    return ClusterShadow(ServingNamespace.connect(namespace), name).end(version)


def _start_on_cluster(store: Store, name: str, version: str, serving: ServingConfig, *, namespace: str) -> Shadow:
    from components.deploy.cluster_deployment import release_of
    from components.deploy.cluster_shadow import ClusterShadow
    from components.deploy.inference_service import MODEL_VERSION, annotation, copies_requests
    from components.deploy.serving_namespace import ServingNamespace

    place = ServingNamespace.connect(namespace)
    serves = place.get(name)
    champion = annotation(serves, MODEL_VERSION) if serves else ""
    if serves is None or not copies_requests(serves):
        raise _copies_nothing(name, champion)
    _refuse_same(name, version, champion)
    with stoppable(), tempfile.TemporaryDirectory(prefix="fullcircle-shadow-") as packages:
        package = fetch(store, name, version, Path(packages))
        service = ClusterShadow(place, name).start(release_of(store, verify(package)), package, serving)
    return Shadow(name=name, version=version, champion=champion, place=service, percent=serving.shadow.percent)


def _copies_nothing(name: str, champion: str) -> DeployError:
    if not champion:
        return DeployError(f"Nothing serves {name!r}, so that there are no requests to copy. Deploy it first.")
    return DeployError(
        f"Version {champion} of {name!r} serves without copying requests. Set serving.shadow.percent and deploy it"
        " again."
    )


def _refuse_same(name: str, version: str, champion: str) -> None:
    if version == champion:
        raise DeployError(f"Version {version} of {name!r} serves already. Name another one to compare with it.")
