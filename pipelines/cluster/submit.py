"""A pipeline on Kubeflow Pipelines: a version named by its content, a run, and what came of it.

KFP keeps every version that is uploaded; named by its content, the same configuration is one version however often it
is submitted, and a run says exactly what it was made of. What follows is shown and summarised as for a local run, with
what can be reached from here: without the artifacts there are still the stages' own words.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from components.shared.config import Config
from components.shared.formatting import format_duration
from components.shared.kubernetes.api import Cluster, ClusterError
from components.shared.stages import BY_NAME
from pipelines.cluster.artifacts import bring
from pipelines.cluster.compiled import compile_to, content_name
from pipelines.cluster.diagnose import diagnose, print_diagnosis
from pipelines.cluster.kfp_api import Kfp
from pipelines.cluster.remote_run import Follower
from pipelines.display import Progress
from pipelines.local.run import RunResult
from pipelines.summary import print_fact, print_summary, write_index
from pipelines.task_records import TaskRecord

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

BUILD = Path("build")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A version of a pipeline on Kubeflow Pipelines.

    Attributes:
        pipeline: The pipeline's id.
        version: The version's id.
        name: The version's name: that of the pipeline and of its content.
        was_there: Whether the same content had been uploaded before.
    """

    pipeline: str
    version: str
    name: str
    was_there: bool


def upload(kfp: Kfp, config: Config) -> Uploaded:
    """Compile the training pipeline and upload it, unless the same content is there already.

    Raises:
        KfpError: Kubeflow Pipelines cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="fullcircle-submit-") as folder:
        package = Path(folder, f"{config.name}.yaml")
        compile_to(config, "training", package)
        name = f"{config.name}-{content_name(package)}"
        pipeline = kfp.find_pipeline(config.name) or kfp.create_pipeline(config.name, config.description)
        version = kfp.find_version(pipeline, name)
        if version:
            return Uploaded(pipeline, version, name, was_there=True)
        version = kfp.upload_version(pipeline, name, package, description=config.description)
        return Uploaded(pipeline, version, name, was_there=False)


def start(kfp: Kfp, config: Config, parameters: dict[str, object], *, console: Console, account: str = "") -> str:
    """Upload the pipeline and start a run of it; says where both are.

    Returns:
        The run's id.
    """
    uploaded = upload(kfp, config)
    experiment = kfp.ensure_experiment(config.name, config.description)
    name = f"{config.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    run_id = kfp.start_run(
        name,
        experiment=experiment,
        pipeline=uploaded.pipeline,
        version=uploaded.version,
        parameters=parameters,
        account=account,
    )
    print_fact(console, "Pipeline", f"{uploaded.name} ({'was there already' if uploaded.was_there else 'uploaded'})")
    print_run(console, kfp, run_id)
    return run_id


def print_run(console: Console, kfp: Kfp, run_id: str) -> None:
    """Write where a run is."""
    print_fact(console, "Run", run_id)
    print_fact(console, "Page", kfp.run_link(run_id))
    if kfp.ui_hint:
        console.print(Text(f"           (with `{kfp.ui_hint}` running)", "dim"), soft_wrap=True)
    console.print()


def find_cluster() -> Cluster | None:
    """The cluster of the kubeconfig or of this pod; None when there is no way to it."""
    try:
        return Cluster.connect()
    except ClusterError:
        return None


def follow(kfp: Kfp, config: Config, run_id: str, *, console: Console, again: str, seconds: float = 3.0) -> int:
    """Show a run until it has ended, then its summary, or why it failed.

    Args:
        kfp: Where the run is.
        config: What it was made of.
        run_id: The run.
        console: Where to write.
        again: The command that follows the run again.
        seconds: Between two looks.

    Returns:
        0 when the run succeeded, 1 when it failed or was cancelled, 130 when following was interrupted.
    """
    cluster, namespace = find_cluster(), kfp.settings.namespace
    folder = (BUILD / "runs" / config.name / run_id).resolve()
    families = config.search.families
    begun = time.monotonic()
    try:
        with Progress(console) as progress:
            follower = Follower(kfp, run_id, progress, cluster, namespace, families, folder / "logs", seconds)
            run = follower.follow()
    except KeyboardInterrupt:
        console.print(Text(f"\n The run goes on. Follow it again: {again}"), soft_wrap=True)
        return 130
    records = follower.stages
    _report_unknown_outcomes(follower.unfinished, console)
    if str(run.state) == "SUCCEEDED":
        took = _seconds(run) or time.monotonic() - begun
        result, given = RunResult(folder, records, took), follower.input_places("gate")
        _summarise(kfp, config, run, cluster=cluster, console=console, result=result, given=given)
        return 0
    found = diagnose(run_id, cluster, namespace=namespace, run=run, families=families)
    print_diagnosis(found, console)
    console.print()
    print_fact(console, "Page", kfp.run_link(run_id))
    return 1


def _report_unknown_outcomes(labels: Sequence[str], console: Console) -> None:
    if labels:
        said = "neither the Workflow nor Kubeflow Pipelines' records of tasks say it."
        console.print(Text(f" · How {', '.join(labels)} ended is not known here: {said}"), soft_wrap=True)


def _seconds(run: "V2beta1Run") -> float:
    if not run.created_at or not run.finished_at:
        return 0.0
    return max(0.0, float((run.finished_at - run.created_at).total_seconds()))


def _summarise(
    kfp: Kfp,
    config: Config,
    run: "V2beta1Run",
    *,
    cluster: Cluster | None,
    console: Console,
    result: RunResult,
    given: Mapping[str, str],
) -> None:
    root = run.runtime_config.pipeline_root if run.runtime_config else ""
    artifacts, reason = bring(
        cluster,
        kfp.settings.namespace,
        result.folder / "artifacts",
        pipeline=config.name,
        run_id=run.run_id,
        pipeline_root=root or "",
        given=given,
    )
    console.print()
    print_fact(console, "Run", kfp.run_link(run.run_id))
    if reason:
        _print_stage_messages(result.records, reason, console)
        console.print(Text(f"\n Done in {format_duration(result.seconds)}.", "dim"), soft_wrap=True)
    else:
        _attach(result, artifacts)
        print_summary(result, write_index(config, result), console, served_here=False)


def _attach(result: RunResult, artifacts: dict[str, dict[str, Path]]) -> None:
    """Give each stage its artifacts, also one of which there is no record: what it wrote shows that it ran."""
    recorded = {record.label for record in result.records}
    for stage in artifacts:
        if stage not in recorded:
            log = result.folder / "logs" / f"{stage}.log"
            result.records.append(TaskRecord(stage, log=log, artifacts={}, message="known by what it wrote alone"))
    for record in result.records:
        record.artifacts.update(artifacts.get(record.label, {}))


def _print_stage_messages(records: Sequence[TaskRecord], reason: str, console: Console) -> None:
    """Without the artifacts: the stages' own words, and why there is no more."""
    console.print()
    for record in records:
        if record.label in BY_NAME and BY_NAME[record.label].headline and record.message:
            print_fact(console, record.label.capitalize(), record.message)
    print_fact(console, "Pages", f"on the run's page; they could not be brought here: {reason}")
