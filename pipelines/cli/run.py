"""`run`: the training pipeline on this machine."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import run_console, warnings_of_a_failed_run


def run(
    config: options.ConfigFile,
    window_start: options.WindowStart = "",
    window_end: options.WindowEnd = "",
    paths: options.Paths = "",
    force: options.Force = False,
    on_cluster: Annotated[
        bool, typer.Option("--on-cluster", help="in a pod: the endpoint and the drift report's job go on its cluster")
    ] = False,
) -> int:
    """Run the pipeline on this machine, ending with an endpoint that answers.

    Examples:
        python -m pipelines run pipelines/configs/wine.yaml
        python -m pipelines run pipelines/configs/flights.yaml --window-start 2013-06-01 --window-end 2013-12-01
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    from pipelines.local.workers import warm_up

    warm_up()  # the libraries load while kfp is imported and the store starts
    console = run_console(checked.name, checked.description)
    from pipelines.local.run import train_here
    from pipelines.summary import print_summary, write_index

    parameters = options.pipeline_parameters(window_start=window_start, window_end=window_end, paths=paths, force=force)
    with warnings_of_a_failed_run(console):
        result = train_here(checked, console=console, arguments=parameters, serve_here=not on_cluster)
    print_summary(result, write_index(checked, result), console, served_here=not on_cluster)
    if checked.gate.approval != "none" and checked.serving.shadow.percent and not on_cluster:
        _shadow(checked.name)
    return 0


def _shadow(model: str) -> None:
    """Bring the version that waits now up beside the endpoint; the next look of `watch` would do it otherwise."""
    from components.deploy.waiting import Place, begin_shadow
    from pipelines.cli.places import LOCAL_ENDPOINTS, as_environment, local_store

    store = local_store()
    with as_environment(store):
        begin_shadow(store, model, Place(LOCAL_ENDPOINTS.resolve()), tell=print)
