"""The cache of Kubeflow Pipelines: which tasks of a run take the outputs of an earlier one.

The key is made as `backend/src/v2/cacheutils` of 2.17 makes it: the names of input artifacts, which are ids in the
metadata store, input parameters, what the outputs are, image and command.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

Values = dict[str, Any]


class Cache:
    """What earlier runs have left behind."""

    def __init__(self) -> None:
        self._kept: dict[str, Values] = {}
        self._ids = itertools.count(1)

    def run(self, pipeline: Any, *, mark: str) -> set[str]:
        """Run a compiled pipeline in which each stage gives new artifacts, and the gate promotes.

        Args:
            pipeline: The definition.
            mark: What the fingerprint of the source tables is.

        Returns:
            The stages of which every task took an earlier one's outputs.
        """
        given = pipeline["root"]["inputDefinitions"]["parameters"]
        inputs = {name: about.get("defaultValue", "") for name, about in given.items()}
        executed: set[str] = set()
        self._dag(pipeline, pipeline["root"]["dag"], inputs, mark=mark, executed=executed)
        return {
            key.removeprefix("comp-") for key, one in pipeline["components"].items() if "executorLabel" in one
        } - executed

    def _dag(self, pipeline: Any, dag: Any, inputs: Values, *, mark: str, executed: set[str]) -> Values:
        done: dict[str, Values] = {}
        for name in _in_order(dag["tasks"]):
            task = dag["tasks"][name]
            component = pipeline["components"][task["componentRef"]["name"]]
            items = [None]
            if "parameterIterator" in task:
                items = json.loads(task["parameterIterator"]["items"]["raw"])
            outputs: list[Values] = []
            for item in items:
                values = _resolved(task, inputs, done, item=item)
                if "dag" in component:
                    outputs.append(self._dag(pipeline, component["dag"], values, mark=mark, executed=executed))
                else:
                    outputs.append(self._task(pipeline, name, values, mark=mark, executed=executed))
            done[name] = {
                key: [one[key] for one in outputs] if items != [None] else outputs[0][key] for key in outputs[0]
            }
        selected = dag.get("outputs", {}).get("artifacts", {})
        return {
            key: done[source["producerSubtask"]][source["outputArtifactKey"]]
            for key, about in selected.items()
            for source in about["artifactSelectors"]
        }

    def _task(self, pipeline: Any, name: str, values: Values, *, mark: str, executed: set[str]) -> Values:
        component = pipeline["components"][f"comp-{name}"]
        container = pipeline["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
        definitions = component.get("outputDefinitions", {})
        task = _find(pipeline, name)
        key_parts = [values, definitions, container["image"], container["command"], container["args"]]
        key = hashlib.sha256(json.dumps(key_parts, sort_keys=True).encode()).hexdigest()
        if task["cachingOptions"].get("enableCache") and key in self._kept:
            return self._kept[key]
        executed.add(name)
        # A parameter says the same where what was read is the same.
        parameter = mark if name == "fingerprint" else hashlib.sha256(f"{name}{mark}".encode()).hexdigest()
        self._kept[key] = {
            **{artifact: next(self._ids) for artifact in definitions.get("artifacts", {})},
            **dict.fromkeys(definitions.get("parameters", {}), parameter),
        }
        return self._kept[key]


def _find(pipeline: Any, name: str) -> Any:
    parts = [pipeline["root"], *pipeline["components"].values()]
    return next(part["dag"]["tasks"][name] for part in parts if name in part.get("dag", {}).get("tasks", {}))


def _in_order(tasks: Any) -> Iterator[str]:
    done: set[str] = set()
    while len(done) < len(tasks):
        for name in sorted(tasks):
            if name not in done and set(tasks[name].get("dependentTasks", [])) <= done:
                done.add(name)
                yield name


def _resolved(task: Any, inputs: Values, done: dict[str, Values], *, item: Any) -> Values:
    """What a task is given: constants, inputs of what is around it, outputs of others, the item of a loop."""
    values: Values = {}
    for kind in ("parameters", "artifacts"):
        for name, source in task.get("inputs", {}).get(kind, {}).items():
            values[name] = _value(source, inputs, done)
    if "parameterIterator" in task:
        values[task["parameterIterator"]["itemInput"]] = item
    return values


def _value(source: Any, inputs: Values, done: dict[str, Values]) -> Any:
    for kind, key in (("taskOutputArtifact", "outputArtifactKey"), ("taskOutputParameter", "outputParameterKey")):
        if kind in source:
            return done[source[kind]["producerTask"]][source[kind][key]]
    if "runtimeValue" in source:
        return source["runtimeValue"]["constant"]
    return inputs[source.get("componentInputParameter") or source["componentInputArtifact"]]
