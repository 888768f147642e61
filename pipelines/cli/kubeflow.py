"""How verbs reach Kubeflow Pipelines, and what they say of a run there."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.cluster.kfp_api import Kfp


def connect(host: str, token_file: str, namespace: str, kfp_namespace: str) -> "Kfp":
    """The client of Kubeflow Pipelines.

    Args:
        host: Its address; empty for that of the cluster.
        token_file: File with a bearer token; empty for the token of the environment, if there is one.
        namespace: Of the runs.
        kfp_namespace: Of Kubeflow Pipelines itself.

    Raises:
        KfpError: It cannot be found or the token cannot be read.
    """
    from pipelines.cluster.kfp_api import TOKEN_VARIABLE, Kfp, KfpSettings, read_token

    token = read_token(token_file or os.environ.get(TOKEN_VARIABLE, ""))
    return Kfp(KfpSettings(host, token, namespace, kfp_namespace))


def required_run_id(text: str) -> str:
    """The id of a run without blanks around it.

    Raises:
        KfpError: It is empty, as it is when `make` is called without RUN.
    """
    if run_id := text.strip():
        return run_id
    from pipelines.cluster.kfp_api import KfpError

    raise KfpError("Which run? Say RUN=…: its id is in the address of its page, and what `make submit` prints.")


def follow_command(config: Path, run_id: str, *, host: str, namespace: str) -> str:
    """What a user types to follow a run again."""
    variables = {"HOST": host, "NAMESPACE": namespace if namespace != "kubeflow" else ""}
    parts = [f"{name}={value}" for name, value in variables.items() if value]
    return " ".join(["make follow", f"CONFIG={config}", f"RUN={run_id}", *parts])


def print_active_runs(kfp: "Kfp", runs: list[str]) -> None:
    """Name the runs of a schedule that go on after it was ended or replaced."""
    for run_id in runs:
        print(
            f"A run that it had started goes on: {kfp.run_link(run_id)}\n"
            "Its schedule stays in the list until then, disabled; the next `make schedule` after that deletes it."
        )
