"""How large Argo's status of a run becomes, estimated from a compiled pipeline.

For each task Kubeflow Pipelines' driver writes a patch of the pod's specification, which holds the task's input, the
component's definition and its program. Argo keeps it, as a JSON string in JSON, with every node that has it among its
inputs or outputs, and each driver's node has the definitions that the patch is made of. With the retry strategy that
2.17 gives to all templates each of these nodes is there twice, as a Retry and as its only attempt.
"""

import json
from typing import Any

_RUN, _EXECUTION = "8a4f9d0e-5a0b-4c43-9d2e-6f5f0c1b7a10", "3c1d2e4f-1a2b-4c3d-8e9f-0a1b2c3d4e5f"
_URI = f"minio://mlpipeline/v2/artifacts/flights/{_RUN}/{{}}/{_EXECUTION}/{{}}"
_NODE = 900  # bytes of a node without inputs and outputs: ids, names, times, template, children
_OTHER_NODES = 12  # of the run itself, its loop and its branch, with their drivers


def status_bytes(pipeline: Any, platform: Any, *, families: int) -> int:
    """Bytes of the nodes of a run in which every task runs once.

    Args:
        pipeline: The compiled pipeline.
        platform: What it says to Kubernetes.
        families: Iterations of the loop.
    """
    parts = [pipeline["root"], *pipeline["components"].values()]
    total = 2 * _OTHER_NODES * _NODE
    for part in parts:
        for name, task in part.get("dag", {}).get("tasks", {}).items():
            component = pipeline["components"][task["componentRef"]["name"]]
            if "executorLabel" in component:
                total += _task_bytes(name, task, component, (pipeline, platform)) * (families if name == "tune" else 1)
    return total


def _task_bytes(name: str, task: Any, component: Any, compiled: Any) -> int:
    pipeline, platform = compiled
    container = pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    settings = platform["deploymentSpec"]["executors"].get(component["executorLabel"], {})
    patch = _compact(_patch(name, task, component, container))
    driver_inputs = [_compact(item) for item in (component, task, container, settings)]
    driver = _NODE + len(json.dumps([*driver_inputs, patch]))
    with_patch = _NODE + len(json.dumps(patch))
    return 2 * driver + 4 * with_patch


def _patch(name: str, task: Any, component: Any, container: Any) -> Any:
    parameters = {
        key: value.get("runtimeValue", {}).get("constant", "2026-11-28T20:01:09Z")
        for key, value in task.get("inputs", {}).get("parameters", {}).items()
    }
    inputs = {"parameterValues": parameters, "artifacts": _artifacts(name, component.get("inputDefinitions", {}))}
    outputs = {
        "artifacts": _artifacts(name, component.get("outputDefinitions", {})), "outputFile": "/tmp/kfp_outputs/x.json"
    }  # fmt: skip
    executor_input = _compact({"inputs": inputs, "outputs": outputs})
    command = ["/kfp-launcher/launch", "--executor_input", executor_input, "--component_spec", _compact(component)]
    program = {"name": "main", "command": command, "args": [*container["command"], *container["args"]]}
    return {"containers": [{**program, "image": container["image"], "resources": container["resources"]}]}


def _artifacts(task: str, definitions: Any) -> Any:
    return {
        key: {"artifacts": [{"name": "1234", "type": about["artifactType"], "uri": _URI.format(task, key)}]}
        for key, about in definitions.get("artifacts", {}).items()
    }


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
