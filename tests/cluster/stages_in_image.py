"""Runs inside the stage image: imports every module, then runs all stages but deploy, which needs a cluster."""

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

from kfp import dsl
from rich.console import Console

from components.shared.component import stage

# What stages load only when they come to it.
LATE = ["kserve", "kubernetes", "lightgbm", "onnxmltools", "kfp.client", "matplotlib.backends.backend_svg"]


@stage
def deploy(
    name: str,
    serving: str,
    version: str,
    verdict: dsl.Input[dsl.Artifact],
    endpoint: dsl.Output[dsl.Artifact],
    deploy_page: dsl.Output[dsl.HTML],
    namespace: str = "",
) -> str:
    """Says only that the version serves, and makes it the champion."""
    from pathlib import Path

    from components.shared.registry.registry import Registry
    from components.shared.store import Store

    registry = Registry(Store.connect(), name)
    registry.promote(version, expected=registry.champion(), why=f"of {Path(verdict.path).name}")
    Path(deploy_page.path).write_text(f"<p>{namespace}</p>")
    Path(endpoint.path).write_text(f'{{"name": "{name}", "settings": {len(serving)}}}')
    return version


def import_everything() -> list[str]:
    """Import each module of the stages and pipelines.

    Returns:
        Their names.
    """
    names = []
    for root in ("components", "pipelines"):
        package = importlib.import_module(root)
        names += [module.name for module in pkgutil.walk_packages(package.__path__, f"{root}.")]
    modules = [name for name in names if not name.endswith("__main__")]
    for name in [*modules, *LATE]:
        importlib.import_module(name)
    return modules


def run_wine() -> Any:
    """Run the training pipeline with every model family, and with what it published batch prediction and monitoring."""
    from components.shared.config.notifications import NotificationsConfig, ReceiverConfig
    from components.shared.families import FAMILIES
    from pipelines import batch_prediction, monitoring, training
    from pipelines.config_file import load_config
    from pipelines.local.run import run_here

    config = load_config(Path("pipelines/configs/wine.yaml"))
    search = config.search.model_copy(update={"families": list(FAMILIES)})
    receiver = ReceiverConfig(kind="webhook", url_variable="HOOK_URL", events=["failed_run"])
    told = config.monitoring.model_copy(update={"notifications": NotificationsConfig(receivers=[receiver])})
    config = config.model_copy(update={"search": search, "monitoring": told})
    training.deploy = deploy  # type: ignore[attr-defined]
    build, console = Path("/tmp/build"), Console(file=sys.stderr)
    trained = run_here("wine", lambda: training.training_pipeline(config), console=console, build=build)
    predicted = run_here(
        "wine-predictions", lambda: batch_prediction.batch_prediction_pipeline(config), console=console, build=build
    )
    observed = run_here("wine-monitoring", lambda: monitoring.monitoring_pipeline(config), console=console, build=build)
    return {
        "tasks": [record.label for done in (trained, predicted, observed) for record in done.records],
        "messages": {record.label: record.message for record in trained.records},
        "promoted": trained.json("gate", "verdict")["promoted"],
        "predicted": predicted.json("predict", "summary"),
    }


if __name__ == "__main__":
    print(json.dumps({"modules": import_everything(), **run_wine()}))
