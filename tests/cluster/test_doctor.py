"""What `make doctor` says of a real cluster: all well, and each thing broken by itself."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from components.shared.kubernetes.api import Cluster
from components.shared.store import Store, StoreSettings
from pipelines.cluster import rights
from pipelines.cluster.checks import Check, Place
from pipelines.cluster.doctor import examine
from tests.cluster import needs
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import restrict_storage_container
from tests.cluster.own_namespace import apply, rendered
from tests.pipelines.command_line import call

NAMESPACE = os.environ.get("FULLCIRCLE_TEST_NAMESPACE", "fullcircle-use")
# Where these are not installed, it is right that their checks fail.
ABSENT = {"Argo Workflows", "Kubeflow Pipelines", "Kubeflow Pipelines running", "KServe running"}


@pytest.fixture(scope="module")
def kubectl(cluster: Kubectl) -> Iterator[Kubectl]:
    """The cluster with the overlay applied in a namespace of its own; removed afterwards if it was not there."""
    needs.images(cluster, "stage", "predictor", "minio")
    if cluster.run("get", "customresourcedefinition", "servingruntimes.serving.kserve.io").returncode:
        pytest.skip("the cluster has no KServe")
    was_there = not cluster.run("get", "namespace", NAMESPACE).returncode
    objects = rendered(NAMESPACE)
    cluster.run("-n", NAMESPACE, "delete", "job", "prepare-store", "--ignore-not-found")
    apply(cluster, objects)
    cluster("-n", NAMESPACE, "wait", "--for=condition=complete", "job/prepare-store", "--timeout=180s", timeout=190)
    restrict_storage_container(cluster)
    yield cluster
    if not was_there:
        cluster("delete", "namespace", NAMESPACE, "--timeout=180s", timeout=200)
        cluster("delete", "persistentvolume", f"{NAMESPACE}-minio", "--ignore-not-found")


def check() -> list[Check]:
    return examine(Cluster.connect(), Place(NAMESPACE))


def failed(found: list[Check]) -> dict[str, Check]:
    return {item.name: item for item in found if item.status == "fail" and item.name not in ABSENT}


@contextmanager
def changed(kubectl: Kubectl, kind: str, name: str, *, patch: object = None) -> Iterator[None]:
    """An object patched, or removed without a patch; in the end as it is in the overlay."""
    if patch is None:
        kubectl("-n", NAMESPACE, "delete", kind, name)
    else:
        kubectl("-n", NAMESPACE, "patch", kind, name, "--type=merge", "--patch", json.dumps(patch))
    try:
        yield
    finally:
        wanted = [
            item for item in rendered(NAMESPACE) if item["kind"].lower() == kind and item["metadata"]["name"] == name
        ]
        kubectl.run("-n", NAMESPACE, "delete", kind, name, "--ignore-not-found")
        apply(kubectl, wanted)


def test_all_that_can_be_here_is_found_well_and_what_is_not_is_named(kubectl, tmp_path):
    code, output = call(
        "doctor", "--namespace", NAMESPACE, "--json", folder=tmp_path, KUBECONFIG=os.environ["KUBECONFIG"]
    )
    found = [Check(**item) for item in json.loads(output)]

    assert failed(found) == {}
    assert {item.subject for item in found} >= {"accounts", "from inside", "secrets", "serving", "storage"}
    absent = {item.name for item in found if item.status == "fail"}
    assert code == (1 if absent else 0)
    assert all(item.remedy for item in found if item.status != "ok")
    left = kubectl.json("-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/name=fullcircle-doctor")["items"]
    assert [pod for pod in left if "deletionTimestamp" not in pod["metadata"]] == []


def test_wrong_credentials(kubectl):
    with changed(
        kubectl, "secret", "fullcircle-stages", patch={"stringData": {"AWS_SECRET_ACCESS_KEY": "another-secret"}}
    ):
        found = failed(check())

    assert list(found) == ["store with the keys of stages"]
    assert "secret key does not belong" in found["store with the keys of stages"].found
    assert "prepare-store" in found["store with the keys of stages"].remedy


def test_a_missing_bucket(kubectl):
    keys = ("development-root", "development-root-secret")
    with kubectl.forwarded(NAMESPACE, "minio-service", 9000) as address:
        store = Store(StoreSettings(address, *keys))
        for item in store.list():
            store.delete(item.key)
        store._client.remove_bucket("fullcircle")
        try:
            found = failed(check())
        finally:
            store.ensure_bucket()

    names = {f"store with the keys of {purpose}" for purpose in ("stages", "serving", "monitoring")}
    assert set(found) == names
    assert all("'fullcircle' does not exist" in item.found for item in found.values())


def test_the_name_of_a_bucket_that_is_not_ours(kubectl):
    with changed(kubectl, "configmap", "fullcircle-store", patch={"data": {"FULLCIRCLE_BUCKET": "another"}}):
        found = failed(check())

    assert "FULLCIRCLE_BUCKET" in found["store with the keys of stages"].remedy


def test_a_missing_secret(kubectl):
    with changed(kubectl, "secret", "fullcircle-serving"):
        found = failed(check())

    assert found[f"fullcircle-serving in {NAMESPACE}"].found == "is missing"
    assert "make-secrets" in found[f"fullcircle-serving in {NAMESPACE}"].remedy
    assert "secrets/fullcircle-serving is missing" in found["store with the keys of serving"].found


def test_annotations_that_name_another_store(kubectl):
    patch = {"metadata": {"annotations": {"serving.kserve.io/s3-endpoint": "elsewhere:9000"}}}
    with changed(kubectl, "secret", "fullcircle-serving", patch=patch):
        found = failed(check())

    assert list(found) == ["fullcircle-serving for KServe"]
    assert "elsewhere:9000" in found["fullcircle-serving for KServe"].found


def test_a_missing_runtime(kubectl):
    with changed(kubectl, "servingruntime", "fullcircle"):
        found = failed(check())

    assert list(found) == ["ServingRuntime fullcircle"]


def test_missing_rights(kubectl):
    with changed(kubectl, "rolebinding", "fullcircle-deploy"):
        found = failed(check())

    assert list(found) == [rights.RUNS]
    assert "create inferenceservices.serving.kserve.io" in found[rights.RUNS].found
    assert "for deploy" in found[rights.RUNS].found


def test_a_missing_launcher_configuration(kubectl):
    with changed(kubectl, "configmap", "kfp-launcher"):
        found = failed(check())

    assert list(found) == ["ConfigMap kfp-launcher"]
    assert "SeaweedFS" in found["ConfigMap kfp-launcher"].found


def test_a_missing_image(kubectl):
    runtime = next(item for item in rendered(NAMESPACE) if item["kind"] == "ServingRuntime")
    containers = [{**runtime["spec"]["containers"][0], "image": "localhost/fullcircle/predictor:absent"}]
    with changed(kubectl, "servingruntime", "fullcircle", patch={"spec": {"containers": containers}}):
        found = failed(check())

    assert list(found) == ["image predictor"]
    assert "localhost/fullcircle/predictor:absent cannot be had" in found["image predictor"].found


def test_too_many_rights_are_seen(kubectl):
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "too-much", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": rights.SERVING, "namespace": NAMESPACE}],
    }
    apply(kubectl, [binding])
    try:
        found = next(item for item in check() if item.name == rights.SERVING)
    finally:
        kubectl("-n", NAMESPACE, "delete", "rolebinding", "too-much")

    assert found.status == "warn"
    assert "get secrets" in found.found


def test_a_user_who_may_look_at_nothing_is_told_so(kubectl, tmp_path):
    token = kubectl("-n", NAMESPACE, "create", "token", rights.SERVING).strip()
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    (tmp_path / "kubeconfig").write_text(json.dumps(config), encoding="utf-8")

    code, output = call("doctor", "--namespace", NAMESPACE, folder=tmp_path, KUBECONFIG=str(tmp_path / "kubeconfig"))

    assert "could not be looked at" in output
    assert "Ask with a user that may look at this." in output
    assert "Traceback" not in output
    assert code in (0, 1)


@pytest.mark.parametrize("account", list(rights.NEEDED))
def test_the_table_of_rights_is_what_the_manifests_grant(kubectl, account):
    who = f"system:serviceaccount:{NAMESPACE}:{account}"

    def may(right: rights.Right) -> bool:
        """As the API server answers: kubectl takes a kind that this cluster has not, such as Argo's, for another."""
        resource, _, subresource = right.resource.partition("/")
        asked = {"namespace": NAMESPACE, "verb": right.verb, "group": right.group, "resource": resource}
        asked |= {"subresource": subresource, "name": right.name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": who, "groups": ["system:serviceaccounts"], "resourceAttributes": asked},
        }
        answer = kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"].get("allowed"))

    assert [str(right) for right in rights.NEEDED[account] if not may(right)] == []
    assert [str(right) for right in rights.DANGEROUS if may(right)] == []
