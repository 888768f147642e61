import base64
import re
from pathlib import Path

import pytest
import yaml

from components.shared.agreed_names import MONITORING_SETTINGS
from components.shared.config import DEFAULT_TASKS, MonitoringConfig
from images.predictor.options import parse
from pipelines.cli.app import application
from tests.manifests.rendering import MANIFESTS, OVERLAYS, build, kinds, one, overlay, pods, strings

NAMESPACES = {"one-node": "fullcircle", "kubeflow": "kubeflow", "production": "fullcircle"}
DEPLOY = {
    ("serving.kserve.io", "inferenceservices"): {"get", "list", "watch", "create", "update", "patch", "delete"},
    ("", "pods"): {"get", "list"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"list"},
    ("", "services"): {"get"},
}
MONITOR = {
    ("batch", "cronjobs"): {"get"},
    ("batch", "jobs"): {"get", "create"},
    ("", "pods"): {"list"},
}
DECISIONS = {
    ("", "pods"): {"list"},
    ("", "events"): {"list"},
    ("", "pods/log"): {"get"},
    ("argoproj.io", "workflows"): {"list"},
}
ROLES = {"fullcircle-deploy": DEPLOY, "fullcircle-monitor": MONITOR, "fullcircle-decisions": DECISIONS}
DECIDES = "CronJob/fullcircle-decisions"  # reads the pods of a run that failed
CLUSTER_SCOPED = {"one-node": {"Namespace", "PersistentVolume"}, "kubeflow": set(), "production": {"Namespace"}}
LAUNCHER = """
minio:
  default:
    endpoint: minio-service.kubeflow:9000
    region: us-east-1
    disableSSL: true
    forcePathStyle: true
    credentials:
      fromEnv: false
      secretRef: {secretName: mlpipeline-minio-artifact, accessKeyKey: accesskey, secretKeyKey: secretkey}
"""

pytestmark = pytest.mark.parametrize("name", OVERLAYS)


def test_everything_is_in_its_namespace_and_labelled(name):
    for item in overlay(name):
        metadata = item["metadata"]
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "fullcircle", metadata["name"]
        if "namespace" in metadata:
            assert metadata["namespace"] == NAMESPACES[name]
        else:
            assert item["kind"] in CLUSTER_SCOPED[name]


def test_only_a_namespace_of_our_own_is_made_and_it_enforces_the_restricted_profile(name):
    made = kinds(overlay(name), "Namespace")
    if name == "kubeflow":
        assert made == []
        (shared,) = build(MANIFESTS / "overlays" / "kubeflow" / "namespace")
        labels = shared["metadata"]["labels"]
        assert {key.rpartition("/")[2]: value for key, value in labels.items()} == {
            "warn": "restricted",
            "audit": "restricted",
        }
    else:
        assert made[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_have_a_tag_that_does_not_move_by_itself(name):
    images = {container["image"] for pod in pods(overlay(name)) for container in pod.spec["containers"]}
    assert len(images) == (2 if name == "production" else 3)
    for image in images:
        repository, _, tag = image.rpartition(":")
        assert "/fullcircle/" in repository
        assert tag not in ("", "latest")


def test_pods_keep_the_restricted_profile_and_more(name):
    for pod in pods(overlay(name)):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        for volume in pod.spec["volumes"]:
            assert volume.keys() - {"name"} <= {"emptyDir", "secret", "projected", "configMap"}
        if not pod.owner.startswith("ServingRuntime/"):
            assert pod.spec["automountServiceAccountToken"] is (pod.owner == DECIDES), pod.owner
            assert pod.spec["enableServiceLinks"] is False, pod.owner
            assert pod.spec["securityContext"]["runAsNonRoot"]
            assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod.spec["containers"], *pod.spec.get("initContainers", [])]:
            context = dict(container["securityContext"])
            assert context.pop("runAsUser") > 10_000
            assert context.pop("runAsGroup") > 10_000
            assert context == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }, pod.owner


def test_containers_say_what_they_need_at_least_and_at_most(name):
    for pod in pods(overlay(name)):
        for container in pod.spec["containers"]:
            for bound in ("requests", "limits"):
                assert container["resources"][bound].keys() == {"cpu", "memory", "ephemeral-storage"}, pod.owner


def test_servers_have_all_three_probes_over_http(name):
    servers = [pod for pod in pods(overlay(name)) if pod.owner.startswith(("StatefulSet/", "ServingRuntime/"))]
    assert len(servers) == (1 if name == "production" else 2)
    for server in servers:
        (container,) = server.spec["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert "httpGet" in container[probe]


def test_only_the_test_overlay_has_secrets_and_they_are_marked(name):
    secrets = kinds(overlay(name), "Secret")
    assert bool(secrets) == (name == "one-node")
    for secret in secrets:
        assert "Never use them elsewhere" in secret["metadata"]["annotations"]["fullcircle/development-default"]
        for value in secret["data"].values():
            assert base64.b64decode(value).startswith(b"development-")


def referenced_secrets(name: str) -> set[str]:
    found = set(re.findall(r"secretName: (\S+)", one(overlay(name), "ConfigMap", "kfp-launcher")["data"]["providers"]))
    for pod in pods(overlay(name)):
        for volume in pod.spec["volumes"]:
            found |= {volume["secret"]["secretName"]} if "secret" in volume else set()
            sources = volume.get("projected", {}).get("sources", [])
            found |= {source["secret"]["name"] for source in sources if "secret" in source}
        for container in pod.spec["containers"]:
            references = [item["valueFrom"]["secretKeyRef"] for item in container["env"] if "valueFrom" in item]
            found |= {reference["name"] for reference in references}
    for account in kinds(overlay(name), "ServiceAccount"):
        found |= {secret["name"] for secret in account.get("secrets", [])}
    return found


def test_every_secret_that_is_used_is_made(name):
    wanted = referenced_secrets(name)
    readme = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{secret}`" in readme for secret in wanted)
    if name == "one-node":
        made = {secret["metadata"]["name"] for secret in kinds(overlay(name), "Secret")}
        assert made == wanted | {"fullcircle-stages"}
    program = (MANIFESTS / "make-secrets").read_text(encoding="utf-8")
    assert all(re.search(rf"^make {secret} ", program, re.MULTILINE) for secret in wanted)


def test_pods_run_under_accounts_that_are_made_and_only_what_decides_has_rights(name):
    accounts = {account["metadata"]["name"] for account in kinds(overlay(name), "ServiceAccount")}
    subjects = {subject["name"] for binding in kinds(overlay(name), "RoleBinding") for subject in binding["subjects"]}
    for pod in pods(overlay(name)):
        if not pod.owner.startswith("ServingRuntime/"):
            assert pod.spec["serviceAccountName"] in accounts, pod.owner
            assert (pod.spec["serviceAccountName"] in subjects) == (pod.owner == DECIDES), pod.owner


def test_rights_are_the_least_and_of_one_namespace(name):
    objects = overlay(name)
    assert not kinds(objects, "ClusterRole")
    assert not kinds(objects, "ClusterRoleBinding")
    for role, wanted in ROLES.items():
        rules = one(objects, "Role", role)["rules"]
        assert "*" not in set(strings(rules))
        found = {
            (rule["apiGroups"][0], resource): set(rule["verbs"]) for rule in rules for resource in rule["resources"]
        }
        assert found == wanted
    home = "fullcircle" if name == "one-node" else "kubeflow"
    for binding in kinds(objects, "RoleBinding"):
        who, where = ("pipeline-runner", home)
        if binding["metadata"]["name"] == "fullcircle-decisions":
            who, where = ("fullcircle-decisions", NAMESPACES[name])
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": who, "namespace": where}]


def test_all_that_names_the_store_names_the_same(name):
    objects = overlay(name)
    endpoint = one(objects, "ConfigMap", "fullcircle-store")["data"]["AWS_ENDPOINT_URL"]
    launcher = one(objects, "ConfigMap", "kfp-launcher")["data"]
    (provider,) = yaml.safe_load(launcher["providers"]).values()
    scheme, _, address = endpoint.partition("://")
    assert provider["default"]["endpoint"] == address
    assert provider["default"]["disableSSL"] == (scheme == "http")
    if name == "production":
        return
    assert address == f"minio-service.{NAMESPACES[name]}:9000"
    assert one(objects, "Service", "minio-service")["spec"]["ports"][0]["port"] == 9000
    if name == "kubeflow":
        assert yaml.safe_load(launcher["providers"]) == yaml.safe_load(LAUNCHER)
        assert launcher["defaultPipelineRoot"] == "minio://mlpipeline/v2/artifacts"
    else:
        annotations = one(objects, "Secret", "fullcircle-serving")["metadata"]["annotations"]
        assert annotations["serving.kserve.io/s3-endpoint"] == address


def test_the_runtime_serves_our_format_with_arguments_that_the_server_takes(name):
    spec = one(overlay(name), "ServingRuntime", "fullcircle")["spec"]
    assert spec["supportedModelFormats"] == [{"name": "fullcircle", "version": "1", "autoSelect": True, "priority": 1}]
    assert spec["protocolVersions"] == ["v1", "v2", "grpc-v2"]
    (container,) = spec["containers"]
    assert container["name"] == "kserve-container"
    options = parse([argument.replace("{{.Name}}", "flights") for argument in container["args"]])
    assert (options.model_name, str(options.model_dir), options.http_port) == ("flights", "/mnt/models", 8080)
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http1": options.http_port,
        "h2c": options.grpc_port,
    }
    (ingress,) = one(overlay(name), "NetworkPolicy", "predictors")["spec"]["ingress"]
    assert {port["port"] for port in ingress["ports"]} == {options.http_port, options.grpc_port}
    assert options.drain_seconds + options.grace_seconds < 30


def test_jobs_call_commands_that_there_are(name):
    for pod in pods(overlay(name)):
        (container,) = pod.spec["containers"]
        if container.get("command") == ["python", "-m", "pipelines"]:
            verb, *arguments = container["args"]
            with application().commands[verb].make_context(verb, arguments) as context:
                match verb:
                    case "prepare-store":
                        assert context.params["keys"] == Path("/run/secrets/fullcircle")
                    case "watch":
                        assert context.params["what"] == ""  # every model
                    case _:
                        pytest.fail(f"{pod.owner} calls {verb}")
        if container.get("command") == ["python", "-m", "components.monitor"]:
            (settings,) = [item["value"] for item in container["env"] if item["name"] == MONITORING_SETTINGS]
            MonitoringConfig.model_validate_json(settings)


def test_the_monitoring_job_is_bounded(name):
    spec = one(overlay(name), "CronJob", "fullcircle-monitoring")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] > 0
    assert spec["successfulJobsHistoryLimit"] == spec["failedJobsHistoryLimit"] == 3
    # A run's monitor task follows such a Job: it has to see its end before its own time is up.
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= DEFAULT_TASKS["monitor"].seconds - 120
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_log_is_compacted_every_hour_with_the_rights_of_monitoring(name):
    found = one(overlay(name), "CronJob", "fullcircle-log-compaction")
    spec = found["spec"]
    assert spec["schedule"].endswith(" * * * *")
    assert spec["concurrencyPolicy"] == "Forbid"
    # Below the time after which parts that no commit lists are given up.
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 3600
    pod = spec["jobTemplate"]["spec"]["template"]
    report = one(overlay(name), "CronJob", "fullcircle-monitoring")["spec"]["jobTemplate"]["spec"]["template"]
    assert pod["spec"]["serviceAccountName"] == report["spec"]["serviceAccountName"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "monitoring"  # which reaches the store
    (container,), (reporter,) = pod["spec"]["containers"], report["spec"]["containers"]
    keys = [item for item in reporter["env"] if item["name"] != MONITORING_SETTINGS]
    assert container["env"] == keys
    assert container["envFrom"] == reporter["envFrom"]
    assert container["command"] == ["python", "-m", "components.monitor.compact"]
    assert container["securityContext"] == reporter["securityContext"]


def test_decisions_are_taken_every_few_minutes_with_the_keys_of_monitoring(name):
    spec = one(overlay(name), "CronJob", "fullcircle-decisions")["spec"]
    assert spec["schedule"].startswith("*/")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 600  # the next one is due
    pod = spec["jobTemplate"]["spec"]["template"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "decisions"
    (container,) = pod["spec"]["containers"]
    keys = {item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"] if "valueFrom" in item}
    assert keys == {"fullcircle-monitoring"}
    (receivers,) = [source["secretRef"] for source in container["envFrom"] if "secretRef" in source]
    assert receivers == {"name": "fullcircle-notifications", "optional": True}


def test_nothing_goes_in_or_out_by_default(name):
    objects = overlay(name)
    deny = one(objects, "NetworkPolicy", "default-deny")["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny.keys()
    # Among other people's pods, only ours are shut off.
    ours = {"matchLabels": {"app.kubernetes.io/part-of": "fullcircle"}} if name == "kubeflow" else {}
    assert deny["podSelector"] == ours
    assert one(objects, "NetworkPolicy", "dns")["spec"]["podSelector"] == ours
    for policy in kinds(objects, "NetworkPolicy"):
        if name == "kubeflow":
            assert "matchLabels" in policy["spec"]["podSelector"] or policy["metadata"]["name"] == "store-clients"
        for rule in policy["spec"].get("egress", []):
            assert rule["ports"], policy["metadata"]["name"]
            for peer in rule["to"]:
                if "ipBlock" in peer and peer["ipBlock"]["cidr"] == "0.0.0.0/0":
                    assert peer["ipBlock"]["except"] == ["169.254.0.0/16"]


def test_what_is_there_once_survives_a_drained_node(name):
    budgets = {item["metadata"]["name"]: item["spec"] for item in kinds(overlay(name), "PodDisruptionBudget")}
    assert budgets.keys() == ({"predictors"} if name == "production" else {"minio", "predictors"})
    assert budgets["predictors"]["maxUnavailable"] == 1
