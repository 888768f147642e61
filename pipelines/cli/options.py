"""The options and arguments that several verbs take, each described once.

A verb names one as the type of its parameter and gives the default, which is where a reader looks for it. The names of
the options are those of the parameters: `window_start` is `--window-start`.
"""

from pathlib import Path
from typing import Annotated

import typer

from components.shared.purposes import Purpose

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="the use case's YAML file, such as pipelines/configs/wine.yaml")
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="name of the model, and of its endpoint")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="the run's id: it is in the address of its page")]
PurposeOfKeys = Annotated[Purpose, typer.Argument(metavar="PURPOSE", help="who the keys are for")]

WaitingVersion = Annotated[
    str, typer.Option("--version", metavar="VERSION", help="the version that waits", show_default=False)
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="why, for the history", show_default=False)]

WindowStart = Annotated[
    str, typer.Option(metavar="TIME", help="first moment of the data window, ISO 8601", show_default=False)
]
WindowEnd = Annotated[
    str, typer.Option(metavar="TIME", help="moment after the data window, ISO 8601", show_default=False)
]
Paths = Annotated[
    str, typer.Option(metavar="JSON", help='other places of source tables: {"table": "path"}', show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="promote even when the gate blocks; the verdict records it")]

Host = Annotated[
    str, typer.Option(metavar="URL", help="Kubeflow Pipelines (default: that of the cluster)", show_default=False)
]
TokenFile = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="holds a bearer token (default: FULLCIRCLE_KFP_TOKEN, if set)", show_default=False
    ),
]
RunNamespace = Annotated[str, typer.Option("--namespace", metavar="NAMESPACE", help="of the runs")]
KfpNamespace = Annotated[str, typer.Option(metavar="NAMESPACE", help="of Kubeflow Pipelines itself")]
Account = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="service account of the pods (default: Kubeflow Pipelines' own)", show_default=False
    ),
]
FollowSeconds = Annotated[float, typer.Option("--seconds", metavar="SECONDS", help="between two looks at the run")]

EndpointNamespace = Annotated[
    str,
    typer.Option(
        "--namespace",
        metavar="NAMESPACE",
        help="where the endpoint is on a cluster (default: here if it is served here, else the kubeconfig context's)",
        show_default=False,
    ),
]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="where to write it (default: in build/)")]


def pipeline_parameters(*, window_start: str, window_end: str, paths: str, force: bool) -> dict[str, object]:
    """The parameters of the training pipeline that a person can set."""
    return {"window_start": window_start, "window_end": window_end, "paths": paths, "force_promotion": force}
