"""The training pipeline: from a table to a monitored endpoint. Wiring only.

The definition is built for one configuration: each stage receives its own section as a constant, so that a changed
section re-runs only what depends on it. What changes from run to run is a pipeline parameter.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.deploy.component import deploy
from components.evaluate.component import evaluate
from components.gate.component import gate
from components.ingest.component import fingerprint, ingest
from components.monitor.component import monitor
from components.notify.component import notify
from components.prepare.component import prepare
from components.profile.component import profile
from components.publish.component import publish
from components.shared.config import Config
from components.train.component import train
from components.tune.component import tune
from components.validate.component import validate
from pipelines.cluster.tasks import constant, on_cluster, with_receivers
from pipelines.fusing import Output
from pipelines.wiring import Outputs, Tasks


@dataclass(frozen=True, slots=True)
class _Data:
    """What the stages up to the split put out: the parts, where they come from, and what the contract says of them."""

    lineage: Output
    validation: Output
    splits: Output


def training_pipeline(config: Config) -> BaseComponent:
    """Build the training pipeline of a configuration.

    Args:
        config: The checked configuration.

    Returns:
        A KFP pipeline, to be compiled, submitted, or called under `kfp.local`.
    """

    @dsl.pipeline(name=config.name, description=config.description or f"Trains, judges and serves {config.name}.")
    def pipeline(window_start: str = "", window_end: str = "", paths: str = "", force_promotion: bool = False) -> None:
        """Train, judge and serve a model.

        Args:
            window_start: First moment of the data window, ISO 8601; empty for no limit.
            window_end: Moment after the data window, ISO 8601; empty for no limit.
            paths: Other places of source tables, as JSON: {"table": "s3://bucket/key"}; empty for the configured ones.
            force_promotion: Promote even when the gate blocks; the verdict records it.
        """
        tasks = Tasks(config.cluster, fuse=_groups(config), reads_log=_log_readers(config))
        with _told_if_it_fails(config):
            data = _prepare(tasks, config, window_start=window_start, window_end=window_end, paths=paths)
            model = _train(tasks, config, data)
            evaluated, judged = _judge(tasks, config, data, model, force=force_promotion)
            promoted = tasks.channel(judged["Output"]) == True  # a KFP expression
            with dsl.If(promoted, name="Promoted by the gate"):
                _release(tasks, config, splits=data.splits, model=model, evaluated=evaluated, verdict=judged["verdict"])

    return pipeline


def _told_if_it_fails(config: Config) -> AbstractContextManager[object]:
    """The context for the tasks of a run: with an exit task that reports a failure, if a receiver wants that."""
    notifications = config.monitoring.notifications
    variables = notifications.variables("failed_run")
    if not variables:
        return nullcontext()
    task = notify(name=config.name, settings=constant(notifications), families=",".join(config.search.families))
    on_cluster(task, ("notify",), config.cluster).set_caching_options(False)
    handler: AbstractContextManager[object] = dsl.ExitHandler(with_receivers(task, config.cluster, variables))
    return handler


def _groups(config: Config) -> list[list[str]]:
    """The stages that share a task, without deploy where no run deploys: a person does."""
    left_out = {"deploy"} if config.gate.approval != "none" else set()
    groups = [[stage for stage in group if stage not in left_out] for group in config.cluster.fuse]
    return [group for group in groups if len(group) > 1]


def _log_readers(config: Config) -> tuple[str, ...]:
    """The stages that read the source, where that is the inference log."""
    return ("fingerprint", "ingest") if config.source.of_requests else ()


def _prepare(tasks: Tasks, config: Config, *, window_start: str, window_end: str, paths: str) -> _Data:
    """From the source to the checked, split and described table."""
    source, problem = constant(config.source), constant(config.problem)
    marked = tasks.add(fingerprint, source=source, paths=paths)
    ingested = tasks.add(
        ingest,
        source=source,
        problem=problem,
        window_start=window_start,
        window_end=window_end,
        paths=paths,
        mark=marked["Output"],
    )
    validated = tasks.add(validate, contract=constant(config.contract), problem=problem, table=ingested["table"])
    splits = tasks.add(
        prepare,
        settings=constant(config.prepare),
        problem=problem,
        contract=constant(config.contract.of_schema),
        table=validated["valid"],
    )["splits"]
    tasks.add(profile, settings=constant(config.profile), splits=splits)
    return _Data(ingested["lineage"], validated["validate_report"], splits)


def _train(tasks: Tasks, config: Config, data: _Data) -> Output:
    """Search each family side by side; of all their trials comes one model."""
    search = constant(config.search)
    with dsl.ParallelFor(list(config.search.families), name="Each model family") as family:
        fitting = constant(config.train.fitting)
        tuned = tasks.add(tune, family=family, search=search, training=fitting, splits=data.splits)
    return tasks.add(
        train,
        search=search,
        training=constant(config.train),
        problem=constant(config.problem),
        lineage=data.lineage,
        trials=dsl.Collected(tasks.channel(tuned["trials"])),
        splits=data.splits,
    )["model"]


def _judge(tasks: Tasks, config: Config, data: _Data, model: Output, *, force: bool) -> tuple[Output, Outputs]:
    """The evaluation's report, and what the gate puts out."""
    evaluation = constant(config.evaluation)
    evaluated = tasks.add(
        evaluate,
        name=config.name,
        evaluation=evaluation,
        splits=data.splits,
        model=model,
        validation=data.validation,
    )["evaluate_report"]
    judged = tasks.add(
        gate,
        name=config.name,
        settings=constant(config.gate),
        search=constant(config.search),
        evaluation=evaluation,
        force=force,
        splits=data.splits,
        model=model,
        evaluated=evaluated,
    )
    return evaluated, judged


def _release(
    tasks: Tasks, config: Config, *, splits: Output, model: Output, evaluated: Output, verdict: Output
) -> None:
    """Publish, deploy and watch the promoted version; one that has to be approved waits instead of being deployed."""
    waits = config.gate.approval != "none"
    version = tasks.add(
        publish,
        name=config.name,
        model=model,
        evaluated=evaluated,
        verdict=verdict,
        monitoring=constant(config.monitoring),
        waits_to_serve=constant(config.serving) if waits else "",
        gate=constant(config.gate_of_metric) if waits else "{}",
        evaluation=constant(config.evaluation) if waits else "{}",
        namespace=config.cluster.namespace if waits else "",
    )["Output"]
    if not waits:
        tasks.add(
            deploy,
            name=config.name,
            serving=constant(config.serving),
            version=version,
            verdict=verdict,
            namespace=config.cluster.namespace,
        )
    # It needs nothing of the deployment: it reads the version's package, and requests logged before it was deployed.
    tasks.add(
        monitor,
        name=config.name,
        settings=constant(config.monitoring),
        version=version,
        splits=splits,
        namespace=config.cluster.namespace,
    )
