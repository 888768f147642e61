"""`watch`: decide on what the monitor finds out, and retrain.

For a model of this machine it also does what the scheduled jobs of a cluster do: without them nobody else would look.
"""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import plain_console
from pipelines.cli.kubeflow import connect
from pipelines.cli.places import LOCAL_ENDPOINTS, as_environment, endpoint_folder, local_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from components.shared.store import Store
    from pipelines.cluster.kfp_api import Kfp
    from pipelines.decisions.watching import Watcher


def watch(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[CONFIG|MODEL]",
            help="a configuration, to retrain on this machine; or a model's name, to retrain on Kubeflow Pipelines "
            "(default: there, every model that has served)",
        ),
    ] = "",
    every: Annotated[float, typer.Option(metavar="SECONDS", help="look again after so long; 0 for one look")] = 0.0,
    account: options.Account = "",
    host: options.Host = "",
    token_file: options.TokenFile = "",
    namespace: options.RunNamespace = "kubeflow",
    kfp_namespace: options.KfpNamespace = "kubeflow",
) -> int:
    """Decide on the newest evidence by `monitoring.policy`, retrain where it says so, and see to versions that wait.

    With a configuration, the windows of requests that are over are reported on first, as `monitor` does.

    Examples:
        python -m pipelines watch pipelines/configs/flights.yaml
        python -m pipelines watch flights --every 600
    """
    import time

    on_cluster = not what.endswith((".yaml", ".yml"))
    store = _store(on_cluster)
    with as_environment(store):
        if on_cluster:
            kfp = connect(host, token_file, namespace, kfp_namespace)
            look = partial(_look_at_models, store, [what] if what else [], kfp, account)
        else:
            look = partial(_look_here, _here(store, what))
        while every:
            _look_and_go_on(look)
            time.sleep(every)
        return look()


def _look_and_go_on(look: "Callable[[], int]") -> None:
    """Take one of many looks: the next one may do what could not be done now."""
    from components.shared.progress import tell_failure

    try:
        look()
    except Exception as error:  # noqa: BLE001, as the scheduled jobs of a cluster go on, whatever it was
        tell_failure(error)


def _look_here(watcher: "Watcher") -> int:
    """Report on the windows that are over, then take one look."""
    from components.monitor.observation.observe import observed
    from components.shared.inference_log.compaction import compact_log
    from components.shared.registry.registry import Registry

    if Registry(watcher.store, watcher.model).champion():
        compact_log(watcher.store, watcher.model)
        print(f"{watcher.model}: {observed(watcher.store, watcher.model).message}", flush=True)
    return _look(watcher)


def _look(watcher: "Watcher") -> int:
    """Take one look, and say what became known."""
    from pipelines.decisions.watching import in_words

    records = watcher.look()
    for line in in_words(records):
        print(f"{watcher.model}: {line}", flush=True)
    if not records:
        print(f"{watcher.model}: nothing new", flush=True)
    return 0


def _look_at_models(store: "Store", named: list[str], kfp: "Kfp", account: str) -> int:
    """Look at each model; where one cannot be seen to, the others are all the same, and the exit code is 1."""
    from components.shared.progress import tell_failure
    from components.shared.registry.registry import models_that_served

    code = 0
    models = named or models_that_served(store)
    for model in models:
        try:
            _look(_on_cluster(store, model, kfp, account))
        except Exception as error:  # noqa: BLE001, a defect that one model brings to light is no other model's affair
            tell_failure(error, model=model)
            code = 1
    if not models:
        print("no model is published yet: nothing to decide", flush=True)
    return code


def _store(on_cluster: bool) -> "Store":
    from components.shared.store import Store

    return Store.connect() if on_cluster else local_store()


def _here(store: "Store", config: str) -> "Watcher":
    from datetime import UTC, datetime
    from pathlib import Path

    from pipelines.config_file import load_config
    from pipelines.decisions.watching import Watcher
    from pipelines.local.retraining import LocalRetrainer

    checked = load_config(Path(config))
    retrainer = LocalRetrainer(checked, console=plain_console())
    settle = _settle(store, checked.name, endpoint_folder(checked.name, "") or LOCAL_ENDPOINTS.resolve())
    return Watcher(store, checked.name, retrainer, lambda: datetime.now(UTC), settle=settle)


def _on_cluster(store: "Store", model: str, kfp: "Kfp", account: str) -> "Watcher":
    from datetime import UTC, datetime

    from pipelines.cluster.retraining import KfpRetrainer
    from pipelines.cluster.submit import find_cluster
    from pipelines.decisions.watching import Watcher

    retrainer = KfpRetrainer(kfp, store, cluster=find_cluster(), account=account)
    settle = _settle(store, model, endpoint_folder(model, ""), namespace=kfp.settings.namespace)
    return Watcher(store, model, retrainer, lambda: datetime.now(UTC), settle=settle)


def _settle(store: "Store", model: str, folder: "Path | None", *, namespace: str = "") -> "Callable[[], None]":
    """What sees to the versions that wait, at each look."""

    def settle() -> None:
        from components.deploy.waiting import Place, see_to_waiting

        see_to_waiting(store, model, Place(folder, namespace), tell=lambda line: print(f"{model}: {line}", flush=True))

    return settle
