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
from components.shared.config import Config, Stage
from components.train.component import train
from components.tune.component import tune
from components.validate.component import validate
from pipelines.cluster.tasks import constant, on_cluster


def training_pipeline(config: Config) -> Any:
    """Build the training pipeline of a configuration.

    Args:
        config: The checked configuration.

    Returns:
        A KFP pipeline, to be compiled, submitted, or called under `kfp.local`.
    """
    source, problem, contract = map(constant, (config.source, config.problem, config.contract))
    search, training, evaluation = map(constant, (config.search, config.train, config.evaluation))

    def placed(task: Any, stage: Stage) -> Any:
        return on_cluster(task, stage, config.cluster)

    @dsl.pipeline(name=config.name, description=config.description or f"Trains, judges and serves {config.name}.")
    def pipeline(window_start: str = "", window_end: str = "", paths: str = "", force_promotion: bool = False) -> None:
        """Train, judge and serve a model.

        Args:
            window_start: First moment of the data window, ISO 8601; empty for no limit.
            window_end: Moment after the data window, ISO 8601; empty for no limit.
            paths: Other places of source tables, as JSON: {"table": "s3://bucket/key"}; empty for the configured ones.
            force_promotion: Promote even when the gate blocks; the verdict records it.
        """
        # Not cached, as the outside world may have changed behind the same path; ingest is, for each state of it.
        marked = placed(fingerprint(source=source, paths=paths), "fingerprint").set_caching_options(False)
        ingested = placed(
            ingest(
                source=source,
                problem=problem,
                window_start=window_start,
                window_end=window_end,
                paths=paths,
                mark=marked.outputs["Output"],
            ),
            "ingest",
        )
        validated = placed(validate(contract=contract, problem=problem, table=ingested.outputs["table"]), "validate")
        prepared = placed(
            prepare(
                settings=constant(config.prepare),
                problem=problem,
                minimum_rows=config.contract.minimum_rows,
                table=validated.outputs["valid"],
            ),
            "prepare",
        )
        splits = prepared.outputs["splits"]
        placed(profile(settings=constant(config.profile), splits=splits), "profile")
        with dsl.ParallelFor(list(config.search.families), name="Each model family") as family:
            tuned = placed(tune(family=family, search=search, training=training, splits=splits), "tune")
        trained = placed(
            train(
                search=search,
                training=training,
                problem=problem,
                lineage=ingested.outputs["lineage"],
                trials=dsl.Collected(tuned.outputs["trials"]),
                splits=splits,
            ),
            "train",
        )
        evaluated = placed(
            evaluate(
                name=config.name,
                evaluation=evaluation,
                splits=splits,
                model=trained.outputs["model"],
                validation=validated.outputs["validate_report"],
            ),
            "evaluate",
        )
        judged = placed(
            gate(
                name=config.name,
                settings=constant(config.gate),
                search=search,
                evaluation=evaluation,
                force=force_promotion,
                splits=splits,
                model=trained.outputs["model"],
                evaluated=evaluated.outputs["evaluate_report"],
            ),
            "gate",
        ).set_caching_options(False)  # the champion may have changed
        with dsl.If(judged.outputs["Output"] == True, name="Promoted by the gate"):  # a KFP expression
            published = placed(
                publish(
                    name=config.name,
                    model=trained.outputs["model"],
                    evaluated=evaluated.outputs["evaluate_report"],
                    verdict=judged.outputs["verdict"],
                    monitoring=constant(config.monitoring),
                ),
                "publish",
            ).set_caching_options(False)
            version = published.outputs["Output"]
            placed(
                deploy(
                    name=config.name,
                    serving=constant(config.serving),
                    version=version,
                    verdict=judged.outputs["verdict"],
                    namespace=config.cluster.namespace,
                ),
                "deploy",
            ).set_caching_options(False)
            # Beside the deployment: it reads the version's package, and what was asked of the endpoint before it.
            placed(
                monitor(
                    name=config.name,
                    settings=constant(config.monitoring),
                    version=version,
                    splits=splits,
                    namespace=config.cluster.namespace,
                ),
                "monitor",
            ).set_caching_options(False)

    return pipeline
