"""The tasks of a run: from KFP's records as 2.17 and as older ones give them, and from Argo's Workflow."""

from datetime import UTC, datetime
from typing import Any

import pytest

from components.shared.kubernetes.api import Cluster
from components.shared.runs.workflow import nodes_of, steps_of_run
from pipelines.cluster.remote_run import TaskView, steps_of_records, tasks_of
from tests.pipelines.api_server import answering
from tests.pipelines.cluster.runs import workflow, workflow_node
from tests.pipelines.kfp_server import look, node, record, task_records

FAMILIES = ["linear", "lightgbm"]
LOOP = "root(0).for-loop-2(0).iteration-iterations({0}:{0})(0).iteration-item(0)"


def shown(views: list[TaskView]) -> dict[str, tuple[str, float, bool]]:
    assert len({view.label for view in views}) == len(views)
    return {view.label: (view.state, view.seconds, view.cached) for view in views}


def of_2_17() -> Any:
    """The records of a run of 2.17: each of Argo's nodes is a Retry with one child."""
    return look(
        "RUNNING",
        record("root", "RUNNING", children=["1"]),
        record("root(0)", "RUNNING", children=["2", "3"]),
        *task_records("root(0).ingest", "SUCCEEDED", seconds=8, begun=3),
        *task_records("root(0).validate", "SUCCEEDED", seconds=2, begun=20, cached=True),
        record("root(0).for-loop-2(0)", "SUCCEEDED", begun=25),
        *task_records(f"{LOOP.format(0)}.tune", "SUCCEEDED", seconds=5, begun=30),
        *task_records(f"{LOOP.format(1)}.tune", "SUCCEEDED", seconds=6, begun=31),
        *task_records("root(0).train", "RUNNING", begun=40),
        record("root(0).condition-1(0).publish", "SKIPPED"),
    )


def test_records_of_2_17_give_one_task_each_with_its_family():
    views = tasks_of(steps_of_records(of_2_17()), FAMILIES)

    found = shown([view for view in views if view.label not in ("train", "publish")])
    assert found == {
        "ingest": ("SUCCEEDED", 8.0, False),
        "validate": ("SUCCEEDED", 2.0, True),
        "tune (linear)": ("SUCCEEDED", 5.0, False),
        "tune (lightgbm)": ("SUCCEEDED", 6.0, False),
    }
    assert {view.label: view.state for view in views if view.label in ("train", "publish")} == {
        "train": "RUNNING", "publish": "SKIPPED"
    }  # fmt: skip


def test_a_record_that_names_a_task_alone_repeats_one_that_says_where_it_is():
    run = of_2_17()
    alone = [node(name, "SUCCEEDED") for name in ("ingest", "tune", "executor")]
    for one in alone:
        one.pod_name = ""
    run.run_details.task_details += alone

    assert shown(tasks_of(steps_of_records(run), FAMILIES)).keys() == {
        "ingest", "validate", "tune (linear)", "tune (lightgbm)", "train", "publish"
    }  # fmt: skip


def test_a_task_that_was_repeated_is_one_task_from_its_first_attempt_to_its_last():
    run = look(
        "RUNNING",
        record("root(0).train(0)", "FAILED", seconds=4, begun=10),
        record("root(0).train(1)", "SUCCEEDED", seconds=6, begun=20),
        record("root(0).train(1).executor(0)", "SUCCEEDED", seconds=6, begun=20),
    )

    assert shown(tasks_of(steps_of_records(run))) == {"train": ("SUCCEEDED", 16.0, False)}


def test_records_of_before_are_put_together_by_their_childrens_ids():
    run = look(
        "SUCCEEDED",
        node("root", "SUCCEEDED", number="0", children=["1", "9"]),
        node("for-loop-1", "SUCCEEDED", number="1", children=["2", "3"]),
        node("iteration-item(0:0)", "SUCCEEDED", number="2", children=["4"]),
        node("iteration-item(1:1)", "SUCCEEDED", number="3", children=["5"]),
        node("tune", "SUCCEEDED", number="4", seconds=3),
        node("tune", "SUCCEEDED", number="5", seconds=4),
        node("train", "SUCCEEDED", number="9", seconds=2, children=["7"]),
        node("executor", "SKIPPED", number="7"),
    )

    assert shown(tasks_of(steps_of_records(run), FAMILIES)) == {
        "tune (linear)": ("SUCCEEDED", 3.0, False),
        "tune (lightgbm)": ("SUCCEEDED", 4.0, False),
        "train": ("SUCCEEDED", 2.0, True),
    }


@pytest.mark.parametrize("packed", [True, False])
def test_a_workflow_says_the_same_packed_or_not(packed, tmp_path, monkeypatch):
    found = workflow(
        "r1",
        workflow_node("root(0).ingest", "Succeeded", kind="Retry"),
        workflow_node("root(0).ingest(0)", "Succeeded", kind="DAG"),
        workflow_node("root(0).ingest(0).executor", "Skipped", kind="Skipped"),
        workflow_node(f"{LOOP.format(1)}.tune", "Error", message="pod deleted", kind="Retry"),
        workflow_node("root(0).condition-1(0).deploy", "Running", kind="Retry"),
        workflow_node("root(0).condition-1(0).monitor", "Omitted", kind="Skipped"),
        packed=packed,
    )
    with answering(tmp_path) as (server, kubeconfig):
        server.add(found, "kubeflow")
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        views = tasks_of(steps_of_run(Cluster.connect(), "kubeflow", "r1"), FAMILIES)
        assert steps_of_run(Cluster.connect(), "kubeflow", "another") == []

    assert {view.label: (view.state, view.cached, view.error) for view in views} == {
        "ingest": ("SUCCEEDED", True, ""),
        "tune (lightgbm)": ("FAILED", False, "pod deleted"),
        "deploy": ("RUNNING", False, ""),
        "monitor": ("SKIPPED", False, ""),
    }
    assert next(view for view in views if view.label == "ingest").ended == datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)


def test_a_workflow_without_a_status_has_no_nodes():
    assert nodes_of({"metadata": {}}) == []
    assert nodes_of({"status": {"offloadNodeStatusVersion": "fnv:1"}}) == []
