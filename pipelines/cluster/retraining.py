"""Retraining on a cluster: a run of the newest version of the model's pipeline, begun through KFP's API.

A run goes on by itself: it is begun at one look and found again, by its name, at later ones. What it came to, the
registry says: which version the run made champion, or which waits for a person.
"""

import io
from typing import TYPE_CHECKING

from rich.console import Console

from components.shared.kubernetes.api import Cluster
from components.shared.registry.pending import PendingVersions
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.cluster.diagnose import diagnose, print_diagnosis
from pipelines.cluster.kfp_api import Kfp, KfpError
from pipelines.decisions.retraining import Outcome, RetrainingRun, RetrainingTask

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

_GOES_ON = ("PENDING", "RUNNING", "PAUSED", "CANCELING", "RUNTIME_STATE_UNSPECIFIED")


class KfpRetrainer:
    """Begins runs on Kubeflow Pipelines.

    Args:
        kfp: The installation.
        store: The object store of the models.
        cluster: Where the pods of runs are, to say why one failed; None when there is no way to them.
        account: Service account of the pods; empty for KFP's own.
    """

    def __init__(self, kfp: Kfp, store: Store, *, cluster: Cluster | None = None, account: str = "") -> None:
        self.kfp = kfp
        self.store = store
        self.cluster = cluster
        self.account = account

    def find(self, task: RetrainingTask) -> RetrainingRun | None:
        """The run of a task, and what it came to where it has ended."""
        run = self.kfp.find_run(task.name)
        if run is None:
            return None
        outcome = None if str(run.state) in _GOES_ON else self._outcome(task, run)
        return RetrainingRun(run.run_id, outcome)

    def begin(self, task: RetrainingTask) -> RetrainingRun:
        """Begin a run of the newest version of the pipeline that has the model's name.

        Raises:
            KfpError: There is none, or Kubeflow Pipelines cannot be reached or refuses.
        """
        pipeline = self.kfp.find_pipeline(task.model)
        version = self.kfp.newest_version(pipeline) if pipeline else None
        if not pipeline or not version:
            raise KfpError(
                f"Kubeflow Pipelines has no pipeline {task.model!r} to retrain the model with: `make submit` with its "
                "configuration uploads one."
            )
        run_id = self.kfp.start_run(
            task.name,
            experiment=self.kfp.ensure_experiment(task.model, ""),
            pipeline=pipeline,
            version=version,
            parameters={},
            account=self.account,
        )
        return RetrainingRun(run_id)

    def cancel(self, task: RetrainingTask) -> None:
        """End the run."""
        run = self.kfp.find_run(task.name)
        if run is not None and str(run.state) in _GOES_ON:
            self.kfp.end_run(run.run_id)

    def interrupt(self) -> None:
        """Nothing to do: beginning a run takes a moment, and it is found again by its name."""

    def _outcome(self, task: RetrainingTask, run: "V2beta1Run") -> Outcome:
        hours = cpu_hours(run)
        if str(run.state) != "SUCCEEDED":
            return Outcome("failed", cpu_hours=hours, message=self._why(run))
        promoted = [entry.version for entry in Registry(self.store, task.model).history() if entry.run == run.run_id]
        if promoted:
            return Outcome("promoted", promoted[-1], hours, "it passed the gate and serves")
        waiting = PendingVersions(self.store, task.model).all().values()
        if version := next((one.version for one in waiting if one.run == run.run_id), ""):
            return Outcome("pending", version, hours, "it waits for approval")
        return Outcome(
            "blocked", cpu_hours=hours, message=f"the gate did not promote it: {self.kfp.run_link(run.run_id)}"
        )

    def _why(self, run: "V2beta1Run") -> str:
        """The diagnosis, as `diagnose` prints it."""
        text = Console(file=io.StringIO(), width=200, highlight=False)
        namespace = self.kfp.settings.namespace
        print_diagnosis(diagnose(run.run_id, self.cluster, namespace=namespace, run=run), text)
        assert isinstance(text.file, io.StringIO)  # noqa: S101, given above
        return text.file.getvalue().strip()


def cpu_hours(run: "V2beta1Run") -> float:
    """Hours that the pods of a run's tasks ran, each counted as one core."""
    details = (run.run_details.task_details if run.run_details else None) or []
    spans = [(one.start_time, one.end_time) for one in details if one.pod_name and one.start_time and one.end_time]
    return float(sum(max(0.0, (end - start).total_seconds()) for start, end in spans)) / 3600
