"""The cluster's API server: what deploy reads and changes there, and errors in the user's words.

KServe's client finds the cluster and its credentials; its own methods for an InferenceService know neither server-side
apply nor time-outs and hide the status of a failure, so that the requests are made with the client it holds.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3

from components.deploy.diagnosis import short
from components.deploy.inference_service import API_VERSION, MANAGER, OF_SERVICE, Object
from components.shared.errors import DeployError

_POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_GROUP, _VERSION = API_VERSION.split("/")
_PLURAL = "inferenceservices"
_REQUEST_SECONDS = (5.0, 20.0)  # to connect, to answer
_FLEETING = frozenset({409, 429, 500, 502, 503, 504})
_PATIENCE_SECONDS = 30.0  # an API server that restarts
_GATEWAY_GROUP = "gateway.networking.k8s.io"


class FleetingError(DeployError):
    """The API server did not answer, or asks to come back."""


def in_pod() -> bool:
    """Whether this process runs in a pod that may speak to the API server."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (_POD_FOLDER / "token").exists()


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
        self._objects = kserve.api_instance
        self._core = kserve.core_api
        self._api = kserve.api_instance.api_client

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
        try:
            with self._explained(f"read the InferenceService {name}", "get inferenceservices"):
                found: Object = self._objects.get_namespaced_custom_object(
                    _GROUP, _VERSION, self.namespace, _PLURAL, name, _request_timeout=_REQUEST_SECONDS
                )
                return found
        except _NoSuchObjectError:
            return None

    def find(self, selector: str) -> list[Object]:
        """InferenceServices by their labels."""
        with self._explained("list InferenceServices", "list inferenceservices"):
            found: list[Object] = self._objects.list_namespaced_custom_object(
                _GROUP, _VERSION, self.namespace, _PLURAL, label_selector=selector, _request_timeout=_REQUEST_SECONDS
            )["items"]
            return found

    def apply(self, body: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply: make the object, or change what of it is ours; the same again changes nothing.

        Args:
            body: An InferenceService.
            dry_run: Whether it is only checked.

        Returns:
            The object as it is now.
        """
        name = body["metadata"]["name"]
        query = [("fieldManager", MANAGER), ("force", "true"), *([("dryRun", "All")] if dry_run else [])]
        with self._explained(f"apply the InferenceService {name}", "patch and create inferenceservices"):
            found: Object = self._api.call_api(
                f"/apis/{API_VERSION}/namespaces/{self.namespace}/{_PLURAL}/{name}",
                "PATCH",
                query_params=query,
                header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=True,
                _request_timeout=_REQUEST_SECONDS,
            )
            return found

    def delete(self, found: Object) -> None:
        """Remove an InferenceService that was read before, and no other one of its name; no error when it is gone."""
        metadata = found["metadata"]
        body = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
        with (
            suppress(_NoSuchObjectError),
            self._explained(f"remove the InferenceService {metadata['name']}", "delete inferenceservices"),
        ):
            self._objects.delete_namespaced_custom_object(
                _GROUP, _VERSION, self.namespace, _PLURAL, metadata["name"], body=body,
                _request_timeout=_REQUEST_SECONDS,
            )  # fmt: skip

    def pods(self, service: str) -> list[Object]:
        """The pods of an InferenceService's predictor."""
        with self._explained("list pods", "list pods"):
            answer = self._core.list_namespaced_pod(
                self.namespace, label_selector=f"{OF_SERVICE}={service},component=predictor",
                _preload_content=False, _request_timeout=_REQUEST_SECONDS,
            )  # fmt: skip
            found: list[Object] = json.loads(answer.data)["items"]
            return found

    def log(self, pod: str, container: str, *, previous: bool, lines: int = 8) -> str:
        """The last lines of a container's log; empty when there is none."""
        try:
            with self._explained("read a pod's log", "get pods/log"):
                answer = self._core.read_namespaced_pod_log(
                    pod, self.namespace, container=container, previous=previous, tail_lines=lines,
                    _preload_content=False, _request_timeout=_REQUEST_SECONDS,
                )  # fmt: skip
                return str(answer.data.decode(errors="replace"))
        except DeployError:  # a log is a help, not a need
            return ""

    def service(self, name: str) -> Object | None:
        """A Service; None when there is none of that name."""
        try:
            with self._explained(f"read the Service {name}", "get services"):
                answer = self._core.read_namespaced_service(
                    name, self.namespace, _preload_content=False, _request_timeout=_REQUEST_SECONDS
                )
                found: Object = json.loads(answer.data)
                return found
        except _NoSuchObjectError:
            return None

    def warnings_about(self, service: str) -> list[str]:
        """What Kubernetes warned of lately about the Deployment of a service and what it made; empty without rights."""
        try:
            with self._explained("list events", "list events"):
                answer = self._core.list_namespaced_event(
                    self.namespace, field_selector="type=Warning", _preload_content=False,
                    _request_timeout=_REQUEST_SECONDS,
                )  # fmt: skip
                events = json.loads(answer.data)["items"]
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
        with self._explained("ask for its API groups", ""):
            found = self._api.call_api(
                "/apis", "GET", header_params={"Accept": "application/json"}, auth_settings=["BearerToken"],
                response_type="object", _return_http_data_only=True, _request_timeout=_REQUEST_SECONDS,
            )  # fmt: skip
            return any(group["name"] == _GATEWAY_GROUP for group in found["groups"])

    @contextmanager
    def _explained(self, doing: str, right: str) -> Iterator[None]:
        """Turn what the client and the network raise into a DeployError."""
        from kubernetes.client import ApiException

        try:
            yield
        except ApiException as error:
            raise _explanation(error, doing, right, self.namespace) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FleetingError(f"The API server does not answer ({doing}): {short(str(error))}.") from error


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


def _explanation(error: Any, doing: str, right: str, namespace: str) -> DeployError:
    told = _told(error)
    said, about = short(told.get("message") or str(error.reason)), told.get("details") or {}
    if error.status == HTTPStatus.NOT_FOUND:
        return _not_found(doing, said, about, namespace=namespace)
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


def _told(error: Any) -> dict[str, Any]:
    with suppress(ValueError, TypeError):
        found = json.loads(error.body)
        return found if isinstance(found, dict) else {}
    return {}


def own_namespace() -> str:
    """The namespace of this pod, or of the kubeconfig's context.

    Raises:
        DeployError: The context names none.
    """
    if in_pod():
        return (_POD_FOLDER / "namespace").read_text(encoding="utf-8").strip()
    from kubernetes import config

    try:
        context = config.list_kube_config_contexts(_kubeconfig())[1]
    except Exception as error:  # kubernetes' own, YAML's, the operating system's
        raise DeployError(f"The kubeconfig cannot be used: {short(str(error))}.") from error
    if found := context["context"].get("namespace"):
        return str(found)
    raise DeployError(
        f"The kubeconfig's context {context['name']} names no namespace. Set cluster.namespace in the configuration, "
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
