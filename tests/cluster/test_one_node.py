"""The overlay one-node from nothing to ready and back."""

import io
import json
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.agreed_names import SERVING_SETTINGS
from components.shared.errors import StoreError
from components.shared.package.model_package import GOLDEN, verify, version_prefix
from components.shared.store import Store, StoreSettings
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import KEYS, NAMESPACE, empty, ours
from tests.helpers import put_folder

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
DEPLOYER = f"system:serviceaccount:{NAMESPACE}:pipeline-runner"


def inference_service(uri: str) -> dict[str, Any]:
    """An endpoint called demo that serves what lies there."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "demo",
            "namespace": NAMESPACE,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {
            "predictor": {
                "serviceAccountName": "fullcircle-serving",
                "model": {
                    "modelFormat": {"name": "fullcircle", "version": "1"},
                    "protocolVersion": "v2",
                    "storageUri": uri,
                    "env": [{"name": SERVING_SETTINGS, "value": '{"log": {"flush_seconds": 1}}'}],
                },
            }
        },
    }


def identities(cluster: Kubectl, folder: Path) -> dict[str, tuple[str, int | None]]:
    """Each object's id, and the count of changes of what is asked of it."""
    found = cluster.json("get", "-k", folder)["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": (item["metadata"]["uid"], item["metadata"].get("generation"))
        for item in found
    }


def may(cluster: Kubectl, who: str, what: str) -> bool:
    answer = cluster.run("auth", "can-i", *what.split(), f"--as={who}", "-n", NAMESPACE).stdout.strip()
    assert answer in ("yes", "no")
    return answer == "yes"


def allowed_to(ask: Callable[[], object]) -> bool:
    """Whether the store lets a key do this."""
    try:
        ask()
    except StoreError as error:
        if "not allowed" not in str(error):
            raise
        return False
    return True


def done(cluster: Kubectl, cron_job: str, name: str) -> str:
    """The log of a Job that is made from a CronJob, and ends well."""
    cluster("-n", NAMESPACE, "create", "job", f"--from=cronjob/{cron_job}", name)
    wait = cluster.run(
        "-n", NAMESPACE, "wait", "--for=condition=complete", f"job/{name}", "--timeout=120s", timeout=130
    )
    log = cluster.run("-n", NAMESPACE, "logs", f"job/{name}").stdout
    assert wait.returncode == 0, log
    return log


class TestOneNode:
    """In this order."""

    def test_from_nothing_to_ready(self, cluster, applied):
        cluster("-n", NAMESPACE, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
        wait = cluster.run(
            "-n", NAMESPACE, "wait", "--for=condition=complete", "job/prepare-store", "--timeout=120s", timeout=130
        )
        log = cluster.run("-n", NAMESPACE, "logs", "job/prepare-store").stdout
        assert wait.returncode == 0, log
        assert "user development-serving has the rights of serving" in log

    def test_applied_again_nothing_changes(self, cluster, applied):
        before = identities(cluster, applied)
        again = cluster("apply", "-k", applied)
        assert "created" not in again
        assert identities(cluster, applied) == before
        assert cluster.run("diff", "-k", applied).stdout == ""

    def test_the_monitoring_job_runs(self, cluster, applied):
        log = done(cluster, "fullcircle-monitoring", "monitoring-now")
        assert "no model is published yet" in log

    def test_the_job_that_decides_runs(self, cluster, applied):
        log = done(cluster, "fullcircle-decisions", "decisions-now")
        assert "no model is published yet: nothing to decide" in log

    def test_the_compaction_runs_with_the_rights_of_monitoring(self, cluster, applied):
        with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
            root = Store(StoreSettings(address, *KEYS["root"]))
            for number in range(2):
                buffer = io.BytesIO()
                pq.write_table(pa.table({"a": [number]}), buffer)
                root.put_bytes(
                    f"inference/of-a-test/date=2024-01-01/hour=00/00000{number}-a_1.parquet", buffer.getvalue()
                )
        log = done(cluster, "fullcircle-log-compaction", "compaction-now")
        assert "of-a-test: 2 files of 1 hours are 1 now (2 rows)" in log

    def test_data_outlive_the_pod(self, cluster, applied):
        before = cluster.json("-n", NAMESPACE, "get", "pod", "minio-0")["metadata"]["uid"]
        cluster("-n", NAMESPACE, "delete", "pod", "minio-0", "--wait")
        cluster("-n", NAMESPACE, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
        assert cluster.json("-n", NAMESPACE, "get", "pod", "minio-0")["metadata"]["uid"] != before
        cluster("-n", NAMESPACE, "create", "job", "--from=cronjob/fullcircle-monitoring", "monitoring-later")
        # Its user and bucket are still known.
        cluster(
            "-n", NAMESPACE, "wait", "--for=condition=complete", "job/monitoring-later", "--timeout=120s", timeout=130
        )

    def test_an_endpoint_answers_and_logs(self, cluster, applied, storage_container, packages):
        """Published with the stages' keys, created with the stages' rights, served and logged with serving's keys."""
        package = packages()
        version = verify(package).version
        with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
            store = Store(StoreSettings(address, *KEYS["stages"]))
            put_folder(store, version_prefix("demo", version), package)
            endpoint = json.dumps(inference_service(store.uri(version_prefix("demo", version))))
            cluster("apply", "-f", "-", f"--as={DEPLOYER}", stdin=endpoint)
            cluster("-n", NAMESPACE, "wait", "--for=condition=Ready", "inferenceservice/demo", "--timeout=90s")
            golden = json.loads((package / GOLDEN).read_bytes())
            with cluster.forwarded(NAMESPACE, "demo-predictor", 80) as url:
                asked = json.dumps({"instances": [item["row"] for item in golden]}).encode()
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(f"{url}/v1/models/demo:predict", asked, headers)
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert json.load(answer)["predictions"] == [item["answer"] for item in golden]
            monitoring = Store(StoreSettings(address, *KEYS["monitoring"]))
            end = time.monotonic() + 20
            while not monitoring.list("inference/demo/") and time.monotonic() < end:
                time.sleep(0.5)
            assert len(monitoring.list("inference/demo/")) == 1
        cluster("-n", NAMESPACE, "delete", "inferenceservice/demo", f"--as={DEPLOYER}")

    @pytest.mark.parametrize(
        "what",
        [
            *(f"{verb} inferenceservices.serving.kserve.io" for verb in VERBS),
            "get pods", "list pods", "get pods --subresource=log", "get services", "list events",
            "create jobs", "get jobs", "get cronjobs/fullcircle-monitoring",
        ],
    )  # fmt: skip
    def test_stages_may(self, cluster, applied, what):
        assert may(cluster, DEPLOYER, what)

    @pytest.mark.parametrize(
        "what",
        [
            "get secrets", "list secrets", "get configmaps", "create pods", "delete pods",
            "create pods --subresource=exec", "delete jobs", "patch jobs", "list jobs", "patch cronjobs",
            "create cronjobs", "get cronjobs/other", "list services", "create services",
            "create servingruntimes.serving.kserve.io", "create roles.rbac.authorization.k8s.io",
            "create rolebindings.rbac.authorization.k8s.io", "get statefulsets.apps", "get nodes",
            "create serviceaccounts --subresource=token", "list inferenceservices.serving.kserve.io -A",
        ],
    )  # fmt: skip
    def test_stages_may_not(self, cluster, applied, what):
        assert not may(cluster, DEPLOYER, what)

    @pytest.mark.parametrize("account", ["minio", "fullcircle-serving", "fullcircle-monitoring", "default"])
    def test_other_accounts_may_nothing(self, cluster, applied, account):
        who = f"system:serviceaccount:{NAMESPACE}:{account}"
        listed = cluster("auth", "can-i", "--list", "--no-headers", f"--as={who}", "-n", NAMESPACE).splitlines()
        # What everybody may: ask about himself, and read where the API's documents are.
        assert {line.split(".")[0] for line in listed if not line.startswith((" ", "["))} == {
            "selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("what", "allowed"),
        [
            *((what, True) for what in ("list pods", "get pods --subresource=log", "list events")),
            *((what, False) for what in ("get secrets", "create pods", "delete pods", "create jobs",
                                         "patch inferenceservices.serving.kserve.io", "list pods -A")),
        ],
    )  # fmt: skip
    def test_decisions_may_read_why_a_run_failed(self, cluster, applied, what, allowed):
        assert may(cluster, f"system:serviceaccount:{NAMESPACE}:fullcircle-decisions", what) == allowed

    def test_every_account_of_the_overlay_is_in_these_tables(self, cluster, applied):
        found = cluster.json("-n", NAMESPACE, "get", "serviceaccounts")["items"]
        assert {one["metadata"]["name"] for one in found} == {
            "minio", "fullcircle-serving", "fullcircle-monitoring", "fullcircle-decisions", "default",
            "pipeline-runner",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("user", "allowed"),
        [
            ("stages", {"read data/", "read models/", "write models/", "read predictions/", "write predictions/",
                        "read monitoring/", "write monitoring/"}),
            ("serving", {"read models/", "write inference/", "write shadow/"}),
            ("monitoring", {"read data/", "read models/", "read predictions/", "read inference/", "read shadow/",
                            "read monitoring/",
                            "write monitoring/", "read labels/", "write labels/"}),
            ("artifacts", set()),
        ],
    )  # fmt: skip
    def test_each_key_may_do_what_it_is_for_and_nothing_else(self, cluster, applied, user, allowed):
        with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
            root, store = (Store(StoreSettings(address, *KEYS[name])) for name in ("root", user))
            found = set()
            for prefix in ("data/", "models/", "predictions/", "monitoring/", "labels/", "inference/", "shadow/"):
                key = f"{prefix}of-a-test"
                root.put_bytes(key, b"1")
                found |= {f"read {prefix}"} if allowed_to(partial(store.get_bytes, key)) else set()
                found |= {f"write {prefix}"} if allowed_to(partial(store.put_bytes, key, b"2")) else set()
                root.delete(key)
        assert found == allowed

    def test_deleted_nothing_is_left(self, cluster, applied, beforehand):
        empty(cluster)
        cluster("delete", "--timeout=180s", "-k", applied, timeout=200)
        assert cluster.run("get", "namespace", NAMESPACE).returncode
        assert ours(cluster) <= beforehand
        assert f"{NAMESPACE} " not in cluster("get", "persistentvolumeclaims", "-A", "--no-headers")
