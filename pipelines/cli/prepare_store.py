"""`prepare-store`: buckets, users and their rights in a MinIO."""

import os
from pathlib import Path
from typing import Annotated

import typer


def prepare_store(
    keys: Annotated[
        Path,
        typer.Argument(metavar="KEYS", help="folder with access_key and secret_key of each of root, stages, …"),
    ],
    artifact_bucket: Annotated[
        str, typer.Option(metavar="BUCKET", help="the bucket of Kubeflow Pipelines' artifacts")
    ] = "mlpipeline",
    log_days: Annotated[
        int, typer.Option(metavar="N", help="days that the store keeps the inference log (0: for ever)")
    ] = 0,
    wait_seconds: Annotated[float, typer.Option(metavar="SECONDS", help="how long the store may take to answer")] = 0.0,
) -> int:
    """Make buckets, users and their rights in the MinIO of AWS_ENDPOINT_URL; harmless to repeat.

    Examples:
        python -m pipelines prepare-store /run/secrets/fullcircle --log-days 90 --wait-seconds 300
    """
    from components.shared.store import StoreSettings
    from components.shared.store_admin import PURPOSES, prepare, read_keys

    root = read_keys(keys / "root")
    names = {"AWS_ACCESS_KEY_ID": root.access_key, "AWS_SECRET_ACCESS_KEY": root.secret_key}
    settings = StoreSettings.from_environment({**os.environ, **names})
    users = {purpose: read_keys(keys / purpose) for purpose in PURPOSES}
    done = prepare(settings, users, artifact_bucket=artifact_bucket, log_days=log_days, wait_seconds=wait_seconds)
    print("\n".join(done))
    return 0
