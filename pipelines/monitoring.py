"""The monitoring pipeline: windows of requests that are over get evidence and a report. Wiring only.

The CronJob of the manifests does the same without Kubeflow Pipelines; as a recurring run it leaves the history page in
the UI.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.monitor.component import observe
from components.shared.config import Config
from pipelines.cluster.tasks import constant
from pipelines.wiring import Tasks


def monitoring_pipeline(config: Config) -> BaseComponent:
    """Build the monitoring pipeline of a configuration.

    Args:
        config: The checked configuration.

    Returns:
        A KFP pipeline, to be compiled, submitted, or called under `kfp.local`.
    """

    @dsl.pipeline(name=f"{config.name}-monitoring", description=f"Reports on the windows of requests to {config.name}.")
    def pipeline() -> None:
        """Report on each window that is over."""
        tasks = Tasks(config.cluster, cached=False)  # the endpoint has been asked more since
        tasks.add(observe, name=config.name, settings=constant(config.monitoring))

    return pipeline
