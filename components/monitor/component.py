"""Adapter of the monitor stage."""

from kfp import dsl

from components.shared.component import stage


@stage
def monitor(
    name: str,
    settings: str,
    version: str,
    splits: dsl.Input[dsl.Dataset],
    drift: dsl.Output[dsl.Artifact],
    monitor_page: dsl.Output[dsl.HTML],
    evidently: dsl.Output[dsl.HTML],
    namespace: str = "",
) -> None:
    """Report whether what the endpoint was asked drifted, else how the newest rows differ; on a cluster, by a Job.

    Args:
        name: Name of the model.
        settings: The configuration's `monitoring` section, JSON.
        version: The version whose reference window is compared with.
        splits: Folder that prepare wrote; its parts are compared until the endpoint has logged enough, without alarm.
        drift: What was found, JSON: its kind, whether it is an alarm, drifted columns, null shares, both windows.
        monitor_page: The same for people: columns, distances, null shares.
        evidently: Evidently's own report with the distributions.
        namespace: Where the monitoring CronJob is on a cluster; empty for the namespace of the run.
    """
    from pathlib import Path

    from components.monitor.monitor import ReportFiles
    from components.monitor.task import report
    from components.shared.config import MonitoringConfig
    from components.shared.progress import announce

    found = report(
        name,
        version,
        MonitoringConfig.model_validate_json(settings),
        splits=Path(splits.path),
        files=ReportFiles(Path(drift.path), Path(monitor_page.path), Path(evidently.path)),
        namespace=namespace,
    )
    announce(found.message)
