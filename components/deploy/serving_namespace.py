"""The namespace of a cluster in which models are served: what deploy reads and changes there, in the user's words.

Requests go through the one Kubernetes client of `components.shared.kubernetes`. KServe's own client is not used for
them: it knows neither server-side apply nor time-outs, hides the status of a failure, and its `wait_isvc_ready` is
content with the Ready of the version before.
"""

import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from components.deploy.inference_service import API_VERSION, MANAGER, OF_SERVICE
from components.shared.errors import DeployError
from components.shared.kubernetes.api import Cluster, ClusterError, Object, context_and_namespace, in_pod, pod_namespace
from components.shared.kubernetes.pods import short

_PATIENCE_SECONDS = 30.0  # an API server that restarts
_GATEWAY_GROUP = "gateway.networking.k8s.io"


def has_kubeconfig() -> bool:
    """Whether a kubeconfig names a cluster."""
    places = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    named = [Path(place) for place in places if place] or [Path.home() / ".kube" / "config"]
    return any(place.is_file() for place in named)


class ServingNamespace:
    """One namespace of a cluster.

    Args:
        cluster: The cluster.
        namespace: The namespace.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.name = namespace
        self._cluster = cluster
        self._core = f"/api/v1/namespaces/{namespace}"
        self._services = f"/apis/{API_VERSION}/namespaces/{namespace}/inferenceservices"

    @classmethod
    def connect(cls, namespace: str = "") -> "ServingNamespace":
        """The cluster this process runs in, or that a kubeconfig names.

        Args:
            namespace: Empty for that of the pod, or of the kubeconfig's context.

        Raises:
            DeployError: There is no cluster, or no namespace is named.
        """
        if not (in_pod() or has_kubeconfig()):
            raise DeployError(
                "There is no cluster to deploy on: this is no pod with a service account, and no kubeconfig was found. "
                "Set KUBECONFIG, or FULLCIRCLE_SERVING_FOLDER to serve from this machine."
            )
        namespace = namespace or own_namespace()
        try:
            return cls(Cluster.signed_in(at_least_seconds=_PATIENCE_SECONDS), namespace)
        except ClusterError as error:
            raise DeployError(f"The cluster's credentials cannot be used: {short(error.said)}.") from error

    def get(self, name: str) -> Object | None:
        """An InferenceService; None when there is none of that name."""
        return self._get(f"{self._services}/{name}", f"the InferenceService {name}", "get inferenceservices")

    def find(self, selector: str) -> list[Object]:
        """InferenceServices by their labels."""
        return self._list(self._services, "InferenceServices", "list inferenceservices", labelSelector=selector)

    def apply(self, body: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply: make the object, or change what of it is ours; the same again changes nothing.

        Args:
            body: An InferenceService.
            dry_run: Whether it is only checked.

        Returns:
            The object as it is now.
        """
        name = body["metadata"]["name"]
        query = {"fieldManager": MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        applied: Object = self._ask(
            lambda: self._cluster.apply(f"{self._services}/{name}", body, **query),
            f"apply the InferenceService {name}",
            "patch and create inferenceservices",
        )
        return applied

    def delete(self, found: Object) -> None:
        """Remove an InferenceService that was read before, and no other one of its name; no error when it is gone."""
        metadata = found["metadata"]
        self._ask(
            lambda: self._cluster.delete(
                f"{self._services}/{metadata['name']}", preconditions={"uid": metadata["uid"]}
            ),
            f"remove the InferenceService {metadata['name']}",
            "delete inferenceservices",
        )

    def pods(self, service: str) -> list[Object]:
        """The pods of an InferenceService's predictor."""
        selector = f"{OF_SERVICE}={service},component=predictor"
        return self._list(f"{self._core}/pods", "pods", "list pods", labelSelector=selector)

    def log(self, pod: str, container: str, *, previous: bool, lines: int = 8) -> str:
        """The last lines of a container's log; empty when there is none."""
        try:
            return self._cluster.log(self.name, pod, container, lines=lines, previous=previous)
        except ClusterError:  # a log is a help, not a need
            return ""

    def service(self, name: str) -> Object | None:
        """A Service; None when there is none of that name."""
        return self._get(f"{self._core}/services/{name}", f"the Service {name}", "get services")

    def warnings_about(self, service: str) -> list[str]:
        """What Kubernetes warned of lately about the Deployment of a service and what it made; empty without rights."""
        try:
            events = self._list(f"{self._core}/events", "events", "list events", fieldSelector="type=Warning")
        except DeployError:
            return []
        about = [
            event
            for event in events
            if event["involvedObject"].get("name", "").startswith(f"{service}-predictor")
            or event["involvedObject"].get("name") == service
        ]
        about.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return list(dict.fromkeys(f"{event.get('reason')}: {short(event.get('message'))}" for event in about[::-1]))

    def has_gateway_api(self) -> bool:
        """Whether the API server knows the Gateway API."""
        groups = self._ask(lambda: self._cluster.read("/apis")["groups"], "ask for its API groups", "")
        return any(group["name"] == _GATEWAY_GROUP for group in groups)

    def _get(self, path: str, what: str, right: str) -> Object | None:
        try:
            found: Object = self._ask(lambda: self._cluster.read(path), f"read {what}", right)
        except _NoSuchObjectError:
            return None
        return found

    def _list(self, path: str, what: str, right: str, **query: str) -> list[Object]:
        found: list[Object] = self._ask(lambda: self._cluster.read(path, **query)["items"], f"list {what}", right)
        return found

    def _ask(self, request: Callable[[], Any], doing: str, right: str) -> Any:
        """Make a request.

        Raises:
            DeployError: The API server does not answer, or refuses.
        """
        try:
            return request()
        except ClusterError as error:
            raise _explanation(error, doing, right, self.name) from error


class _NoSuchObjectError(DeployError):
    """There is no object of that name, though there could be."""


def _explanation(error: ClusterError, doing: str, right: str, namespace: str) -> DeployError:
    said = short(error.said)
    if not error.status:
        return DeployError(f"The API server does not answer ({doing}): {said}.")
    if error.status == HTTPStatus.NOT_FOUND:
        return _not_found(doing, said, error.details, namespace=namespace)
    if error.status == HTTPStatus.FORBIDDEN and " cannot " in said:
        return DeployError(
            f"Could not {doing} in namespace {namespace}: the account of this process may not {right}. "
            f"Apply the Role fullcircle-deploy and bind it to that account (manifests/base). {said}"
        )
    if error.status == HTTPStatus.UNAUTHORIZED:
        return DeployError(f"Could not {doing}: the cluster does not accept the credentials. Renew them.")
    return DeployError(f"Could not {doing} in namespace {namespace}: {error.status} {said.rstrip('.')}.")


def _not_found(doing: str, said: str, about: Object, *, namespace: str) -> DeployError:
    if about.get("kind") == "namespaces":
        return DeployError(f"Could not {doing}: the namespace {namespace} does not exist. Apply the manifests.")
    if about.get("name"):
        return _NoSuchObjectError(f"Could not {doing} in namespace {namespace}: {said}.")
    return DeployError(f"Could not {doing}: the cluster knows no {API_VERSION}. Install KServe, or repair its CRDs.")


def own_namespace() -> str:
    """The namespace of this pod, or of the kubeconfig's context.

    Raises:
        DeployError: The context names none.
    """
    if in_pod():
        return pod_namespace()
    try:
        context, found = context_and_namespace()
    except ClusterError as error:
        raise DeployError(f"The kubeconfig cannot be used: {short(error.said)}.") from error
    if found:
        return found
    raise DeployError(
        f"The kubeconfig's context {context} names no namespace. Set cluster.namespace in the configuration, "
        "or name one by NAMESPACE."
    )
