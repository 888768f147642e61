"""The task: makes the report itself on one machine, and lets the cluster's job make it on a cluster."""

import os
from pathlib import Path

from components.monitor.monitor import DriftReport, ReportFiles, report_drift
from components.shared.config import MonitoringConfig
from components.shared.store import Store


def on_cluster() -> bool:
    """Whether this is a pod of a cluster that is not configured to serve from its own machine."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and not os.environ.get("FULLCIRCLE_SERVING_FOLDER")


def report(
    name: str, version: str, settings: MonitoringConfig, *, splits: Path, files: ReportFiles, namespace: str = ""
) -> DriftReport:
    """Make the report where this runs.

    Args:
        name: Name of the model.
        version: The version that serves.
        settings: Methods, thresholds, sizes.
        splits: Folder that prepare wrote.
        files: Where the report goes.
        namespace: Of the CronJob on a cluster; empty for that of this pod.

    Raises:
        FullcircleError: As `report_drift` on one machine, as `report_by_job` on a cluster.
    """
    store = Store.connect()
    if not on_cluster():
        return report_drift(store, name, version, settings, splits=splits, files=files)
    from components.monitor.cluster_job import report_by_job
    from components.monitor.jobs import Jobs

    jobs = Jobs.of_this_pod(namespace)
    return report_by_job(jobs, store, name, version, settings=settings, splits=splits, files=files)
