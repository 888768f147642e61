"""The cluster's API server: what deploy reads and changes there, and errors in the user's words.

KServe's client finds the cluster and its credentials; its own methods for an InferenceService know neither server-side
apply nor time-outs and hide the status of a failure, so that the requests are made with the client it holds.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from components.deploy.inference_service import API_VERSION, MANAGER, OF_SERVICE, Object
from components.shared.errors import DeployError
from components.shared.kubernetes import api as kubernetes_api
from components.shared.kubernetes.api import ClusterError, in_pod
from components.shared.kubernetes.pods import short

_FLEETING = frozenset({409, 429, 500, 502, 503, 504})
_PATIENCE_SECONDS = 30.0  # an API server that restarts
_GATEWAY_GROUP = "gateway.networking.k8s.io"


class FleetingError(DeployError):
    """The API server did not answer, or asks to come back."""


def has_kubeconfig() -> bool:
    """Whether a kubeconfig names a cluster."""
    places = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    named = [Path(place) for place in places if place] or [Path.home() / ".kube" / "config"]
    return any(place.is_file() for place in named)


class Cluster:
    """One namespace of a cluster.

    Args:
        kserve: A `kserve.KServeClient`.
        namespace: The namespace.
    """

    def __init__(self, kserve: Any, namespace: str) -> None:
        self.namespace = namespace
        self._api = kubernetes_api.Cluster(kserve.api_instance.api_client)
        self._core = f"/api/v1/namespaces/{namespace}"
        self._services = f"/apis/{API_VERSION}/namespaces/{namespace}/inferenceservices"

    @classmethod
    def connect(cls, namespace: str = "") -> "Cluster":
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
            return cls(_kserve_client()(config_file=_kubeconfig()), namespace)
        except Exception as error:  # kubernetes' own, YAML's, the operating system's
            raise DeployError(f"The cluster's credentials cannot be used: {short(str(error))}.") from error

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
            lambda: self._api.apply(f"{self._services}/{name}", body, **query),
            f"apply the InferenceService {name}",
            "patch and create inferenceservices",
        )
        return applied

    def delete(self, found: Object) -> None:
        """Remove an InferenceService that was read before, and no other one of its name; no error when it is gone."""
        metadata = found["metadata"]
        self._ask(
            lambda: self._api.delete(f"{self._services}/{metadata['name']}", preconditions={"uid": metadata["uid"]}),
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
            return self._api.log(self.namespace, pod, container, lines=lines, previous=previous)
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
        groups = self._ask(lambda: self._api.read("/apis")["groups"], "ask for its API groups", "")
        return any(group["name"] == _GATEWAY_GROUP for group in groups)

    def _get(self, path: str, what: str, right: str) -> Object | None:
        try:
            found: Object = self._ask(lambda: self._api.read(path), f"read {what}", right)
        except _NoSuchObjectError:
            return None
        return found

    def _list(self, path: str, what: str, right: str, **query: str) -> list[Object]:
        found: list[Object] = self._ask(lambda: self._api.read(path, **query)["items"], f"list {what}", right)
        return found

    def _ask(self, request: Callable[[], Any], doing: str, right: str) -> Any:
        """Make a request, again while the API server restarts; all of ours may be made twice.

        Raises:
            FleetingError: The API server does not come back.
            DeployError: It refuses.
        """

        def once() -> Any:
            try:
                return request()
            except ClusterError as error:
                raise _explanation(error, doing, right, self.namespace) from error

        return patiently(once)


def patiently(read: Callable[[], Any]) -> Any:
    """Read again while the API server restarts.

    Raises:
        FleetingError: It does not come back.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return read()
        except FleetingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


class _NoSuchObjectError(DeployError):
    """There is no object of that name, though there could be."""


def _explanation(error: ClusterError, doing: str, right: str, namespace: str) -> DeployError:
    said = short(error.said)
    if not error.status:
        return FleetingError(f"The API server does not answer ({doing}): {said}.")
    if error.status == HTTPStatus.NOT_FOUND:
        return _not_found(doing, said, error.details, namespace=namespace)
    if error.status == HTTPStatus.FORBIDDEN and " cannot " in said:
        return DeployError(
            f"Could not {doing} in namespace {namespace}: the account of this process may not {right}. "
            f"Apply the Role fullcircle-deploy and bind it to that account (manifests/base). {said}"
        )
    if error.status == HTTPStatus.UNAUTHORIZED:
        return DeployError(f"Could not {doing}: the cluster does not accept the credentials. Renew them.")
    kind = FleetingError if error.status in _FLEETING else DeployError
    return kind(f"Could not {doing} in namespace {namespace}: {error.status} {said.rstrip('.')}.")


def _not_found(doing: str, said: str, about: Object, *, namespace: str) -> DeployError:
    if about.get("kind") == "namespaces":
        return DeployError(f"Could not {doing}: the namespace {namespace} does not exist. Apply the manifests.")
    if about.get("name"):
        return _NoSuchObjectError(f"Could not {doing} in namespace {namespace}: {said}.")
    return DeployError(f"Could not {doing}: the cluster knows no {API_VERSION}. Install KServe, or mend its CRDs.")


def own_namespace() -> str:
    """The namespace of this pod, or of the kubeconfig's context.

    Raises:
        DeployError: The context names none.
    """
    if in_pod():
        return kubernetes_api.pod_namespace()
    try:
        context, found = kubernetes_api.context_and_namespace()
    except ClusterError as error:
        raise DeployError(f"The kubeconfig cannot be used: {short(error.said)}.") from error
    if found:
        return found
    raise DeployError(
        f"The kubeconfig's context {context} names no namespace. Set cluster.namespace in the configuration, "
        "or name one by NAMESPACE."
    )


def _kubeconfig() -> str | None:
    """Where the kubeconfig is; None in a pod, and for the usual place. The client itself looks only when imported."""
    return None if in_pod() else os.environ.get("KUBECONFIG") or None


def _kserve_client() -> Any:
    """KServe's client, whose package reads the program's arguments when it is imported."""
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from kserve import KServeClient
    finally:
        sys.argv = arguments
    return KServeClient
