"""Command line: run a use case here or on a cluster, predict, roll back, stop, compile, check a cluster."""

import argparse
import sys
from pathlib import Path
from typing import Any

# Nothing heavy here: every task's process imports this module again.


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 1 for an error the user can mend, 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    from components.shared.errors import FullcircleError
    from pipelines import commands

    try:
        return int(getattr(commands, options.command.replace("-", "_"))(options))
    except FullcircleError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        from pipelines.local.task_runner import explain, is_disk_full

        if not is_disk_full(error):
            raise
        print(f"\n{explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing of this run is left running; what was serving before still is.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the pipeline on this machine, ending with an endpoint that answers")
    _add_config(run)
    _add_window(run)
    run.add_argument("--force", action="store_true", help="promote even when the gate blocks; the verdict records it")
    run.add_argument(
        "--on-cluster", action="store_true", help="in a pod: the endpoint and the drift report's job go on its cluster"
    )
    predict = commands.add_parser("predict", help="predict every row of a table with a published version")
    _add_config(predict)
    predict.add_argument(
        "--data", default="", metavar="PLACE", help="file, folder, glob, http(s)://… or s3://… (default: the config's)"
    )
    _add_window(predict)
    predict.add_argument("--version", default="", help="the version to predict with (default: the champion)")
    predict.add_argument("--destination", default="", metavar="PREFIX", help="where in the object store (default: new)")
    fetch = commands.add_parser("fetch", help="download a folder of the object store, such as predictions")
    fetch.add_argument("place", help="s3://bucket/prefix/")
    fetch.add_argument("folder", type=Path, help="a folder that is new or empty")
    commands.add_parser("stop", help="stop the endpoints and the object store that runs have started here")
    rollback = commands.add_parser(
        "rollback", help="deploy the version that was champion before; it is again, once it serves"
    )
    _add_endpoint(rollback)
    rollback.add_argument("--version", default="", help="one that was champion before (default: the one before)")
    rollback.add_argument("--reason", default="", metavar="TEXT", help="why, for the history")
    rollback.add_argument(
        "--no-dark-launch", action="store_true", help="do without the latest logged requests: golden requests only"
    )
    _add_registry(commands)
    prune = commands.add_parser(
        "prune", help="remove old hours of the inference log; says what would go, and removes it with --yes"
    )
    prune.add_argument("models", nargs="*", metavar="MODEL", help="name of a model (default: all that have a log)")
    prune.add_argument("--days", type=float, required=True, metavar="N", help="how long an hour is kept; at least 1")
    prune.add_argument("--yes", action="store_true", help="remove it")
    compiled = commands.add_parser("compile", help="write the pipelines as YAML for a KFP cluster")
    _add_config(compiled)
    compiled.add_argument("--pipeline", choices=["training", "batch-prediction"], help="only this one (default: both)")
    compiled.add_argument("--output", type=Path, metavar="FILE", help="where to write one (default: in build/)")
    _add_remote(commands)
    contract = commands.add_parser("contract", help="write a data contract inferred from the data, to be edited")
    _add_config(contract)
    contract.add_argument("--output", type=Path, metavar="FILE", help="where (default: build/<name>-contract.yaml)")
    prepare = commands.add_parser(
        "prepare-store", help="make buckets, users and their rights in a MinIO; harmless to repeat"
    )
    prepare.add_argument("keys", type=Path, help="folder with access_key and secret_key of each of root, stages, …")
    prepare.add_argument("--artifact-bucket", default="mlpipeline", help="the bucket of KFP's artifacts (mlpipeline)")
    prepare.add_argument(
        "--log-days", type=int, default=0, metavar="N", help="days that the store keeps the inference log (0: for ever)"
    )
    prepare.add_argument("--wait-seconds", type=float, default=0.0, help="how long the store may take to answer (0)")
    policy = commands.add_parser("store-policy", help="print an S3 policy, for stores that prepare-store cannot set up")
    policy.add_argument("purpose", choices=["stages", "serving", "monitoring", "artifacts"], help="who it is for")
    policy.add_argument("--bucket", default="fullcircle", help="the bucket (fullcircle)")
    rights = commands.add_parser("store-rights", help="try what the keys of the environment may do; changes nothing")
    rights.add_argument("purpose", choices=["stages", "serving", "monitoring", "artifacts"], help="who they are for")
    commands.add_parser("schema", help="print the JSON Schema of the configuration")
    return parser


def _add_registry(commands: Any) -> None:
    """The commands that look at what is published, or end its endpoint."""
    versions = commands.add_parser("versions", help="list a model's versions, which have served, and when and why")
    versions.add_argument("model", help="name of the model")
    opened = commands.add_parser("open", help="download a version and load its fitted scikit-learn pipeline")
    opened.add_argument("model", help="name of the model")
    opened.add_argument("--version", default="", help="the version (default: the champion)")
    opened.add_argument("--folder", type=Path, default=Path("build", "models"), metavar="FOLDER", help="where to")
    _add_endpoint(commands.add_parser("undeploy", help="end a model's endpoint; its versions stay in the store"))


def _add_remote(commands: Any) -> None:
    """The commands that speak to a cluster."""
    submit = commands.add_parser("submit", help="run the pipeline on Kubeflow Pipelines and follow it")
    schedule = commands.add_parser("schedule", help="run the pipeline there again and again")
    follow = commands.add_parser("follow", help="follow a run that is there")
    diagnose = commands.add_parser("diagnose", help="say why a run there is stuck or failed")
    for parser in (submit, schedule, follow):
        _add_config(parser)
    for parser in (submit, schedule):
        _add_window(parser)
        parser.add_argument("--force", action="store_true", help="promote even when the gate blocks")
        parser.add_argument("--account", default="", help="service account of the pods (default: KFP's own)")
    for parser in (follow, diagnose):
        parser.add_argument("run", metavar="RUN", help="the run's id")
    for parser in (submit, follow):
        parser.add_argument("--seconds", type=float, default=3.0, help="between two looks at the run (3)")
    submit.add_argument("--no-follow", action="store_true", help="start it and leave it alone")
    schedule.add_argument("cron", metavar="CRON", help="minute hour day month weekday, UTC; or off")
    for parser in (submit, schedule, follow, diagnose):
        parser.add_argument(
            "--host", default="", metavar="URL", help="Kubeflow Pipelines (default: that of the cluster)"
        )
        parser.add_argument("--token-file", default="", metavar="FILE", help="holds a bearer token")
        parser.add_argument("--namespace", default="kubeflow", help="of the runs (kubeflow)")
        _add_kfp_namespace(parser)
    doctor = commands.add_parser("doctor", help="check a cluster before the first run")
    doctor.add_argument("--namespace", default="kubeflow", help="of endpoints and monitoring (kubeflow)")
    doctor.add_argument("--runs", default="", metavar="NAMESPACE", help="of the runs, where it is another one")
    doctor.add_argument("--image", default="", help="the stage image that runs will name (default: the CronJob's)")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    _add_kfp_namespace(doctor)


def _add_kfp_namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kfp-namespace", default="kubeflow", metavar="NAMESPACE", help="of KFP itself (kubeflow)")


def _add_window(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--window-start", default="", metavar="TIME", help="first moment of the data window, ISO 8601")
    parser.add_argument("--window-end", default="", metavar="TIME", help="moment after the data window, ISO 8601")
    parser.add_argument("--paths", default="", metavar="JSON", help='other places of source tables: {"table": "path"}')


def _add_endpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="name of the model, and of its endpoint")
    parser.add_argument(
        "--namespace",
        default="",
        help="where it is on a cluster (default: here if it is served here, else the context's)",
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the use case's YAML file, such as pipelines/configs/wine.yaml")


if __name__ == "__main__":
    sys.exit(main())
