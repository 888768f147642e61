"""What runs leave on a cluster: pods of stages, Argo's Workflow, artifacts."""

import base64
import gzip
import json
import zlib
from typing import Any

from components.shared.store import Store

NOWHERE = {"KUBECONFIG": "/nowhere/kubeconfig"}  # no cluster: what KFP says is all there is


def stage_pod(run: str, name: str, *, within: str = "x7.root", **status: Any) -> dict[str, Any]:
    """The pod of a stage.

    Args:
        run: The run.
        name: Of the stage; the pod's is `wine-` and it. With attempts where each node has them: `ingest(0)`.
        within: What is around it: the Workflow's name and the tasks, as Argo writes them.
        status: Of the pod.
    """
    stage, dot, attempt = name.partition("(")
    executor = f"executor{dot}{attempt}"
    metadata = {
        "name": f"wine-{stage}", "uid": stage, "creationTimestamp": "2026-03-01T12:00:00Z",
        "labels": {"pipeline/runid": run},
        "annotations": {"workflows.argoproj.io/node-name": f"wine-{within}.{name}.{executor}"},
    }  # fmt: skip
    spec = {"containers": [{"name": "main", "image": "r/stage:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def put(store: Store, run: str, task: str, artifact: str, content: Any) -> None:
    store.put_bytes(f"v2/artifacts/wine/{run}/{task}/a1/{artifact}", json.dumps(content).encode())


def workflow_node(path: str, phase: str, *, message: str = "", kind: str = "Pod") -> dict[str, Any]:
    name = f"wine-wk57s(0).{path}"
    return {
        "id": f"wine-wk57s-{zlib.crc32(name.encode())}",
        "name": name,
        "displayName": path.rpartition(".")[2],
        "type": kind,
        "phase": phase,
        "startedAt": "2026-03-01T12:00:00Z",
        "finishedAt": None if phase in ("Running", "Pending") else "2026-03-01T12:00:07Z",
        "message": message,
    }


def workflow(run: str, *nodes: dict[str, Any], packed: bool = True) -> dict[str, Any]:
    """A Workflow, of which Argo has compressed the nodes or not."""
    by_id = {one["id"]: one for one in nodes}
    status: dict[str, Any] = {"phase": "Running", "nodes": by_id}
    if packed:
        content = base64.b64encode(gzip.compress(json.dumps(by_id).encode())).decode()
        status = {"phase": "Running", "compressedNodes": content}
    metadata = {"name": "wine-wk57s", "labels": {"pipeline/runid": run}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "status": status}
