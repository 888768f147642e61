"""What is wrong with a pod. The pods are what a kubelet and a scheduler reported; `tests/cluster` sees real ones."""

from typing import Any

import pytest

from components.shared.runs.pods import find_problem, last_lines, own_message, remedy, task_path
from components.shared.runs.task_names import label_of, stages_of
from pipelines.task_records import announced

LOG = """I0301 12:00:00.000001       1 launcher_v2.go:150] starting
\u25b8 178 rows
[KFP Executor 2026-03-01 12:00:01,000 INFO]: Looking for component
Traceback (most recent call last):
  File "/tmp/x.py", line 1, in <module>
ValueError: the first
components.shared.errors.SourceError: The table wine has no rows.
Give it some, at s3://b/k.
I0301 12:00:02.000001       1 launcher_v2.go:200] publish
F0301 12:00:02.000001       1 main.go:49] failed to execute component: exit status 1
"""


def pod(**status: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "r/stage:1", "resources": {"limits": {"memory": "2Gi"}}}
    spec = {"containers": [main, {"name": "wait", "image": "argo"}]}
    return {"metadata": {"name": "p"}, "spec": spec, "status": {"phase": "Pending", **status}}


def container(name: str = "main", field: str = "state", **state: Any) -> dict[str, Any]:
    return {"name": name, field: state}


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"containerStatuses": [container(waiting={"reason": reason, "message": message})]}


def unschedulable(message: str) -> dict[str, Any]:
    return {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}


def ended(*states: dict[str, Any]) -> dict[str, Any]:
    return {"phase": "Failed", "containerStatuses": list(states)}


ROOM = "0/1 nodes are available: 1 Insufficient cpu."
NO_SECRET = waiting("CreateContainerConfigError", 'secret "s" not found')
NO_KEY = waiting("CreateContainerConfigError", "couldn't find key K in Secret ns/s")
OOM = container(terminated={"reason": "OOMKilled", "exitCode": 137})
CRASHED = (container("wait", terminated={"exitCode": 64}), container(terminated={"exitCode": 1}))
NEVER_RAN = container(terminated={"exitCode": 128, "reason": "StartError", "message": "no such program"})
RESTARTED = container(field="lastState", terminated={"exitCode": 3})


@pytest.mark.parametrize(
    ("status", "what", "advice"),
    [
        (waiting("ErrImagePull", "not  found"), "image r/stage:1 cannot be had (ErrImagePull): not found", "REGISTRY"),
        (NO_SECRET, "CreateContainerConfigError", "Make the secret s"),
        (NO_KEY, "couldn't find key K", "lacks the key K"),
        (unschedulable(ROOM), f"no node takes it: {ROOM}", "Lower its requests"),
        (unschedulable('persistentvolumeclaim "d" not found'), "no node takes it", "storage class"),
        (unschedulable("untolerated taint"), "no node takes it", "taints"),
        (ended(OOM), "ran out of memory (OOMKilled, its limit is 2Gi)", "memory_limit"),
        (ended(*CRASHED), "container main ended with exit code 1", "message"),
        (ended(container(terminated={"exitCode": 137})), "137: it was killed", "message"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "evicted from its node: low", "memory"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, "longer than its time-out", "seconds"),
        ({"phase": "Running", "containerStatuses": [RESTARTED]}, "exit code 3", "message"),
        (ended(NEVER_RAN), "(StartError): no such program", "describe"),
        ({"phase": "Failed", "message": "Pod was rejected: no"}, "it failed: Pod was rejected: no", "describe"),
    ],
)
def test_each_trouble_has_a_sentence_and_what_mends_it(status, what, advice):
    found = find_problem(pod(**status))

    assert found is not None
    assert what in found.what
    assert advice in remedy(found)


@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded"])
def test_a_pod_that_is_on_its_way_has_no_trouble(phase):
    assert find_problem(pod(**{**waiting("ContainerCreating", ""), "phase": phase})) is None


def test_what_is_not_mounted_is_in_the_events_only():
    events = [{"reason": "FailedMount", "message": 'MountVolume.SetUp failed: secret "keys" not found'}]

    found = find_problem(pod(), events)

    assert found is not None
    assert "FailedMount" in found.what
    assert "Make the secret keys" in remedy(found)


def test_the_stages_own_message_is_the_last_error_with_all_its_lines():
    assert own_message(LOG) == "The table wine has no rows.\nGive it some, at s3://b/k."
    assert own_message("all went well") == ""
    assert own_message("KeyError") == "KeyError"


def test_what_a_stage_says_of_itself():
    assert announced(LOG) == "178 rows"
    assert announced("") == ""
    assert last_lines("a\n\n b \nc\n", 2) == [" b", "c"]


def container_log(*own: str) -> str:
    """The log of a stage's container in 2.17: what the stage wrote, in the middle of what others did."""
    before = """I1128 20:01:00.000001      27 launcher_v2.go:185] input ComponentSpec:{
[KFP Executor 2026-11-28 20:01:01,000 INFO]: --component_module_path is specified. Looking for component `deploy`
[KFP Executor 2026-11-28 20:01:01,200 INFO]: Got executor_input:
{
    "inputs": {
        "parameterValues": {
            "name": "wine"
        }
    }
}
"""
    after = """I1128 20:01:09.000001      27 launcher_v2.go:150] publish success.
F1128 20:01:09.100001      27 main.go:56] failed to execute component: exit status 1
time=2026-11-28T20:01:09.200Z level=INFO msg="sub-process exited" argo=true error="exit status 1"
Error: exit status 1
"""
    return before + "".join(f"{line}\n" for line in own) + after


TRACEBACK = ("Traceback (most recent call last):", '  File "/tmp/x.py", line 1, in <module>')
DIRECT = "The above exception was the direct cause of the following exception:"
OURS = "components.shared.errors."


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            (*TRACEBACK, f"{OURS}DeployError: The new version is not ready.", "Raise serving.start_seconds."),
            "The new version is not ready.\nRaise serving.start_seconds.",
        ),
        (
            (
                *TRACEBACK, f"{OURS}StoreError: refused", "", DIRECT, "", *TRACEBACK,
                f"{OURS}DeployError: It could not be fetched: refused.", "The server said:",
                *TRACEBACK, f"{OURS}PackageError: altered", "ValueError: of the server",
            ),
            "It could not be fetched: refused.\nThe server said:\n" + "\n".join(
                [*TRACEBACK, f"{OURS}PackageError: altered", "ValueError: of the server"]
            ),
        ),
        ((*TRACEBACK, "ValueError: not one of ours"), "not one of ours"),
        (("\u25b8 all went well",), ""),
    ],
)  # fmt: skip
def test_the_stages_own_message_is_found_among_what_launcher_and_argo_write(own, message):
    assert own_message(container_log(*own)) == message


def test_the_last_lines_are_the_stages_own():
    assert last_lines(container_log("trial 3 of 10", "trial 4 of 10")) == ["trial 3 of 10", "trial 4 of 10"]
    assert last_lines(container_log()) == []


LOOP = "root.for-loop-1.iteration-item"
LOOP_2_17 = "root(0).for-loop-2(0).iteration-iterations(1:1)(0).iteration-item(0).tune"


@pytest.mark.parametrize(
    ("name", "label", "task"),
    [
        ("x.root.ingest.executor(1)", "ingest", "root.ingest.executor"),
        (f"x.{LOOP}(2:2).tune.executor", "tune (dummy)", f"{LOOP}(2:2).tune.executor"),
        (f"x.{LOOP}(7:7).tune.executor(0)", "tune (8)", f"{LOOP}(7:7).tune.executor"),
        ("x.root.ingest-driver", "ingest-driver", "root.ingest-driver"),
        ("wine-wk57s(0).root(0).ingest(0).executor(1)", "ingest", "root.ingest.executor"),
        (
            f"wine-wk57s(0).{LOOP_2_17}(0).executor(0)",
            "tune (lightgbm)",
            "root.for-loop-2.iteration-iterations(1:1).iteration-item.tune.executor",
        ),
        (  # with an exit task, the others are nested in its handler
            "wine-wk57s(0).root(0).exit-handler-1(0).for-loop-3(0).iteration-iterations(2:2)(0).iteration-item(0).tune(0)"
            ".executor(0)",
            "tune (dummy)",
            "root.exit-handler-1.for-loop-3.iteration-iterations(2:2).iteration-item.tune.executor",
        ),
        ("wine-wk57s(0).root(0).notify(0).executor(0)", "notify", "root.notify.executor"),
        ("wine-wk57s(0).root(0).ingest-driver(0)", "ingest-driver", "root.ingest-driver"),
        ("", "the run", ""),
    ],
)
def test_what_tasks_are_called(name, label, task):
    parts = task_path({"metadata": {"annotations": {"workflows.argoproj.io/node-name": name}}})

    assert label_of(parts, ["linear", "lightgbm", "dummy"]) == label
    assert ".".join(parts) == task
    assert bool(stages_of(parts)) == ("executor" in name)
