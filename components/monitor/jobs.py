"""The Jobs of a cluster's namespace, as JSON, and what goes wrong with them in the user's words.

The drift report of a cluster is made by a Job, with the rights to read the log that pipeline tasks do not have;
`cluster_job` makes that Job and waits for it. While it waits the API server may be away for a moment, so what can pass
(`ConnectionError`) is told from what cannot (`MonitorError`).
"""

from http import HTTPStatus
from typing import NoReturn

from components.shared.errors import MonitorError
from components.shared.kubernetes.api import Cluster, ClusterError, Object, pod_namespace


class Jobs:
    """The namespace's Jobs, and the CronJobs they are made from.

    Every method raises `MonitorError` when the API server refuses, and `ConnectionError` when it does not answer.
    """

    def __init__(self, namespace: str, cluster: Cluster) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._path = f"/apis/batch/v1/namespaces/{namespace}"

    @classmethod
    def of_this_pod(cls, namespace: str = "") -> "Jobs":
        """Those of a namespace, or else of this pod's own, with the rights of its service account.

        Raises:
            MonitorError: The pod has no service account's token.
        """
        try:
            return cls(namespace or pod_namespace(), Cluster.of_this_pod())
        except (ClusterError, OSError) as error:
            said = error.said if isinstance(error, ClusterError) else error
            raise MonitorError(
                f"This pod cannot speak to the API server: {said}. It needs its service account's token."
            ) from error

    def cron_job(self, name: str) -> Object:
        """The CronJob of a name."""
        found = self._get("cronjobs", name, f"CronJob {name}")
        if found is None:
            raise MonitorError(
                f"There is no CronJob {name} in namespace {self.namespace}, from which the drift report's job is made. "
                "Apply the manifests there (manifests/README.md), or name their namespace in the configuration: "
                "cluster.namespace."
            )
        return found

    def find(self, name: str) -> Object | None:
        """The Job of a name; None when there is none."""
        return self._get("jobs", name, f"Job {name}")

    def create(self, job: Object) -> bool:
        """Make a Job; False when there is one of its name."""
        name = job["metadata"]["name"]
        try:
            self._cluster.create(f"{self._path}/jobs", job)
        except ClusterError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            self._refuse("create", f"Job {name}", error)
        return True

    def pods(self, name: str) -> list[Object]:
        """Pods of a Job, the newest last."""
        selector = f"batch.kubernetes.io/job-name={name}"
        try:
            found = self._cluster.list(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=selector)
        except ClusterError as error:
            self._refuse("list", f"pods of Job {name}", error)
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def _get(self, kind: str, name: str, what: str) -> Object | None:
        """The object of a name; None when there is none."""
        try:
            return self._cluster.get(f"{self._path}/{kind}/{name}")
        except ClusterError as error:
            self._refuse("get", what, error)

    def _refuse(self, verb: str, what: str, error: ClusterError) -> NoReturn:
        """Separate failures that waiting cannot cure from those that may pass."""
        if not error.status:
            raise ConnectionError(f"the API server does not answer: {error.said}") from error
        if error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionError(f"the API server answered {error.status}") from error
        advice = (
            " Apply the Role and RoleBinding fullcircle-monitor for the service account of this task "
            "(manifests/base/role.yaml)."
            if error.is_forbidden
            else ""
        )
        raise MonitorError(
            f"The API server refused to {verb} {what} in namespace {self.namespace} ({error.status}): "
            f"{error.said}.{advice}"
        ) from error
