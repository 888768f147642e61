import json
import os
import subprocess
from pathlib import Path

import yaml

from components.monitor.exporter.__main__ import PORT
from components.shared.inference_log.access import ACCESS_KEY, SECRET_KEY
from tests.manifests.rendering import MANIFESTS, Object, build, one, overlay, overlay_with

CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: workflow-controller, namespace: kubeflow}
spec:
  template:
    spec:
      containers:
        - {name: workflow-controller, image: argo, env: [{name: LEADER_ELECTION_IDENTITY, value: x}]}
"""
# As Kubeflow Pipelines 2.17.0 has it.
WORKFLOW_DEFAULTS = """
spec:
  ttlStrategy:
    secondsAfterCompletion: 3600
    secondsAfterSuccess: 3600
    secondsAfterFailure: 3600
  templateDefaults:
    retryStrategy:
      limit: '2'
      retryPolicy: OnError
"""
CONTROLLER_CONFIG = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "workflow-controller-configmap", "namespace": "kubeflow"},
        "data": {"executor": "imagePullPolicy: IfNotPresent\n", "workflowDefaults": WORKFLOW_DEFAULTS},
    }
)
STORAGE = """
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata: {name: default}
spec:
  container: {name: storage-initializer, image: kserve, resources: {limits: {memory: 1Gi}}}
  supportedUriFormats: [{prefix: "s3://"}]
"""


def objects(folder: Path, component: str, target: str = "") -> list[Object]:
    """The objects that a component makes, or makes of its target."""
    (folder / "target.yaml").write_text(target, encoding="utf-8")
    path = os.path.relpath((MANIFESTS / "components" / component).resolve(), folder.resolve())
    kustomization = {"components": [path], "resources": ["target.yaml"] if target else []}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return build(folder)


def render(folder: Path, component: str, target: str = "") -> Object:
    """The one object that a component makes, or makes of its target."""
    (found,) = objects(folder, component, target)
    return found


def test_argo_requeue_adds_a_variable(tmp_path):
    (container,) = render(tmp_path, "argo-requeue", CONTROLLER)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "argo"
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "DEFAULT_REQUEUE_TIME": "1s",
        "LEADER_ELECTION_IDENTITY": "x",
    }


def test_argo_retries_lets_a_task_say_it_and_changes_nothing_else(tmp_path):
    data = render(tmp_path, "argo-retries", CONTROLLER_CONFIG)["data"]
    assert data["executor"] == "imagePullPolicy: IfNotPresent\n"
    before, after = (yaml.safe_load(text)["spec"] for text in (WORKFLOW_DEFAULTS, data["workflowDefaults"]))
    assert after.pop("templateDefaults") == {"retryStrategy": {"limit": "0", "retryPolicy": "Always"}}
    assert before.pop("templateDefaults")
    assert after == before


def test_storage_container_adds_a_security_context(tmp_path):
    container = render(tmp_path, "storage-container", STORAGE)["spec"]["container"]
    assert (container["image"], container["resources"]) == ("kserve", {"limits": {"memory": "1Gi"}})
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_prometheus_asks_the_port_that_the_runtime_names(tmp_path):
    port, _ = one(overlay("one-node"), "ServingRuntime", "fullcircle")["spec"]["containers"][0]["ports"]
    assert render(tmp_path, "prometheus")["spec"]["podMetricsEndpoints"][0]["port"] == port["name"]


def test_monitoring_brings_an_exporter_that_prometheus_reaches_and_that_reaches_the_store(tmp_path):
    found = objects(tmp_path, "monitoring")
    deployment = one(found, "Deployment", "fullcircle-exporter")
    template = deployment["spec"]["template"]
    labels, (container,) = template["metadata"]["labels"], template["spec"]["containers"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    clients = one(overlay("one-node"), "NetworkPolicy", "store-clients")["spec"]["podSelector"]["matchExpressions"][0]
    assert labels[clients["key"]] in clients["values"]
    (port,) = container["ports"]
    policy = one(found, "NetworkPolicy", "fullcircle-exporter")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["ingress"][0]["ports"] == [{"port": port["containerPort"], "protocol": "TCP"}]
    monitor = one(found, "PodMonitor", "fullcircle-exporter")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["podMetricsEndpoints"][0]["port"] == port["name"]
    assert port["containerPort"] == PORT
    assert container["command"] == ["python", "-m", "components.monitor.exporter"]


def test_the_exporter_keeps_what_the_scheduled_report_keeps(tmp_path):
    """The same image, account, keys and profile."""
    report = one(overlay("one-node"), "CronJob", "fullcircle-monitoring")["spec"]["jobTemplate"]["spec"]["template"]
    exporter = one(objects(tmp_path, "monitoring"), "Deployment", "fullcircle-exporter")["spec"]["template"]
    for name in ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext"):
        assert exporter["spec"][name] == report["spec"][name]
    (one_container,), (other,) = exporter["spec"]["containers"], report["spec"]["containers"]
    assert one_container["securityContext"] == other["securityContext"]
    assert one_container["envFrom"] == other["envFrom"]
    settings = [variable for variable in other["env"] if variable["name"] != "FULLCIRCLE_MONITORING"]
    assert one_container["env"] == settings


def test_the_dashboard_is_found_by_grafana(tmp_path):
    found = one(objects(tmp_path, "monitoring"), "ConfigMap", "fullcircle-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["dashboard.json"])["uid"] == "fullcircle"


def test_waiting_versions_gives_the_job_that_decides_what_a_deploy_task_has(tmp_path):
    found = overlay_with("one-node", "waiting-versions", tmp_path)
    binding = one(found, "RoleBinding", "fullcircle-decisions-deploy")
    assert binding["roleRef"]["name"] == one(found, "RoleBinding", "fullcircle-deploy")["roleRef"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "fullcircle-decisions", "namespace": "fullcircle"}
    ]
    template = one(found, "CronJob", "fullcircle-decisions")["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    keys = {item["name"]: item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"] if "valueFrom" in item}
    assert keys == {
        "AWS_ACCESS_KEY_ID": "fullcircle-stages",
        "AWS_SECRET_ACCESS_KEY": "fullcircle-stages",
        ACCESS_KEY: "fullcircle-monitoring",
        SECRET_KEY: "fullcircle-monitoring",
    }
    policy = one(found, "NetworkPolicy", "decisions-to-endpoints")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_make_secrets_is_valid_shell():
    command = ["bash", "-n", str(MANIFESTS / "make-secrets")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
