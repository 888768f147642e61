"""`follow`: a run that is on Kubeflow Pipelines already."""

from pipelines.cli import options
from pipelines.cli.consoles import run_console
from pipelines.cli.kubeflow import connect, follow_command, required_run_id


def follow(
    config: options.ConfigFile,
    run: options.RunId,
    seconds: options.FollowSeconds = 3.0,
    host: options.Host = "",
    token_file: options.TokenFile = "",
    namespace: options.RunNamespace = "kubeflow",
    kfp_namespace: options.KfpNamespace = "kubeflow",
) -> int:
    """Follow a run that is on Kubeflow Pipelines.

    Examples:
        python -m pipelines follow pipelines/configs/wine.yaml 3f6c1b7e-0d43-4c55-9d07-6a3f0c8f7b21
    """
    from pipelines.config_file import load_config

    checked = load_config(config)
    run_id = required_run_id(run)
    console = run_console(checked.name, checked.description)
    kfp = connect(host, token_file, namespace, kfp_namespace)
    from pipelines.cluster import submit as submission

    kfp.get_run(run_id)
    submission.print_run(console, kfp, run_id)
    again = follow_command(config, run_id, host=host, namespace=namespace)
    return submission.follow(kfp, checked, run_id, console=console, again=again, seconds=seconds)
