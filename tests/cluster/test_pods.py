"""What a real kubelet and scheduler say of pods that do not run is what `components.shared.kubernetes.pods` reads."""

import json
import time
from collections.abc import Iterator

import pytest

from components.shared.kubernetes.pods import find_problem
from tests.cluster.kubectl import Kubectl
from tests.cluster.stage_pods import Object, pod, program

NAMESPACE = "fullcircle-test-pods"
FORGET_NOT = ["python3", "-c", "held = bytearray(300_000_000); held[::4096] = b'1' * len(held[::4096])"]
# All on one stream: of two, the container runtime keeps no order.
SAY_WHY = ["python3", "-c", "import sys; print('▸ began', file=sys.stderr); raise SystemExit('\\nThe store is full.')"]


@pytest.fixture(scope="module")
def namespace(cluster: Kubectl, images: dict[str, str]) -> Iterator[str]:
    cluster("create", "namespace", NAMESPACE)
    yield NAMESPACE
    cluster("delete", "namespace", NAMESPACE, timeout=200)


def ill(kind: str) -> Object:
    part = program(SAY_WHY if kind == "crash" else FORGET_NOT)
    part["terminationMessagePolicy"] = "FallbackToLogsOnError"
    if kind == "image":
        part["image"], part["imagePullPolicy"] = "localhost/no-such-image:1", "Never"
    if kind == "configuration":
        part["envFrom"] = [{"secretRef": {"name": "forgotten"}}]
    if kind == "memory":
        part["resources"]["limits"]["memory"] = part["resources"]["requests"]["memory"] = "64Mi"
    if kind == "unschedulable":
        part["resources"]["requests"]["cpu"] = part["resources"]["limits"]["cpu"] = "1000"
    return pod(f"ill-{kind}", NAMESPACE, [part], account="default")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("image", "the container main's image localhost/no-such-image:1 cannot be had (ErrImageNeverPull): "),
        ("configuration", 'secret "forgotten" not found'),
        ("memory", "the container main ran out of memory (OOMKilled, its limit is 64Mi)"),
        ("unschedulable", "no node takes it: 0/1 nodes are available: 1 Insufficient cpu."),
        ("crash", "the container main ended with exit code 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_real_pod_is_said(cluster, namespace, kind, text):
    cluster("apply", "-f", "-", stdin=json.dumps(ill(kind)))
    end = time.monotonic() + 60
    while (found := find_problem(cluster.json("-n", namespace, "get", "pod", f"ill-{kind}"))) is None:
        assert time.monotonic() < end, f"nothing wrong is seen with ill-{kind}"
        time.sleep(0.5)
    assert found.kind == kind
    assert found.text.startswith(f"pod ill-{kind}: ")
    assert text in found.text
    assert found.log_end == ("The store is full." if kind == "crash" else "")
