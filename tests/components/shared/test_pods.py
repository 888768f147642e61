"""Pods as the API server shows them; tests/cluster/test_pods.py holds that real ones look so."""

from typing import Any

import pytest

from components.shared.pods import last_words, trouble

IMAGE = "registry.example/stage:1"


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    limits = {"name": "main", "resources": {"limits": {"memory": "2Gi"}}}
    return {
        "metadata": {"name": "report-x7f"},
        "spec": {"containers": [limits], "initContainers": [{"name": "fetch"}]},
        "status": {"containerStatuses": list(containers), "initContainerStatuses": list(init), **status},
    }


def container(name: str = "main", last: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "state": state, "lastState": last or {}}


@pytest.mark.parametrize(
    "well",
    [
        pod(phase="Pending"),
        pod(container(waiting={"reason": "ContainerCreating"})),
        pod(container(running={"startedAt": "2026-01-01T00:00:00Z"})),
        pod(container(terminated={"exitCode": 0, "reason": "Completed"})),
        pod(container(running={}, last={"terminated": {"exitCode": 1, "reason": "Error"}})),
        pod(conditions=[{"type": "PodScheduled", "status": "True"}]),
    ],
)
def test_of_a_pod_that_is_well_there_is_nothing_to_say(well):
    assert trouble(well) is None


@pytest.mark.parametrize(
    ("ill", "kind", "text"),
    [
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu."}]),
            "unschedulable",
            "no node takes pod report-x7f: 0/1 nodes: Insufficient cpu.",
        ),
        (
            pod(container(waiting={"reason": "ImagePullBackOff", "message": "not found"})),
            "image",
            f"the image {IMAGE} of container main of pod report-x7f cannot be had (ImagePullBackOff): not found",
        ),
        (
            pod(container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'})),
            "configuration",
            'container main of pod report-x7f cannot be started (CreateContainerConfigError): secret "keys" not found',
        ),
        (
            pod(container(terminated={"exitCode": 137, "reason": "OOMKilled"})),
            "memory",
            "container main of pod report-x7f needed more memory than its limit of 2Gi",
        ),
        (
            pod(container(terminated={"exitCode": 1, "message": "▸ began\n\nThe store is full.\nFree some space.\n"})),
            "failed",
            "container main of pod report-x7f ended with exit code 1: The store is full.\nFree some space.",
        ),
        (
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"terminated": {"exitCode": 3}})),
            "failed",
            "container main of pod report-x7f ended with exit code 3",
        ),
        (
            pod(init=(container("fetch", terminated={"exitCode": 1, "message": "no bucket"}),)),
            "failed",
            "container fetch of pod report-x7f ended with exit code 1: no bucket",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            "evicted",
            "pod report-x7f was evicted: The node was low on resource: memory.",
        ),
        (pod(phase="Failed", reason="DeadlineExceeded"), "deadline", "pod report-x7f ran longer than it may"),
    ],
)
def test_what_is_wrong_with_a_pod_is_said(ill, kind, text):
    found = trouble(ill)

    assert found is not None
    assert found.kind == kind
    assert found.text.startswith(text)


def test_a_log_says_more_than_what_the_kubelet_kept():
    found = trouble(pod(container(terminated={"exitCode": 1, "message": "cut"})), log="first\n\nThe whole reason.")

    assert found is not None
    assert found.text.endswith(": The whole reason.")


def test_the_last_words_are_few():
    assert last_words("a\n\n" + "\n".join(map(str, range(40)))).splitlines() == [str(n) for n in range(28, 40)]
    assert last_words("") == ""
