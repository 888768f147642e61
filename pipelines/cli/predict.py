"""`predict`: the batch prediction pipeline on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import run_console, warnings_of_a_failed_run

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent


def predict(
    config: options.ConfigFile,
    data: Annotated[
        str,
        typer.Option(
            metavar="PLACE",
            help="file, folder, glob, http(s)://… or s3://… (default: the config's)",
            show_default=False,
        ),
    ] = "",
    window_start: options.WindowStart = "",
    window_end: options.WindowEnd = "",
    paths: options.Paths = "",
    version: Annotated[
        str,
        typer.Option(metavar="VERSION", help="the version to predict with (default: the champion)", show_default=False),
    ] = "",
    destination: Annotated[
        str, typer.Option(metavar="PREFIX", help="where in the object store (default: a new place)", show_default=False)
    ] = "",
) -> int:
    """Predict every row of a table with a published version.

    Examples:
        python -m pipelines predict pipelines/configs/flights.yaml --data new_flights.parquet
        python -m pipelines predict pipelines/configs/flights.yaml --data s3://incoming/june/ --destination june
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    from pipelines.local.workers import PRELOAD_PREDICTION, warm_up

    warm_up(PRELOAD_PREDICTION, {})
    console = run_console(checked.name, f"Predictions for {data or 'the configured tables'}")
    from pipelines.local.run import run_here
    from pipelines.summary import print_predictions

    def pipeline() -> "BaseComponent":
        from pipelines.batch_prediction import batch_prediction_pipeline

        return batch_prediction_pipeline(checked)

    parameters = {
        "data": data,
        "window_start": window_start,
        "window_end": window_end,
        "paths": paths,
        "version": version,
        "destination": destination,
    }
    with warnings_of_a_failed_run(console):
        result = run_here(f"{checked.name}-batch-prediction", pipeline, console=console, arguments=parameters)
    print_predictions(result, console)
    return 0
