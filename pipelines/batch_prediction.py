"""The batch prediction pipeline: from a table to its predictions in the object store. Wiring only.

The definition is built for one configuration, as the training pipeline is; what is predicted, with which version and
where to is said by each run.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.ingest.component import ingest
from components.predict.component import predict
from components.shared.config import Config
from pipelines.cluster.tasks import constant
from pipelines.wiring import Tasks


def batch_prediction_pipeline(config: Config) -> BaseComponent:
    """Build the batch prediction pipeline of a configuration.

    Args:
        config: The checked configuration.

    Returns:
        A KFP pipeline, to be compiled, submitted, or called under `kfp.local`.
    """
    source, problem = constant(config.source), constant(config.problem)

    @dsl.pipeline(
        name=f"{config.name}-batch-prediction",
        description=f"Predicts every row of a table with a version of {config.name}.",
    )
    def pipeline(
        data: str = "",
        window_start: str = "",
        window_end: str = "",
        paths: str = "",
        version: str = "",
        destination: str = "",
    ) -> None:
        """Predict every row of a table.

        Args:
            data: Place of a table with the columns a request to the endpoint has: a file, folder, glob, http(s)://… or
                s3://bucket/key; empty for the configured tables and their query.
            window_start: First moment of the data window, ISO 8601; empty for no limit.
            window_end: Moment after the data window, ISO 8601; empty for no limit.
            paths: Other places of the configured tables, as JSON: {"table": "s3://bucket/key"}; empty for none.
            version: The version to predict with; empty for the champion.
            destination: Prefix in the object store to write below; empty for a new one below predictions/<name>/.
        """
        tasks = Tasks(config.cluster, cached=False)  # no fingerprint says that the tables are what they were
        ingested = tasks.add(
            ingest,
            source=source,
            problem=problem,
            window_start=window_start,
            window_end=window_end,
            paths=paths,
            data=data,
        )
        tasks.add(
            predict,
            name=config.name,
            source=source,
            lineage=ingested["lineage"],
            version=version,
            destination=destination,
            table=ingested["table"],
        )

    return pipeline
