"""The training pipeline: from a table to a monitored endpoint. Wiring only.

The definition is built for one configuration: each stage receives its own section as a constant, so that a changed
section re-runs only what depends on it. What changes from run to run is a pipeline parameter.
"""

from typing import Any

from kfp import dsl

from components.deploy.component import deploy
from components.evaluate.component import evaluate
from components.gate.component import gate
from components.ingest.component import fingerprint, ingest
from components.monitor.component import monitor
from components.prepare.component import prepare
from components.profile.component import profile
from components.publish.component import publish
from components.shared.config import Config
from components.train.component import train
from components.tune.component import tune
from components.validate.component import validate
from pipelines.cluster.tasks import constant
from pipelines.wiring import Tasks


def training_pipeline(config: Config) -> Any:
    """Build the training pipeline of a configuration.

    Args:
        config: The checked configuration.

    Returns:
        A KFP pipeline, to be compiled, submitted, or called under `kfp.local`.
    """
    source, problem, contract = map(constant, (config.source, config.problem, config.contract))
    search, training, evaluation = map(constant, (config.search, config.train, config.evaluation))

    @dsl.pipeline(name=config.name, description=config.description or f"Trains, judges and serves {config.name}.")
    def pipeline(window_start: str = "", window_end: str = "", paths: str = "", force_promotion: bool = False) -> None:
        """Train, judge and serve a model.

        Args:
            window_start: First moment of the data window, ISO 8601; empty for no limit.
            window_end: Moment after the data window, ISO 8601; empty for no limit.
            paths: Other places of source tables, as JSON: {"table": "s3://bucket/key"}; empty for the configured ones.
            force_promotion: Promote even when the gate blocks; the verdict records it.
        """
        tasks = Tasks(config.cluster, fuse=config.cluster.fuse)
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
        validated = tasks.add(validate, contract=contract, problem=problem, table=ingested["table"])
        splits = tasks.add(
            prepare,
            settings=constant(config.prepare),
            problem=problem,
            minimum_rows=config.contract.minimum_rows,
            table=validated["valid"],
        )["splits"]
        tasks.add(profile, settings=constant(config.profile), splits=splits)
        with dsl.ParallelFor(list(config.search.families), name="Each model family") as family:
            fitting = constant(config.train.fitting)
            tuned = tasks.add(tune, family=family, search=search, training=fitting, splits=splits)
        model = tasks.add(
            train,
            search=search,
            training=training,
            problem=problem,
            lineage=ingested["lineage"],
            trials=dsl.Collected(tasks.channel(tuned["trials"])),
            splits=splits,
        )["model"]
        evaluated = tasks.add(
            evaluate,
            name=config.name,
            evaluation=evaluation,
            splits=splits,
            model=model,
            validation=validated["validate_report"],
        )["evaluate_report"]
        judged = tasks.add(
            gate,
            name=config.name,
            settings=constant(config.gate),
            search=search,
            evaluation=evaluation,
            force=force_promotion,
            splits=splits,
            model=model,
            evaluated=evaluated,
        )
        promoted = tasks.channel(judged["Output"]) == True  # a KFP expression
        with dsl.If(promoted, name="Promoted by the gate"):
            version = tasks.add(
                publish,
                name=config.name,
                model=model,
                evaluated=evaluated,
                verdict=judged["verdict"],
                monitoring=constant(config.monitoring),
            )["Output"]
            tasks.add(
                deploy,
                name=config.name,
                serving=constant(config.serving),
                version=version,
                verdict=judged["verdict"],
                namespace=config.cluster.namespace,
            )
            # Beside the deployment: it reads the version's package, and what was asked of the endpoint before it.
            tasks.add(
                monitor,
                name=config.name,
                settings=constant(config.monitoring),
                version=version,
                splits=splits,
                namespace=config.cluster.namespace,
            )

    return pipeline
