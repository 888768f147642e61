"""The Kubernetes API in plain values: objects are what their YAML says. The one home of its client.

The official client has a typed class for each kind and version, and none for KServe's or Argo's; plain objects suit all
of them, and read as the manifests do. In one place, so that time-outs, retries and the wording of errors are the same
everywhere. Reading and applying can be done again after a failure; making an object cannot, for it may have been made
although no answer came.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from components.shared.errors import FullcircleError
from components.shared.transient import retry_seconds, retry_transient

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, ApiException

Object = dict[str, Any]

_PASSING = (429, 500, 502, 503, 504)  # a webhook that is restarted gives 500
_NOT_FOUND, _CONFLICT, _FORBIDDEN, _UNAUTHORISED = 404, 409, 403, 401
_SECONDS = (5.0, 30.0)  # to connect, to answer
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HINT = "Name a cluster by KUBECONFIG, or check `kubectl get namespaces`."


class ClusterError(FullcircleError):
    """The cluster cannot be reached or refuses what was asked.

    Attributes:
        status: The HTTP status; 0 when there was no answer.
        said: What the API server said, or why it did not, in one line.
        details: What it said of the object that was asked for, such as its `kind` and `name`.
    """

    def __init__(self, message: str, status: int = 0, *, said: str = "", details: Object | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        self.details = details or {}

    @property
    def is_forbidden(self) -> bool:
        """Whether this user may not do what was asked."""
        return self.status in (_FORBIDDEN, _UNAUTHORISED)


def in_pod() -> bool:
    """Whether this process runs in a pod that may speak to the API server."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (_ACCOUNT / "token").exists()


def pod_namespace() -> str:
    """The namespace of the pod that this process runs in."""
    return (_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()


def context_and_namespace() -> tuple[str, str]:
    """The kubeconfig's current context, and the namespace it names; that may be empty.

    Raises:
        ClusterError: There is no kubeconfig that can be used.
    """
    from kubernetes import config

    try:
        context = config.list_kube_config_contexts(os.environ.get("KUBECONFIG") or None)[1]
    except Exception as error:  # kubernetes' own, YAML's, the operating system's
        raise ClusterError(f"The kubeconfig cannot be used: {error}. {_HINT}", said=str(error)) from error
    return context["name"], context["context"].get("namespace") or ""


class Cluster:
    """A cluster: that of the current kubeconfig context, or the one that this process runs in.

    Every method raises `ClusterError` when the API server cannot be reached or refuses. In a pod an API server that is
    away for a moment is asked again for a while, for all but what makes an object.

    Args:
        client: A `kubernetes.client.ApiClient`; None for one that is made when it is first needed.
        seconds: For how long an API server that is away is asked again; None for what `retry_seconds` says.
    """

    def __init__(self, client: object = None, *, seconds: float | None = None) -> None:
        self.clock_difference = 0.0
        self._patience = retry_seconds() if seconds is None else seconds
        self._given = client

    @classmethod
    def connect(cls) -> "Cluster":
        """The cluster, which answers."""
        cluster = cls()
        cluster.get("/version")
        return cluster

    @classmethod
    def signed_in(cls, *, at_least_seconds: float) -> "Cluster":
        """The cluster, whose credentials were found; it is not asked anything yet.

        Args:
            at_least_seconds: For how long at least an API server that is away is asked again.

        Raises:
            ClusterError: There are no credentials that can be used.
        """
        return cls(_make_client(), seconds=max(at_least_seconds, retry_seconds()))

    @classmethod
    def of_this_pod(cls) -> "Cluster":
        """The cluster that this process runs in, with the rights of its service account.

        Raises:
            ClusterError: This is no pod, or it has no service account's token.
        """
        from kubernetes.config import ConfigException

        try:
            return cls(_client_of_this_pod())
        except (ConfigException, OSError) as error:
            raise ClusterError(f"This pod cannot speak to the API server: {error}", said=str(error)) from error

    @property
    def address(self) -> str:
        """Where the API server is."""
        return str(self._client.configuration.host)

    def read(self, path: str, **query: str) -> Object:
        """What is at a path."""
        found: Object = self._call("GET", path, query=query)
        return found

    def get(self, path: str, **query: str) -> Object | None:
        """An object; None when it, or its kind, is not there."""
        try:
            return self.read(path, **query)
        except ClusterError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def list(self, path: str, **query: str) -> "list[Object]":
        """The objects of a kind; none when the kind is not there."""
        found = self.get(path, **query)
        return (found or {}).get("items") or []

    def create(self, path: str, body: Object) -> Object:
        """Make an object, or ask one of the questions that are asked so."""
        made: Object = self._call("POST", path, body=body)
        return made

    def apply(self, path: str, body: Object, **query: str) -> Object:
        """Server-side apply: make the object, or change what of it the `fieldManager` of the query owns."""
        made: Object = self._call("PATCH", path, query=query, body=body, content="application/apply-patch+yaml")
        return made

    def delete(self, path: str, **options: Any) -> None:
        """Remove an object; no error when there is none.

        Args:
            path: Of the object.
            options: `DeleteOptions` besides; without any, it goes at once.
        """
        try:
            self._call(
                "DELETE", path, body={"propagationPolicy": "Background", **(options or {"gracePeriodSeconds": 0})}
            )
        except ClusterError as error:
            if error.status != _NOT_FOUND:
                raise

    def log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        """The last lines that a container wrote; empty when there are none."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        try:
            return str(self._call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query=query, plain=True))
        except ClusterError as error:
            if error.status in (400, _NOT_FOUND):  # it has not begun, or is gone
                return ""
            raise

    def _call(self, method: str, path: str, **request: Any) -> Any:
        if method == "POST":  # it may have been done though no answer came
            return self._call_once(method, path, **request)
        return retry_transient(
            lambda: self._call_once(method, path, **request), is_transient=_is_transient, seconds=self._patience
        )

    def _call_once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
        plain: bool = False,
    ) -> Any:
        from kubernetes.client import ApiException

        try:
            answer, _, headers = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json, text/plain", "Content-Type": content},
                body=body,
                response_type="object",
                _preload_content=not plain,  # its parser takes a log of one line of JSON for an object
                auth_settings=["BearerToken"],
                _request_timeout=_SECONDS,
            )
        except ApiException as error:
            said, details = _status_message(error)
            text = f"{method} {path} at {self.address}: {error.status} {said}"
            raise ClusterError(text, error.status or 0, said=said, details=details) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            said = _cause(error)
            text = f"The Kubernetes API server {self.address} cannot be reached: {said}. {_HINT}"
            raise ClusterError(text, said=said) from error
        self._compare_clocks(headers)
        return answer.data.decode(errors="replace") if plain else answer

    def _compare_clocks(self, headers: Mapping[str, str]) -> None:
        with suppress(KeyError, TypeError, ValueError):
            self.clock_difference = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()

    @cached_property
    def _client(self) -> "ApiClient":
        return _make_client() if self._given is None else self._given


def plain(model: object) -> Object:
    """An object that was built from a typed model of the Kubernetes API, or of an extension's, as its JSON."""
    from kubernetes.client import ApiClient

    found: Object = ApiClient().sanitize_for_serialization(model)
    return found


def _client_of_this_pod() -> "ApiClient":
    """A client of the cluster that this process runs in, with the service account's token."""
    from kubernetes import client, config

    settings = client.Configuration()
    config.load_incluster_config(client_configuration=settings)
    return _with_retry(client.ApiClient(settings))


def _client_of_kubeconfig(file: str | None) -> "ApiClient":
    """A client of the cluster that a kubeconfig names; None for the one of this user."""
    from kubernetes import client, config

    settings = client.Configuration()
    config.load_kube_config(config_file=file, client_configuration=settings)
    return _with_retry(client.ApiClient(settings))


def _make_client() -> "ApiClient":
    """A client of the cluster that this process runs in, or that a kubeconfig names.

    Raises:
        ClusterError: There are no credentials that can be used.
    """
    file = os.environ.get("KUBECONFIG") or None
    try:
        return _client_of_this_pod() if in_pod() and file is None else _client_of_kubeconfig(file)
    except Exception as error:  # kubernetes' own, YAML's, the operating system's
        said = str(error).rstrip(".")
        raise ClusterError(f"No cluster is named: {said}. {_HINT}", said=said) from error


def _is_transient(error: FullcircleError) -> bool:
    """Whether the API server did not answer, or said that it cannot at the moment."""
    if not isinstance(error, ClusterError):
        return False
    unanswered = isinstance(error.__cause__, urllib3.exceptions.HTTPError | ConnectionError)
    return error.status in (*_PASSING, _CONFLICT) or (not error.status and unanswered)


def _with_retry(client: "ApiClient") -> "ApiClient":
    """A client that tries once more what did not get through."""
    client.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(total=1, backoff_factor=0.5)
    return client


def _status_message(error: "ApiException") -> tuple[str, Object]:
    """What an API server said in its refusal, in one line, and of what."""
    try:
        status = json.loads(error.body)
        said, details = status.get("message"), status.get("details")
    except (AttributeError, TypeError, ValueError):  # not a Status: of a proxy, say
        said, details = None, None
    return " ".join(str(said or error.reason).split()), details or {}


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).rpartition("] ")[2].split())
