"""The commands of `python -m pipelines`, one function each; all return an exit code."""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.shared.config import Config
from components.shared.config.file import load_config

if TYPE_CHECKING:
    from rich.console import Console

    from components.shared.store import Store
    from pipelines.cluster.kfp_api import Kfp

BUILD = Path("build")
LOCAL_ENDPOINTS = BUILD / "local" / "serving"
_PREDICTION_PARAMETERS = ("data", "window_start", "window_end", "paths", "version", "destination")


def run(options: argparse.Namespace) -> int:
    """Run the pipeline here and say what came of it."""
    config = load_config(options.config)
    from pipelines.local.task_runner import warm_up

    warm_up()  # the libraries load while kfp is imported and the store starts
    console = _console(config.name, config.description)
    from pipelines.local.run import RunError, run_here
    from pipelines.summary import print_summary, print_warnings, write_index

    def pipeline() -> Any:
        from pipelines.training import training_pipeline

        return training_pipeline(config)

    try:
        result = run_here(
            config.name,
            pipeline,
            console=console,
            arguments=_pipeline_arguments(options),
            serve_here=not options.on_cluster,
        )
    except RunError as error:
        if error.result is not None:
            print_warnings(error.result, console)  # they often say why
        raise
    print_summary(result, write_index(config, result), console, served_here=not options.on_cluster)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Predict a table here and say where the predictions are."""
    config = load_config(options.config)
    from pipelines.local.task_runner import PRELOAD_PREDICTION, warm_up

    warm_up(PRELOAD_PREDICTION, {})
    console = _console(config.name, f"Predictions for {options.data or 'the configured tables'}")
    from pipelines.local.run import run_here
    from pipelines.summary import print_predictions

    def pipeline() -> Any:
        from pipelines.batch_prediction import batch_prediction_pipeline

        return batch_prediction_pipeline(config)

    arguments = {name: getattr(options, name) for name in _PREDICTION_PARAMETERS}
    result = run_here(f"{config.name}-batch-prediction", pipeline, console=console, arguments=arguments)
    print_predictions(result, console)
    return 0


def rollback(options: argparse.Namespace) -> int:
    """Deploy the version that was champion before, or another one that was, where the model is served."""
    from components.deploy.rollback import is_served_here, roll_back
    from components.shared.store import Store
    from pipelines.local.store import settings_or_start

    here = not options.namespace and is_served_here(options.model, LOCAL_ENDPOINTS.resolve())
    store = Store(settings_or_start(Path.cwd())) if here else Store.connect()
    with _as_environment(store):
        deployed = roll_back(
            store, options.model, folder=LOCAL_ENDPOINTS.resolve() if here else None, namespace=options.namespace,
            dark_launch=not options.no_dark_launch, version=options.version, why=options.reason,
        )  # fmt: skip
    print(deployed.message)
    return 0


def versions(options: argparse.Namespace) -> int:
    """Print a model's versions and the history of its champion, from the store that runs here use."""
    from rich.console import Console

    from components.shared.registry.registry import Registry
    from components.shared.store import Store
    from pipelines.local.store import settings_or_start
    from pipelines.versions import print_versions

    width = None if sys.stdout.isatty() else 200  # a file or a pipe has no width
    console = Console(file=sys.stdout, highlight=False, width=width)
    print_versions(Registry(Store(settings_or_start(Path.cwd())), options.model), console)
    return 0


def open(options: argparse.Namespace) -> int:
    """Bring a version of a model here and say how a notebook gets its fitted pipeline."""
    from components.shared.registry.registry import Registry
    from components.shared.store import Store
    from pipelines.local.store import settings_or_start
    from pipelines.open_model import open_model

    opened = open_model(Registry(Store(settings_or_start(Path.cwd())), options.model), options.version, options.folder)
    print(f"{options.model} {opened.manifest.version} is in {opened.folder}, verified:\n\n{opened.pipeline}\n")
    print(f"In a notebook, from this folder:\n\n{opened.lines}")
    return 0


def undeploy(options: argparse.Namespace) -> int:
    """End the endpoint of a model, where it is served."""
    from components.deploy.rollback import is_served_here, undeploy

    here = not options.namespace and is_served_here(options.model, LOCAL_ENDPOINTS.resolve())
    version = undeploy(options.model, folder=LOCAL_ENDPOINTS.resolve() if here else None, namespace=options.namespace)
    print(f"{options.model} is served no more; version {version} is still in the store, and the champion what it was")
    return 0


@contextlib.contextmanager
def _as_environment(store: "Store") -> Iterator[None]:
    """Where servers that are started find the store."""
    before = dict(os.environ)
    os.environ.update(store.settings.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def fetch(options: argparse.Namespace) -> int:
    """Download what lies below a prefix of the object store that runs here use."""
    from components.shared.store import Store, parse_s3_uri
    from pipelines.local.store import settings_or_start

    bucket, prefix = parse_s3_uri(options.place)
    Store(settings_or_start(Path.cwd())).for_bucket(bucket).get_folder(prefix, options.folder)
    print(f"wrote {options.folder}")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Remove old hours of the inference log in the object store that runs here use, or say which these are."""
    from components.shared.inference_log.reading import models
    from components.shared.inference_log.retention import prune_log
    from components.shared.store import Store
    from pipelines.local.store import settings_or_start

    store = Store(settings_or_start(Path.cwd()))
    found = {
        name: prune_log(store, name, keep_days=options.days, delete=options.yes)
        for name in options.models or models(store)
    }
    for name, pruned in found.items():
        print(f"{name}: {pruned.message(removed=options.yes)}")
    if not found:
        print("nothing is logged yet")
    elif not options.yes and any(pruned.hours for pruned in found.values()):
        print("Nothing was removed. `make prune DAYS=… YES=1`, or `--yes`, removes it; model versions always stay.")
    return 0


def _console(name: str, about: str) -> "Console":
    """Where a run reports, its heading printed."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings of retries are not for the terminal
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)  # kept: kfp's own output is turned elsewhere
    console.print(Text.assemble("\n", (name, "bold"), f" · {about}\n"), soft_wrap=True)
    return console


def _pipeline_arguments(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "window_start": options.window_start,
        "window_end": options.window_end,
        "paths": options.paths,
        "force_promotion": options.force,
    }


def stop(options: argparse.Namespace) -> int:
    """Stop every process that runs have started here."""
    del options
    from pipelines.local.services import stop_all

    stopped = stop_all(Path.cwd())
    print("\n".join(f"stopped {name}" for name in stopped) or "nothing was running")
    return 0


def compile(options: argparse.Namespace) -> int:
    """Write the pipelines for a KFP cluster: both, or the one that is named."""
    config = load_config(options.config)
    from pipelines.cluster.compiled import Kind, compile_to

    outputs: dict[Kind, Path] = {
        "training": BUILD / f"{config.name}.yaml",
        "batch-prediction": BUILD / f"{config.name}-batch-prediction.yaml",
    }
    if options.pipeline or options.output:
        chosen: Kind = options.pipeline or "training"
        outputs = {chosen: options.output or outputs[chosen]}
    for kind, output in outputs.items():
        compile_to(config, kind, output)
        print(f"wrote {output}")
    return 0


def contract(options: argparse.Namespace) -> int:
    """Write a contract inferred from the data."""
    config = load_config(options.config)
    from components.ingest.ingest import ingest_table
    from components.validate.infer import write_contract

    output = options.output or BUILD / f"{config.name}-contract.yaml"
    with tempfile.TemporaryDirectory(prefix="fullcircle-contract-") as folder:
        table = Path(folder, "table.parquet")
        ingest_table(config.source, config.problem, table)
        write_contract(table, config.problem, output)
    print(f"wrote {output}: look it over, then paste it over the `contract:` section of {options.config}")
    return 0


def prepare_store(options: argparse.Namespace) -> int:
    """Set up the MinIO that AWS_ENDPOINT_URL names, with the root keys and users' keys of a folder."""
    from components.shared.store import StoreSettings
    from components.shared.store_admin import PURPOSES, prepare, read_keys

    root = read_keys(options.keys / "root")
    names = {"AWS_ACCESS_KEY_ID": root.access_key, "AWS_SECRET_ACCESS_KEY": root.secret_key}
    settings = StoreSettings.from_environment({**os.environ, **names})
    users = {purpose: read_keys(options.keys / purpose) for purpose in PURPOSES}
    done = prepare(
        settings, users, artifact_bucket=options.artifact_bucket, log_days=options.log_days,
        wait_seconds=options.wait_seconds,
    )  # fmt: skip
    print("\n".join(done))
    return 0


def store_policy(options: argparse.Namespace) -> int:
    """Print the S3 policy of a purpose."""
    from components.shared.store_admin import policy

    print(json.dumps(policy(options.purpose, options.bucket), indent=2))
    return 0


def submit(options: argparse.Namespace) -> int:
    """Start a run on a cluster and, unless it is to be left alone, follow it."""
    config = load_config(options.config)
    console = _console(config.name, config.description)
    kfp = _kfp(options)
    from pipelines.cluster import submit as submission

    parameters = _pipeline_arguments(options)
    run_id = submission.start(kfp, config, parameters, console=console, account=options.account)
    again = _follow_again(options, run_id)
    if options.no_follow:
        console.print(f" Follow it: {again}", soft_wrap=True)
        return 0
    return submission.follow(kfp, config, run_id, console=console, again=again, seconds=options.seconds)


def follow(options: argparse.Namespace) -> int:
    """Follow a run that is there already."""
    config = load_config(options.config)
    run_id = _run_id(options)
    console = _console(config.name, config.description)
    kfp = _kfp(options)
    from pipelines.cluster import submit as submission

    kfp.get_run(run_id)
    submission.say_run(console, kfp, run_id)
    again = _follow_again(options, run_id)
    return submission.follow(kfp, config, run_id, console=console, again=again, seconds=options.seconds)


def schedule(options: argparse.Namespace) -> int:
    """Make, change or remove the recurring run of a configuration."""
    config = load_config(options.config)
    from pipelines.cluster import schedule as scheduling
    from pipelines.cluster.cron import Cron

    if options.cron.strip().lower() == scheduling.OFF:
        kfp = _kfp(options)
        ended = scheduling.unschedule(kfp, config)
        print(f"{config.name} no longer runs by itself." if ended.stopped else f"{config.name} had no schedule.")
        _print_runs_at_work(kfp, ended.at_work)
        return 0
    cron = Cron.parse(options.cron)
    kfp = _kfp(options)
    made = scheduling.schedule(kfp, config, cron, parameters=_pipeline_arguments(options), account=options.account)
    instead = ", in the place of the schedule before" if made.replaced else ""
    print(f"{made.version} runs at {made.cron} (second minute hour day month weekday, UTC){instead}. Next:")
    print("\n".join(f"  {moment:%a %Y-%m-%d %H:%M:%S} UTC" for moment in made.next_times))
    _print_runs_at_work(kfp, made.at_work)
    return 0


def _print_runs_at_work(kfp: "Kfp", runs: list[str]) -> None:
    for run_id in runs:
        print(
            f"A run that it had started goes on: {kfp.run_link(run_id)}\n"
            "Its schedule stays in the list until then, disabled; the next `make schedule` after that deletes it."
        )


def diagnose(options: argparse.Namespace) -> int:
    """Say why a run is stuck or failed."""
    from components.shared.kubernetes.api import Cluster, ClusterError
    from pipelines.cluster import diagnose as diagnosing
    from pipelines.cluster.kfp_api import KfpError

    run_id = _run_id(options)
    kfp, run, cluster, notes = _kfp(options), None, None, []
    try:
        run = kfp.get_run(run_id)
    except KfpError as error:
        notes.append(f"Kubeflow Pipelines was not asked: {error}")
    try:
        cluster = Cluster.connect()
    except ClusterError as error:
        if run is None:
            raise
        notes.append(f"The pods were not looked at: {error}")
    found = diagnosing.diagnose(run_id, cluster, namespace=options.namespace, run=run)
    found.notes += notes
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    diagnosing.print_diagnosis(found, console)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Check a cluster; 1 when something would fail."""
    from components.shared.kubernetes.api import Cluster
    from pipelines.cluster.checks import Place, as_json, print_checks
    from pipelines.cluster.doctor import examine

    place = Place(options.namespace, options.runs, options.kfp_namespace, options.image)
    found = examine(Cluster.connect(), place)
    if options.json:
        print(as_json(found))
    else:
        from rich.console import Console

        print_checks(found, Console(file=sys.stdout, highlight=False))
    return 1 if any(check.status == "fail" for check in found) else 0


def _kfp(options: argparse.Namespace) -> "Kfp":
    from pipelines.cluster.kfp_api import TOKEN_VARIABLE, Kfp, KfpSettings, read_token

    token = read_token(options.token_file or os.environ.get(TOKEN_VARIABLE, ""))
    return Kfp(KfpSettings(options.host, token, options.namespace, options.kfp_namespace))


def _run_id(options: argparse.Namespace) -> str:
    run_id: str = options.run.strip()
    if not run_id:
        from pipelines.cluster.kfp_api import KfpError

        raise KfpError("Which run? Say RUN=…: its id is in the address of its page, and what `make submit` prints.")
    return run_id


def _follow_again(options: argparse.Namespace, run_id: str) -> str:
    named = {"HOST": options.host, "NAMESPACE": options.namespace if options.namespace != "kubeflow" else ""}
    parts = [f"{name}={value}" for name, value in named.items() if value]
    return " ".join(["make follow", f"CONFIG={options.config}", f"RUN={run_id}", *parts])


def store_rights(options: argparse.Namespace) -> int:
    """Print, as JSON, what the keys of the environment may do, whatever the answer is."""
    from components.shared.store import StoreSettings
    from components.shared.store_rights import report

    print(json.dumps(report(StoreSettings.from_environment(), options.purpose)))
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration."""
    del options
    json.dump(Config.model_json_schema(), sys.stdout, indent=2)
    print()
    return 0
