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
    history_page: dsl.Output[dsl.HTML],
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
        history_page: Every window of requests so far, as the scheduled job has last written it.
        namespace: Where the monitoring CronJob is on a cluster; empty for the namespace of the run.
    """
    from pathlib import Path

    from components.monitor.history.keeping import fetch_history
    from components.monitor.monitor import ReportFiles
    from components.monitor.task import report
    from components.shared.config import MonitoringConfig
    from components.shared.progress import announce
    from components.shared.store import Store

    found = report(
        name,
        version,
        MonitoringConfig.model_validate_json(settings),
        splits=Path(splits.path),
        files=ReportFiles(Path(drift.path), Path(monitor_page.path), Path(evidently.path)),
        namespace=namespace,
    )
    fetch_history(Store.connect(), name, Path(history_page.path))
    announce(found.message)


@stage
def observe(name: str, settings: str, history: dsl.Output[dsl.Artifact], history_page: dsl.Output[dsl.HTML]) -> None:
    """Observe a model: windows that are over get statistics, evidence and a report, and the history is made anew.

    Args:
        name: Name of the model.
        settings: The configuration's `monitoring` section, JSON; it goes before what the versions were published with.
        history: Every window and decision, JSON.
        history_page: The same for people.
    """
    from pathlib import Path

    from components.monitor.history.page import history_page as page
    from components.monitor.observation.observe import observed
    from components.shared.config import MonitoringConfig
    from components.shared.files import write_text
    from components.shared.inference_log.access import log_store
    from components.shared.progress import announce
    from components.shared.store import Store

    store = log_store(Store.connect())
    found = observed(store, name, override=MonitoringConfig.model_validate_json(settings))
    write_text(Path(history.path), found.history.model_dump_json(indent=2))
    page(found.history).write(history_page.path)
    announce(found.message)
