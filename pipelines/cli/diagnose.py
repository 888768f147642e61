"""`diagnose`: why a run on Kubeflow Pipelines is stuck or failed."""

from pipelines.cli import options
from pipelines.cli.consoles import plain_console
from pipelines.cli.kubeflow import connect, required_run_id


def diagnose(
    run: options.RunId,
    host: options.Host = "",
    token_file: options.TokenFile = "",
    namespace: options.RunNamespace = "kubeflow",
    kfp_namespace: options.KfpNamespace = "kubeflow",
) -> int:
    """Say why a run on Kubeflow Pipelines is stuck or failed.

    Examples:
        python -m pipelines diagnose 3f6c1b7e-0d43-4c55-9d07-6a3f0c8f7b21
    """
    from components.shared.kubernetes.api import Cluster, ClusterError
    from pipelines.cluster import diagnose as diagnosing
    from pipelines.cluster.kfp_api import KfpError

    run_id = required_run_id(run)
    kfp, found_run, cluster, notes = connect(host, token_file, namespace, kfp_namespace), None, None, []
    try:
        found_run = kfp.get_run(run_id)
    except KfpError as error:
        notes.append(f"Kubeflow Pipelines was not asked: {error}")
    try:
        cluster = Cluster.connect()
    except ClusterError as error:
        if found_run is None:
            raise
        notes.append(f"The pods were not looked at: {error}")
    found = diagnosing.diagnose(run_id, cluster, namespace=namespace, run=found_run)
    found.notes += notes
    diagnosing.print_diagnosis(found, plain_console())
    return 0
