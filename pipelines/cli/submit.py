"""`submit`: a run of the training pipeline on Kubeflow Pipelines."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import run_console
from pipelines.cli.kubeflow import connect, follow_command


def submit(
    config: options.ConfigFile,
    window_start: options.WindowStart = "",
    window_end: options.WindowEnd = "",
    paths: options.Paths = "",
    force: options.Force = False,
    account: options.Account = "",
    seconds: options.FollowSeconds = 3.0,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="start it and leave it alone")] = False,
    host: options.Host = "",
    token_file: options.TokenFile = "",
    namespace: options.RunNamespace = "kubeflow",
    kfp_namespace: options.KfpNamespace = "kubeflow",
) -> int:
    """Run the pipeline on Kubeflow Pipelines and follow it.

    Examples:
        python -m pipelines submit pipelines/configs/wine.yaml
        python -m pipelines submit pipelines/configs/wine.yaml --host http://localhost:8080 --no-follow
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    console = run_console(checked.name, checked.description)
    kfp = connect(host, token_file, namespace, kfp_namespace)
    from pipelines.cluster import submit as submission

    parameters = options.pipeline_parameters(window_start=window_start, window_end=window_end, paths=paths, force=force)
    run_id = submission.start(kfp, checked, parameters, console=console, account=account)
    again = follow_command(config, run_id, host=host, namespace=namespace)
    if no_follow:
        console.print(f" Follow it: {again}", soft_wrap=True)
        return 0
    return submission.follow(kfp, checked, run_id, console=console, again=again, seconds=seconds)
