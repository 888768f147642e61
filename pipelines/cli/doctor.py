"""`doctor`: a cluster, checked before the first run."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.consoles import plain_console


def doctor(
    namespace: Annotated[str, typer.Option(metavar="NAMESPACE", help="of endpoints and monitoring")] = "kubeflow",
    runs: Annotated[
        str, typer.Option(metavar="NAMESPACE", help="of the runs, where it is another one", show_default=False)
    ] = "",
    image: Annotated[
        str,
        typer.Option(
            metavar="IMAGE", help="the stage image that runs will name (default: the CronJob's)", show_default=False
        ),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    kfp_namespace: options.KfpNamespace = "kubeflow",
) -> int:
    """Check a cluster before the first run; the exit code is 1 when something would fail.

    Examples:
        python -m pipelines doctor
        python -m pipelines doctor --namespace fullcircle --runs kubeflow --json
    """
    from components.shared.kubernetes.api import Cluster
    from pipelines.cluster.checks import Place, as_json, print_checks
    from pipelines.cluster.doctor import examine

    found = examine(Cluster.connect(), Place(namespace, runs, kfp_namespace, image))
    if json:
        print(as_json(found))
    else:
        print_checks(found, plain_console())
    return 1 if any(check.status == "fail" for check in found) else 0
