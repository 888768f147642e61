"""Pods as the API server shows them; tests/cluster/test_pods.py holds that real ones look so."""

from typing import Any

import pytest

from components.shared.kubernetes.pods import find_problem, find_problems, log_end

IMAGE = "registry.example/stage:1"
CRASH = {"exitCode": 1, "reason": "Error"}


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    main = {"name": "main", "image": IMAGE, "resources": {"limits": {"memory": "2Gi"}}}
    return {
        "metadata": {"name": "report-x7f"},
        "spec": {"containers": [main, {"name": "wait"}], "initContainers": [{"name": "fetch"}]},
        "status": {"containerStatuses": list(containers), "initContainerStatuses": list(init), **status},
    }


def container(name: str = "main", last: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    state = {kind: more.pop(kind) for kind in ("waiting", "running", "terminated") if kind in more}
    return {"name": name, "image": "as/reported:1", "state": state, "lastState": last or {}, **more}


def refused(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}])


def kept(reason: str, message: str = "", name: str = "main") -> dict[str, Any]:
    return container(name, waiting={"reason": reason, "message": message})


@pytest.mark.parametrize(
    "well",
    [
        pod(phase="Pending"),
        {"metadata": {}, "spec": {"containers": []}, "status": {}},
        {"metadata": {"name": "new"}},
        pod(kept("ContainerCreating")),
        pod(container(running={"startedAt": "2026-01-01T00:00:00Z"})),
        pod(container(terminated={"exitCode": 0, "reason": "Completed"})),
        pod(container(terminated={"exitCode": 0, "reason": "OOMKilled"}), phase="Succeeded"),
        pod(container(running={}, last={"terminated": CRASH}, ready=True, restartCount=0)),
        pod(container(running={}, last={"terminated": {"exitCode": 0, "reason": "Completed"}}, restartCount=1)),
        pod(conditions=[{"type": "PodScheduled", "status": "True"}]),
    ],
)
def test_of_a_pod_that_is_well_there_is_nothing_to_say(well):
    assert find_problem(well) is None


@pytest.mark.parametrize(
    ("ill", "kind", "text"),
    [
        (refused("0/1 nodes: Insufficient cpu."), "unschedulable", "no node takes it: 0/1 nodes: Insufficient cpu."),
        (refused("gated", "SchedulingGated"), "unschedulable", "no node takes it (SchedulingGated): gated"),
        (
            pod(kept("ImagePullBackOff", "not\n  found")),
            "image",
            f"the container main's image {IMAGE} cannot be had (ImagePullBackOff): not found",
        ),
        (
            pod(kept("ErrImagePull", name="injected")),
            "image",
            "the container injected's image as/reported:1 cannot be had (ErrImagePull)",
        ),
        (
            pod(kept("CreateContainerConfigError", 'secret "keys" not found')),
            "configuration",
            'the container main cannot be started (CreateContainerConfigError): secret "keys" not found',
        ),
        (
            pod(container(terminated={"exitCode": 137, "reason": "OOMKilled"})),
            "memory",
            "the container main ran out of memory (OOMKilled, its limit is 2Gi)",
        ),
        (
            pod(container("wait", terminated={"exitCode": 137, "reason": "OOMKilled"})),
            "memory",
            "the container wait ran out of memory (OOMKilled, the node had none left)",
        ),
        (pod(container(terminated=CRASH)), "crash", "the container main ended with exit code 1"),
        (
            pod(container(terminated={"exitCode": 137, "reason": "Error"})),
            "crash",
            "the container main ended with exit code 137: it was killed",
        ),
        (pod(container(terminated={"exitCode": 139})), "crash", "the container main ended with exit code 139: SIGSEGV"),
        (pod(container(terminated={"exitCode": 255})), "crash", "the container main ended with exit code 255"),
        (
            pod(container(terminated={"exitCode": 128, "reason": "StartError", "message": 'exec: "x":\nnot found'})),
            "crash",
            'the container main ended with exit code 128 (StartError): exec: "x": not found',
        ),
        (
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"terminated": {"exitCode": 3}})),
            "crash",
            "the container main ended with exit code 3",
        ),
        (
            pod(container(running={}, last={"terminated": CRASH}, restartCount=1)),
            "crash",
            "the container main ended with exit code 1, and runs again",
        ),
        (
            pod(init=(container("fetch", terminated={"exitCode": 1, "message": "no bucket"}),)),
            "crash",
            "the container fetch ended with exit code 1",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            "evicted",
            "it was evicted from its node: The node was low on resource: memory.",
        ),
        (pod(reason="NodeLost"), "evicted", "it was evicted from its node (NodeLost)"),
        (pod(phase="Failed", reason="DeadlineExceeded"), "deadline", "it took longer than its time-out"),
        (
            pod(phase="Failed", reason="UnexpectedAdmissionError", message="no device"),
            "failed",
            "it failed (UnexpectedAdmissionError): no device",
        ),
        (pod(phase="Failed"), "failed", "it failed"),
    ],
)
def test_what_is_wrong_with_a_pod_is_said(ill, kind, text):
    found = find_problem(ill)

    assert found is not None
    assert (found.kind, found.what, found.text) == (kind, text, f"pod report-x7f: {text}")


def test_the_facts_of_a_container_that_ended():
    ended = {"exitCode": 1, "reason": "Error", "message": "▸ began\n\nThe store is full.\nFree some space.\n"}
    found = find_problem(pod(container(terminated=ended)))

    assert found is not None
    assert (found.pod, found.container, found.reason, found.message) == ("report-x7f", "main", "Error", "")
    assert (found.image, found.exit_code, found.memory_limit) == (IMAGE, 1, "2Gi")
    assert found.log_end == "The store is full.\nFree some space."
    assert (found.has_run, found.ended, found.previous) == (True, True, False)


@pytest.mark.parametrize(
    ("ill", "ended", "hopeless", "repeated", "previous"),
    [
        (pod(kept("ImagePullBackOff")), False, True, False, False),
        (pod(kept("CreateContainerError")), False, True, False, False),
        (pod(kept("RegistryUnavailable")), False, False, False, False),
        (refused("Insufficient cpu"), False, False, False, False),
        (pod(container(terminated=CRASH)), True, False, False, False),
        (pod(container(running={}, last={"terminated": CRASH}, restartCount=1)), False, False, False, True),
        # Ready again is not well: it may end again.
        (pod(container(running={}, last={"terminated": CRASH}, ready=True, restartCount=1)), False, False, False, True),
        (
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"terminated": CRASH}, restartCount=1)),
            False, True, True, False,
        ),
        (
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"terminated": CRASH}, restartCount=0)),
            False, False, False, False,
        ),
        (pod(phase="Failed", reason="Evicted"), True, False, False, False),
        (pod(phase="Failed", reason="DeadlineExceeded"), True, False, False, False),
        (pod(phase="Failed", message="Pod was rejected: no"), True, False, False, False),
    ],
)  # fmt: skip
def test_whether_waiting_is_of_use(ill, ended, hopeless, repeated, previous):
    found = find_problem(ill)

    assert found is not None
    assert (found.ended, found.hopeless, found.repeated, found.previous) == (ended, hopeless, repeated, previous)


def test_why_an_image_cannot_be_had_is_in_the_events():
    events = [
        {"reason": "Failed", "message": 'Failed to pull image "x": denied'},
        {"reason": "Failed", "message": "Error: ErrImagePull"},
        {"reason": "BackOff", "message": "Back-off pulling image"},
    ]

    found = find_problem(pod(kept("ImagePullBackOff", "Back-off")), events)

    assert found is not None
    assert (found.reason, found.message) == ("ImagePullBackOff", 'Failed to pull image "x": denied')


def test_what_is_not_mounted_is_in_the_events_only():
    events = [
        {"reason": "FailedMount", "message": "first"},
        {"reason": "FailedMount", "message": 'MountVolume.SetUp failed: secret "keys" not found'},
    ]

    (found,) = find_problems(pod(kept("ContainerCreating"), phase="Pending"), events)

    assert found.kind == "volume"
    assert found.what == 'it cannot be started (FailedMount): MountVolume.SetUp failed: secret "keys" not found'
    assert find_problem(pod(container(running={}), phase="Running"), events) is None


def test_a_node_that_is_slow_to_mount_is_no_problem_and_hides_none():
    late = "MountVolume.SetUp failed: failed to sync configmap cache: timed out waiting for the condition"
    events = [
        {"reason": "FailedMount", "message": 'MountVolume.SetUp failed: secret "keys" not found'},
        {"reason": "FailedMount", "message": late},
    ]

    (found,) = find_problems(pod(kept("ContainerCreating"), phase="Pending"), events)

    assert 'secret "keys" not found' in found.what
    assert find_problem(pod(kept("ContainerCreating"), phase="Pending"), events[1:]) is None


def test_all_that_is_wrong_is_told_the_cause_first():
    both = pod(
        container(terminated={"exitCode": 143}),
        kept("ErrImagePull", name="wait"),
        phase="Failed",
        reason="Evicted",
        init=(container("fetch", running={}, last={"terminated": CRASH}, restartCount=2),),
    )

    found = [(one.kind, one.container) for one in find_problems(both)]

    assert found == [("evicted", ""), ("image", "wait"), ("crash", "main"), ("crash", "fetch")]


def test_the_last_words_are_few():
    assert log_end("a\n\n" + "\n".join(map(str, range(40)))).splitlines() == [str(n) for n in range(28, 40)]
    assert log_end("") == ""
