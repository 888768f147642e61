"""Retraining through KFP's API, with a server that speaks it and a real object store."""

from datetime import UTC, datetime, timedelta

import kfp_server_api as api
import pytest

from components.shared.config import ServingConfig
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.policy import decide
from components.shared.registry.judgement import Judgement
from components.shared.registry.pending import PendingVersions, Terms
from components.shared.registry.registry import Registry
from pipelines.cluster.kfp_api import Kfp, KfpError, KfpSettings
from pipelines.cluster.retraining import KfpRetrainer, cpu_hours
from pipelines.decisions.retraining import RetrainingTask
from tests.components.shared.decisions.windows import ON, dropped
from tests.pipelines.kfp_server import BEGUN, Server

WINDOWS: list[Evidence] = [dropped(0), dropped(1)]
TASK = RetrainingTask("wine", 12, decide(WINDOWS, [], ON, datetime.now(UTC), champion="v1"), 1)


@pytest.fixture
def retrainer(kfp: Server, store, monkeypatch: pytest.MonkeyPatch) -> KfpRetrainer:
    """For a server with two versions of the pipeline."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    kfp.pipelines.append(api.V2beta1Pipeline(pipeline_id="p", display_name="wine"))
    for number in (1, 2):
        created = BEGUN + timedelta(days=number)
        version = api.V2beta1PipelineVersion(
            pipeline_id="p", pipeline_version_id=f"v{number}", display_name=f"wine-{number}", created_at=created
        )
        kfp.versions.insert(0, version)
    return KfpRetrainer(Kfp(KfpSettings(kfp.url)), store)


def ended(kfp: Server, state: str) -> str:
    """Let the only run end; its id."""
    (run,) = kfp.runs
    tasks = [
        api.V2beta1PipelineTaskDetail(pod_name=pod, start_time=BEGUN, end_time=BEGUN + timedelta(hours=1))
        for pod in ("a", "b", None)
    ]
    kfp.looks = [api.V2beta1Run(state=state, run_details=api.V2beta1RunDetails(task_details=tasks))]
    return str(run.run_id)


def test_a_run_of_the_newest_version_is_begun_once_and_found_again(retrainer, kfp):
    assert retrainer.find(TASK) is None
    begun = retrainer.begin(TASK)
    (run,) = kfp.runs
    assert (begun.run, begun.outcome) == (run.run_id, None)
    assert run.display_name == "wine retraining 00000012"
    assert run.pipeline_version_reference.pipeline_version_id == "v2"
    found = retrainer.find(TASK)
    assert found == begun


def test_what_a_run_came_to_the_registry_says(retrainer, kfp, store):
    retrainer.begin(TASK)
    run = ended(kfp, "SUCCEEDED")
    found = retrainer.find(TASK)
    assert found is not None
    assert found.outcome is not None
    assert (found.outcome.result, found.outcome.cpu_hours) == ("blocked", 2.0)
    PendingVersions(store, "wine").add("w1", Judgement(promoted=True), Terms(serving=ServingConfig()), run=run)
    assert retrainer.find(TASK).outcome.result == "pending"
    Registry(store, "wine").promote("w1", expected=None, run=run)
    outcome = retrainer.find(TASK).outcome
    assert (outcome.result, outcome.version) == ("promoted", "w1")


def test_a_run_that_failed_says_why(retrainer, kfp):
    retrainer.begin(TASK)
    run = ended(kfp, "FAILED")
    outcome = retrainer.find(TASK).outcome
    assert outcome.result == "failed"
    assert run in outcome.message


def test_without_a_pipeline_it_says_what_to_do(retrainer, kfp):
    kfp.pipelines.clear()
    with pytest.raises(KfpError, match="no pipeline 'wine' to retrain the model with: `make submit`"):
        retrainer.begin(TASK)


def test_hours_are_those_of_pods():
    assert cpu_hours(api.V2beta1Run()) == 0
