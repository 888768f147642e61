"""Pods of stages, as KFP makes them of a compiled pipeline: its image, command, arguments, environment, limits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster import containers
from tests.pipelines.command_line import WINE, call, definitions

Object = dict[str, Any]
LAUNCHER = (Path(__file__).parent / "launcher.py").read_text(encoding="utf-8")
RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_CHANNEL = "pipelinechannel--"


def compiled(folder: Path, config: Path = WINE) -> tuple[Any, Any]:
    """The wine pipeline, compiled for the images under test: what is run, and what the platform is told."""
    code, text = call("compile", config, folder=folder, FULLCIRCLE_STAGE_IMAGE=containers.name_of("stage"))
    assert code == 0, text
    pipeline, platform = definitions(folder / "build" / "wine.yaml")
    return pipeline, platform


def pod(
    name: str,
    namespace: str,
    parts: Sequence[Object],
    *,
    account: str = "pipeline-runner",
    run: str = "run-of-a-test",
    work: Object | None = None,
) -> Object:
    """A pod under the restricted profile whose containers run one after the other and share /work.

    Args:
        name: Its name.
        namespace: Its namespace.
        parts: The containers; the last one's end is the pod's.
        account: Its service account.
        run: The id of the run, which KFP writes on every pod.
        work: The volume at /work, in a folder of the run's name; None for one that ends with the pod.
    """
    inside = {"subPath": run} if work else {}
    shared = [{"name": "work", "mountPath": "/work", **inside}, {"name": "tmp", "mountPath": "/tmp"}]
    every = [{**part, "securityContext": RESTRICTED, "volumeMounts": shared} for part in parts]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"pipelines.kubeflow.org/v2_component": "true", "pipeline/runid": run},
        },
        "spec": {
            "serviceAccountName": account,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": every[:-1],
            "containers": every[-1:],
            "volumes": [{"name": "work", **(work or {"emptyDir": {}})}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def stage(definition: tuple[Any, Any], name: str, **parameters: Any) -> Object:
    """The container of a stage: started by a stand-in for KFP's launcher, with what stages before it left in /work.

    Args:
        definition: The compiled pipeline.
        name: The stage.
        parameters: Values other than the run's own.
    """
    pipeline, platform = definition
    container = pipeline["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
    settings = platform["deploymentSpec"]["executors"][f"exec-{name}"]
    resources = container["resources"]
    command = ["python3", "-c", LAUNCHER, json.dumps(_executor_input(pipeline, name, parameters))]
    return {
        "name": name,
        "image": container["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": [*command, *container["command"], *container["args"]],
        "env": list(_environment(settings)),
        # Not the pipeline's requests: one pod holds all stages, and the node is small.
        "resources": {
            "limits": {"cpu": resources["resourceCpuLimit"], "memory": resources["resourceMemoryLimit"]},
            "requests": {"cpu": "100m", "memory": "128Mi"},
        },
    }


def program(command: Sequence[str], *sources: str, **values: str) -> Object:
    """A container of the stage image that runs a command.

    Args:
        command: The command.
        sources: ConfigMap and secrets of its environment, as `configMapRef/name` or `secretRef/name`.
        values: Further variables.
    """
    split = (source.split("/") for source in sources)
    return {
        "name": "main",
        "image": containers.name_of("stage"),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/tmp",
        "command": list(command),
        "envFrom": [{kind: {"name": name}} for kind, name in split],
        "env": [{"name": name, "value": value} for name, value in values.items()],
        "resources": {"limits": {"cpu": "2", "memory": "3Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
    }


def _environment(settings: Any) -> list[Object]:
    found = [
        {"name": field["name"], "valueFrom": {"fieldRef": {"fieldPath": field["fieldPath"]}}}
        for field in settings.get("fieldPathAsEnv", [])
    ]
    for kind, reference, key, name in (
        ("configMapAsEnv", "configMapKeyRef", "configMapKey", "configMapName"),
        ("secretAsEnv", "secretKeyRef", "secretKey", "secretName"),
    ):
        found += [
            {
                "name": pair["envVar"],
                "valueFrom": {reference: {"name": source[name], "key": pair[key], "optional": source["optional"]}},
            }
            for source in settings.get(kind, [])
            for pair in source["keyToEnv"]
        ]
    return found


def _executor_input(pipeline: Any, name: str, parameters: Object) -> Object:
    component = pipeline["components"][f"comp-{name}"]
    inputs = _task(pipeline, name).get("inputs", {})
    outputs = component.get("outputDefinitions", {})
    values = {key: _value(pipeline, source) for key, source in inputs.get("parameters", {}).items()}
    artifacts = {
        key: _artifact(*_origin(pipeline, source), component["inputDefinitions"]["artifacts"][key])
        for key, source in inputs.get("artifacts", {}).items()
    }
    return {
        "inputs": {"parameterValues": values | parameters, "artifacts": artifacts},
        "outputs": {
            "parameters": {key: {"outputFile": f"/work/{name}/{key}"} for key in outputs.get("parameters", {})},
            "artifacts": {key: _artifact(name, key, about) for key, about in outputs.get("artifacts", {}).items()},
            "outputFile": f"/work/{name}/output.json",
        },
    }


def _tasks(pipeline: Any) -> dict[str, Any]:
    """Every task of the pipeline, its loop and its branch."""
    parts = [pipeline["root"], *pipeline["components"].values()]
    return {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}


def _task(pipeline: Any, name: str) -> Any:
    return _tasks(pipeline)[name]


def _value(pipeline: Any, source: Any) -> Any:
    if "runtimeValue" in source:
        return source["runtimeValue"]["constant"]
    if "taskOutputParameter" in source:
        output = source["taskOutputParameter"]
        return {"from": output["producerTask"], "key": output["outputParameterKey"]}
    name = source["componentInputParameter"]
    if name.startswith(_CHANNEL):
        return "linear"  # the loop's item
    return pipeline["root"]["inputDefinitions"]["parameters"][name]["defaultValue"]


def _origin(pipeline: Any, source: Any) -> tuple[str, str]:
    """The task that put an artifact out, and its name there."""
    output = source.get("taskOutputArtifact", {})
    channel = source.get("componentInputArtifact") or output["outputArtifactKey"]
    if channel.startswith(_CHANNEL):
        said = channel.removeprefix(_CHANNEL)
        task = max((name for name in _tasks(pipeline) if said.startswith(f"{name}-")), key=len)
        return task, said.removeprefix(f"{task}-")
    return output["producerTask"], channel


def _artifact(task: str, key: str, about: Any) -> Object:
    kind = about["artifactType"]
    return {"artifacts": [{"name": key, "type": kind, "uri": f"/work/{task}/{key}", "metadata": {}}]}
