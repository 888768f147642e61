"""`schedule`: the training pipeline on Kubeflow Pipelines, again and again."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.kubeflow import connect, print_active_runs

if TYPE_CHECKING:
    from pipelines.cluster.schedule import Scheduled


def schedule(
    config: options.ConfigFile,
    cron: Annotated[
        str, typer.Argument(metavar="CRON", help='"minute hour day month weekday", UTC; or off, which ends it')
    ],
    window_start: options.WindowStart = "",
    window_end: options.WindowEnd = "",
    paths: options.Paths = "",
    force: options.Force = False,
    account: options.Account = "",
    host: options.Host = "",
    token_file: options.TokenFile = "",
    namespace: options.RunNamespace = "kubeflow",
    kfp_namespace: options.KfpNamespace = "kubeflow",
) -> int:
    """Run the pipeline on Kubeflow Pipelines again and again.

    Examples:
        python -m pipelines schedule pipelines/configs/flights.yaml "0 3 * * mon"
        python -m pipelines schedule pipelines/configs/flights.yaml off
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    from pipelines.cluster import schedule as scheduling
    from pipelines.cluster.cron import Cron

    if cron.strip().lower() == scheduling.OFF:
        kfp = connect(host, token_file, namespace, kfp_namespace)
        ended = scheduling.unschedule(kfp, checked)
        print(f"{checked.name} no longer runs by itself." if ended.stopped else f"{checked.name} had no schedule.")
        print_active_runs(kfp, ended.at_work)
        return 0
    times = Cron.parse(cron)
    kfp = connect(host, token_file, namespace, kfp_namespace)
    parameters = options.pipeline_parameters(window_start=window_start, window_end=window_end, paths=paths, force=force)
    made = scheduling.schedule(kfp, checked, times, parameters=parameters, account=account)
    _print_schedule(made)
    print_active_runs(kfp, made.at_work)
    return 0


def _print_schedule(made: "Scheduled") -> None:
    instead = ", in the place of the schedule before" if made.replaced else ""
    print(f"{made.version} runs at {made.cron} (second minute hour day month weekday, UTC){instead}. Next:")
    print("\n".join(f"  {moment:%a %Y-%m-%d %H:%M:%S} UTC" for moment in made.next_times))
