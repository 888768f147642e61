"""The Kubernetes API in plain values: objects are what their YAML says. The command line's one home of its client."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import urllib3

from components.shared.errors import FullcircleError

Object = dict[str, Any]

_NOT_FOUND, _CONFLICT, _FORBIDDEN, _UNAUTHORISED = 404, 409, 403, 401
_SECONDS = 20
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_HINT = "Name a cluster by KUBECONFIG, or check `kubectl get namespaces`."


class ClusterError(FullcircleError):
    """The cluster cannot be reached or refuses what was asked.

    Attributes:
        status: The HTTP status; 0 when there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_forbidden(self) -> bool:
        """Whether this user may not do what was asked."""
        return self.status in (_FORBIDDEN, _UNAUTHORISED)


class Cluster:
    """The cluster of the current kubeconfig context, or the one that this process runs in.

    Every method raises `ClusterError` when the API server cannot be reached or refuses.
    """

    def __init__(self) -> None:
        self.clock_difference = 0.0

    @classmethod
    def connect(cls) -> "Cluster":
        """The cluster, which answers."""
        cluster = cls()
        cluster.get("/version")
        return cluster

    @property
    def address(self) -> str:
        """Where the API server is."""
        return str(self._client.configuration.host)

    def get(self, path: str, **query: str) -> Object | None:
        """An object; None when it, or its kind, is not there."""
        try:
            found: Object = self._call("GET", path, query=query)
        except ClusterError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return found

    def list(self, path: str, **query: str) -> "list[Object]":
        """The objects of a kind; none when the kind is not there."""
        found = self.get(path, **query)
        return (found or {}).get("items") or []

    def create(self, path: str, body: Object) -> Object:
        """Make an object, or ask one of the questions that are asked so."""
        made: Object = self._call("POST", path, body=body)
        return made

    def delete(self, path: str) -> None:
        """Remove an object; no error when there is none."""
        try:
            self._call("DELETE", path, body={"propagationPolicy": "Background", "gracePeriodSeconds": 0})
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

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        plain: bool = False,
    ) -> Any:
        from kubernetes.client import ApiException

        try:
            answer, _, headers = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json, text/plain", "Content-Type": "application/json"},
                body=body,
                response_type="object",
                _preload_content=not plain,  # its parser takes a log of one line of JSON for an object
                auth_settings=["BearerToken"],
                _request_timeout=_SECONDS,
            )
        except ApiException as error:
            raise ClusterError(
                f"{method} {path} at {self.address}: {error.status} {_message(error)}", error.status or 0
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(
                f"The Kubernetes API server {self.address} cannot be reached: {_cause(error)}. {_HINT}"
            ) from error
        self._compare_clocks(headers)
        return answer.data.decode(errors="replace") if plain else answer

    def _compare_clocks(self, headers: Mapping[str, str]) -> None:
        with suppress(KeyError, TypeError, ValueError):
            self.clock_difference = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()

    @cached_property
    def _client(self) -> Any:
        from kubernetes import client, config

        settings, file = client.Configuration(), os.environ.get("KUBECONFIG") or None
        try:
            if _ACCOUNT.exists() and file is None:
                config.load_incluster_config(client_configuration=settings)
            else:
                config.load_kube_config(config_file=file, client_configuration=settings)
        except (config.ConfigException, OSError) as error:
            raise ClusterError(f"No cluster is named: {error}. {_HINT}") from error
        made = client.ApiClient(settings)
        made.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(total=1, backoff_factor=0.5)
        return made


def _message(error: Any) -> str:
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason
    return " ".join(str(said).split())


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).rpartition("] ")[2].split())
