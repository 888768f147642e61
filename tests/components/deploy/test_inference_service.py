import json
import subprocess
import sys

import pytest

from components.deploy.canary import canary_service
from components.deploy.inference_service import (
    MANAGED_BY,
    REVISION,
    Release,
    applicable,
    candidate_name,
    candidate_service,
    copies_requests,
    inference_service,
    label,
    refuse_foreign,
    same_revision,
    serving_of,
    shadow_service,
    with_new_revision,
    with_revision_of,
)
from components.shared.agreed_names import SERVING_SETTINGS, SHADOW_MODEL, SHADOW_URL
from components.shared.config import (
    CanaryConfig,
    InferenceLogConfig,
    ReplicasConfig,
    ResourcesConfig,
    ServingConfig,
    ShadowConfig,
)
from components.shared.errors import DeployError
from images.predictor import options

RELEASE = Release("demo", "abc123", "s3://bucket/models/demo/versions/abc123", git_commit="1234567", run_id="run-1")
SERVING = ServingConfig(
    replicas=ReplicasConfig(minimum=2, maximum=4),
    resources=ResourcesConfig(cpu=0.5, cpu_limit=2, memory="512Mi"),
    log=InferenceLogConfig(leave_out=["name"]),
)


def settings(service) -> ServingConfig:
    (variable,) = service["spec"]["predictor"]["model"]["env"]
    assert variable["name"] == SERVING_SETTINGS
    return ServingConfig.model_validate_json(variable["value"])


def test_an_inference_service():
    found = inference_service(RELEASE, SERVING, namespace="place")
    metadata, predictor = found["metadata"], found["spec"]["predictor"]
    assert (found["apiVersion"], found["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert (metadata["name"], metadata["namespace"]) == ("demo", "place")
    assert metadata["labels"] | {REVISION: ""} == {
        "app.kubernetes.io/name": "fullcircle-predictor",
        "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/part-of": "fullcircle",
        "app.kubernetes.io/component": "predictor",
        "app.kubernetes.io/managed-by": "fullcircle",
        "fullcircle/role": "endpoint",
        REVISION: "",
    }
    assert metadata["annotations"] == {
        "serving.kserve.io/deploymentMode": "Standard",
        "fullcircle/model-version": "abc123",
        "fullcircle/run-id": "run-1",
        "fullcircle/git-commit": "1234567",
    }
    assert predictor["serviceAccountName"] == "fullcircle-serving"
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 4)
    model = predictor["model"]
    assert (model["modelFormat"], model["protocolVersion"]) == ({"name": "fullcircle", "version": "1"}, "v2")
    assert model["storageUri"] == "s3://bucket/models/demo/versions/abc123/"
    assert model["resources"] == {"requests": {"cpu": "0.5", "memory": "512Mi"}, "limits": {"cpu": "2"}}
    assert settings(found).log == SERVING.log


def test_what_a_server_does_not_need_to_know_does_not_change_it():
    one = inference_service(RELEASE, ServingConfig(), namespace="place")
    assert "resources" not in one["spec"]["predictor"]["model"]
    rollout = {"port": 9000, "start_seconds": 5, "canary": CanaryConfig(percent=10)}
    assert inference_service(RELEASE, ServingConfig(**rollout), namespace="place") == one
    again = Release(RELEASE.name, RELEASE.version, RELEASE.uri, run_id="run-2")
    assert label(inference_service(again, ServingConfig(), namespace="place"), REVISION) == label(one, REVISION)


@pytest.mark.parametrize(
    "other",
    [
        inference_service(Release("demo", "abc124", RELEASE.uri), SERVING, namespace="place"),
        inference_service(RELEASE, SERVING.model_copy(update={"rows": 5}), namespace="place"),
        inference_service(RELEASE, SERVING.model_copy(update={"replicas": ReplicasConfig()}), namespace="place"),
    ],
)
def test_another_version_and_other_settings_are_another_revision(other):
    assert label(other, REVISION) != label(inference_service(RELEASE, SERVING, namespace="place"), REVISION)


def test_a_candidate_is_alone_unreachable_from_outside_and_logs_nothing():
    found = candidate_service(RELEASE, SERVING, namespace="place")
    assert found["metadata"]["name"] == "demo-candidate"
    assert found["metadata"]["labels"]["fullcircle/role"] == "candidate"
    assert found["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    assert found["spec"]["predictor"]["minReplicas"] == found["spec"]["predictor"]["maxReplicas"] == 1
    assert not settings(found).log.enabled
    assert settings(found).log.leave_out == ["name"]
    assert found["spec"]["predictor"]["model"]["storageUri"] == f"{RELEASE.uri}/"


def variables(service) -> dict[str, str]:
    return {one["name"]: one["value"] for one in service["spec"]["predictor"]["model"]["env"]}


def test_servers_that_copy_requests_know_where_a_candidate_answers():
    serving = SERVING.model_copy(update={"shadow": ShadowConfig(percent=5, rows=700)})
    found, plain = (inference_service(RELEASE, one, namespace="place") for one in (serving, SERVING))
    assert variables(found)[SHADOW_URL] == "http://demo-shadow-predictor/v1/models/demo-shadow:predict"
    assert SHADOW_URL not in variables(plain)
    assert (copies_requests(found), copies_requests(plain)) == (True, False)
    assert serving_of(found).shadow == serving.shadow
    assert (
        options.parse(["--model_name=demo", "--model_dir=.", f"--shadow_url={variables(found)[SHADOW_URL]}"]).shadow
        == ""
    )


def test_a_candidate_that_is_sent_copies_logs_for_its_model_and_copies_nothing_itself():
    serving = SERVING.model_copy(update={"shadow": ShadowConfig(percent=5), "extra_columns": "refuse"})
    found = shadow_service(RELEASE, serving, namespace="place")
    assert found["metadata"]["name"] == "demo-shadow"
    assert found["metadata"]["labels"]["fullcircle/role"] == "shadow"
    assert found["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    assert found["spec"]["predictor"]["minReplicas"] == found["spec"]["predictor"]["maxReplicas"] == 1
    assert variables(found).keys() == {SERVING_SETTINGS, SHADOW_MODEL}
    assert variables(found)[SHADOW_MODEL] == "demo"
    given = serving_of(found)
    assert (given.log.enabled, given.shadow.percent, given.extra_columns) == (True, 0, "ignore")


def test_the_longest_names_fit_where_kserve_puts_them():
    names = ["a" * 38, "a" * 39, "a" * 40, "a" * 39 + "b", "a" * 32 + "-------b"]
    found = [candidate_name(name) for name in names]
    assert found[0] == "a" * 38 + "-candidate"
    assert len(set(found)) == len(names)
    assert max(len(f"isvc.{name}-predictor") for name in found) <= 63


def test_what_was_there_can_be_applied_again():
    found = inference_service(RELEASE, SERVING, namespace="place")
    read = json.loads(json.dumps(found))
    read["metadata"] |= {"uid": "1", "resourceVersion": "2", "generation": 3, "managedFields": []}
    read["metadata"]["labels"]["team"] = "theirs"
    read["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    read["status"] = {"conditions": []}
    assert applicable(read) == found


def test_a_canary_beside_what_serves():
    before = inference_service(RELEASE, SERVING, namespace="place")
    wanted = inference_service(Release("demo", "def456", "s3://bucket/other"), SERVING, namespace="place")
    found = canary_service(before, wanted, CanaryConfig(percent=20))
    assert found["metadata"] == before["metadata"]
    assert found["spec"]["predictor"] == before["spec"]["predictor"]
    (canary,) = found["spec"]["canary"]
    assert canary["trafficPercent"] == 20
    assert canary["predictor"]["name"] == "canary"
    assert canary["predictor"]["labels"] == {REVISION: label(wanted, REVISION)}
    model = wanted["spec"]["predictor"]["model"]
    assert canary["predictor"]["model"] == {"name": "kserve-container", **model}
    assert canary["predictor"]["minReplicas"] == 1
    assert "maxReplicas" not in canary["predictor"]  # KServe refuses what scales a canary
    # Put back, or killed on the way: what serves is as it was.
    assert applicable(found) == before
    assert len(f"isvc.{'a' * 40}-canary-predictor") <= 63


def test_what_others_made_is_refused():
    found = inference_service(RELEASE, SERVING, namespace="place")
    refuse_foreign(found, "changed")
    found["metadata"]["labels"][MANAGED_BY] = "argo"
    with pytest.raises(DeployError, match="demo in namespace place was not made by Fullcircle .*it is not removed"):
        refuse_foreign(found, "removed")
    del found["metadata"]["labels"]
    with pytest.raises(DeployError, match="not made by Fullcircle"):
        refuse_foreign(found, "removed")


def test_the_settings_in_use():
    found = inference_service(RELEASE, SERVING, namespace="place")
    assert serving_of(found) == SERVING
    limits = found["spec"]["predictor"]["model"]["resources"]["limits"]
    limits["cpu"] = "1500m"
    assert serving_of(found).resources.cpu_limit == 1.5
    found["spec"]["predictor"]["model"]["env"] = []
    with pytest.raises(DeployError, match="settings of the InferenceService demo cannot be read"):
        serving_of(found)


def test_the_same_again_is_told_from_the_same_anew():
    wanted = inference_service(RELEASE, SERVING, namespace="place")
    before = inference_service(
        Release(RELEASE.name, RELEASE.version, RELEASE.uri, run_id="old"), SERVING, namespace="x"
    )
    before["metadata"]["generation"] = 3
    assert same_revision(before, wanted)
    assert with_revision_of(wanted, before)["metadata"]["annotations"]["fullcircle/run-id"] == "old"
    anew = with_new_revision(wanted, before)
    assert label(anew, REVISION) == f"{label(wanted, REVISION)}-3"
    assert anew["spec"] == wanted["spec"]
    assert same_revision(anew, wanted)
    assert label(with_revision_of(wanted, anew), REVISION) == label(anew, REVISION)
    assert label(
        with_new_revision(wanted, {**anew, "metadata": {**anew["metadata"], "generation": 4}}), REVISION
    ).endswith("-4")
    other = inference_service(RELEASE, SERVING.model_copy(update={"rows": 5}), namespace="place")
    assert not same_revision(other, wanted)


def kserves_arguments(*arguments: str) -> str:
    """What KServe's server would take from the arguments of a program that imports its models."""
    code = "from kserve import V1beta1InferenceService, model_server; print(model_server.args)"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


def test_no_arguments_of_ours_are_taken_for_those_of_kserves_server():
    """KServe reads the program's arguments when it is imported, by a parser that ends a program that confuses it."""
    executor = ["--component_module_path", "x.py", "--executor_input", "{}", "--function_to_execute", "deploy"]
    command = ["rollback", "demo", "--version", "v", "--reason", "why", "--namespace", "place"]
    assert kserves_arguments() == kserves_arguments(*executor) == kserves_arguments(*command)
