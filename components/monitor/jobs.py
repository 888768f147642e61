"""The Jobs of a cluster's namespace, as JSON, and what goes wrong with them in the user's words."""

import json
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from components.shared.errors import MonitorError

Object = dict[str, Any]

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TIMEOUT = (5, 30)  # to connect and to answer, in seconds


class Jobs:
    """The namespace's Jobs, and the CronJobs they are made from.

    Every method raises `MonitorError` when the API server refuses, and `ConnectionError` when it does not answer.
    """

    def __init__(self, namespace: str, api: client.ApiClient) -> None:
        self.namespace = namespace
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)

    @classmethod
    def of_this_pod(cls, namespace: str = "") -> "Jobs":
        """Those of a namespace, or else of this pod's own, with the rights of its service account.

        Raises:
            MonitorError: The pod has no service account's token.
        """
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
            namespace = namespace or _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
        except (config.ConfigException, OSError) as error:
            raise MonitorError(
                f"This pod cannot speak to the API server: {error}. It needs its service account's token."
            ) from error
        settings.retries = urllib3.Retry(2, backoff_factor=0.2)
        return cls(namespace, client.ApiClient(settings))

    def cron_job(self, name: str) -> Object:
        """The CronJob of a name."""
        found = self._asked("get", f"CronJob {name}", self._batch.read_namespaced_cron_job, name)
        if found is None:
            raise MonitorError(
                f"There is no CronJob {name} in namespace {self.namespace}, from which the drift report's job is made. "
                "Apply the manifests there (manifests/README.md), or name their namespace in the configuration: "
                "cluster.namespace."
            )
        return found

    def find(self, name: str) -> Object | None:
        """The Job of a name; None when there is none."""
        return self._asked("get", f"Job {name}", self._batch.read_namespaced_job, name)

    def create(self, job: Object) -> bool:
        """Make a Job; False when there is one of its name."""
        name = job["metadata"]["name"]
        return self._asked("create", f"Job {name}", self._batch.create_namespaced_job, body=job) is not None

    def pods(self, name: str) -> list[Object]:
        """Pods of a Job, the newest last."""
        selector = f"batch.kubernetes.io/job-name={name}"
        found = self._asked("list", f"pods of Job {name}", self._core.list_namespaced_pod, label_selector=selector)
        return sorted((found or {}).get("items", []), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def _asked(self, verb: str, what: str, call: Any, *names: str, **arguments: Any) -> Object | None:
        """What the API answers, with fields that the client does not know.

        Returns:
            None when a name that is asked for is not there, or one that is made is there already.
        """
        given = {"namespace": self.namespace, "_preload_content": False, "_request_timeout": _TIMEOUT}
        try:
            found = json.loads(call(*names, **given, **arguments).data)
        except client.ApiException as error:
            if error.status == (409 if verb == "create" else 404):
                return None
            if error.status == 429 or error.status >= 500:
                raise ConnectionError(f"the API server answered {error.status}") from error
            raise MonitorError(self._refused(verb, what, error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"the API server does not answer: {error}") from error
        return found if isinstance(found, dict) else {}

    def _refused(self, verb: str, what: str, error: client.ApiException) -> str:
        try:
            message = str(json.loads(error.body)["message"])
        except (TypeError, ValueError, KeyError):
            message = str(error.reason)
        advice = (
            " Apply the Role and RoleBinding fullcircle-monitor for the service account of this task "
            "(manifests/base/role.yaml)."
            if error.status in (401, 403)
            else ""
        )
        what = f"{what} in namespace {self.namespace}"
        return f"The API server refused to {verb} {what} ({error.status}): {message}.{advice}"
