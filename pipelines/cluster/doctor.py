"""Checks of a cluster before the first run: everything that a run and an endpoint stand on, and how to fix it.

Most failures of a first run are known before it starts: a secret that is missing, a right that was not granted, a
version that is too old. By runs they are found one after another, each at the cost of a run; here all are found at
once. Nothing is changed on the cluster but short pods (`doctor_pods`), and what may not be looked at becomes a finding
instead of an error.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import yaml

from components.shared.agreed_names import MONITORING
from components.shared.kubernetes.api import Cluster, ClusterError, Object
from pipelines.cluster import rights
from pipelines.cluster.artifacts import DEFAULT_ROOT, Root
from pipelines.cluster.checks import Check, Place, Status
from pipelines.cluster.doctor_argo import check_retries
from pipelines.cluster.doctor_pods import check_inside

STORE = "fullcircle-store"
LAUNCHER = "kfp-launcher"
RUNTIME = "fullcircle"
AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

_APPLY = "kubectl apply -k manifests/overlays/<overlay>"
_ENFORCE, _WARN = (f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "warn"))
_S3 = "serving.kserve.io/s3-"
_LARGEST_CLOCK_DIFFERENCE = 30.0
_STORAGE_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_APIS = (
    ("Argo Workflows", "argoproj.io/v1alpha1", "workflows", "install Kubeflow Pipelines 2.17, which brings Argo"),
    ("Kubeflow Pipelines", "kubeflow.org/v1beta1", "scheduledworkflows", "install Kubeflow Pipelines 2.17"),
    ("KServe", "serving.kserve.io/v1beta1", "inferenceservices", "install KServe 0.21 in Standard mode"),
    ("KServe's runtimes", "serving.kserve.io/v1alpha1", "servingruntimes", "install KServe 0.21 in Standard mode"),
)
_VERSIONS = (
    ("Kubeflow Pipelines", "ml-pipeline", (2, 15), "2.17.0"),
    ("KServe", "kserve-controller-manager", (0, 20), "0.21.0"),
)


def examine(cluster: Cluster, place: Place) -> list[Check]:
    """Make every check.

    Args:
        cluster: The cluster, which answers.
        place: Where to look.
    """
    looks: Sequence[tuple[str, Callable[[Cluster, Place], Iterable[Check]]]] = (
        ("cluster", _check_cluster),
        ("interfaces", _check_interfaces),
        ("namespaces", _check_namespaces),
        ("configuration", _check_configuration),
        ("retries", check_retries),
        ("secrets", _check_secrets),
        ("accounts", _check_accounts),
        ("serving", _check_serving),
        ("monitoring", _check_monitoring),
        ("storage", _check_storage),
        ("from inside", check_inside),
    )
    found: list[Check] = []
    for subject, look in looks:
        try:
            found += look(cluster, place)
        except ClusterError as error:
            found.append(_unseen(subject, error))
    return found


def _unseen(subject: str, error: ClusterError) -> Check:
    name = "could not be looked at"
    if error.is_forbidden:
        return Check(subject, name, "warn", str(error), "Ask with a user that may look at this.")
    return Check(subject, name, "fail", str(error), "See what the API server says.")


def _check_cluster(cluster: Cluster, place: Place) -> Iterator[Check]:
    del place
    version = (cluster.get("/version") or {}).get("gitVersion", "?")
    yield Check("cluster", "API server", "ok", f"{version} at {cluster.address}")
    difference = cluster.clock_difference
    if abs(difference) > _LARGEST_CLOCK_DIFFERENCE:
        remedy = "Set the clocks by NTP: signatures of the object store and tokens depend on them."
        yield Check("cluster", "clock", "warn", f"{difference:+.0f} s between this machine and the API server", remedy)
    else:
        yield Check("cluster", "clock", "ok", f"within {_LARGEST_CLOCK_DIFFERENCE:.0f} s of the API server")


def _check_interfaces(cluster: Cluster, place: Place) -> Iterator[Check]:
    for name, version, resource, remedy in _APIS:
        offered = (cluster.get(f"/apis/{version}") or {}).get("resources", [])
        if any(item["name"] == resource for item in offered):
            yield Check("interfaces", name, "ok", version)
        else:
            yield Check("interfaces", name, "fail", f"{resource}.{version} is not there", f"Here: {remedy}.")
    gateway = cluster.get("/apis/gateway.networking.k8s.io/v1") is not None
    found = "gateway.networking.k8s.io/v1" if gateway else "not there; optional: without it there are no canaries"
    yield Check("interfaces", "Gateway API", "ok", found)
    for name, deployment, lowest, known in _VERSIONS:
        yield from _check_version(cluster, place, name, deployment=deployment, lowest=lowest, known=known)


def _check_version(
    cluster: Cluster, place: Place, name: str, *, deployment: str, lowest: tuple[int, int], known: str
) -> Iterator[Check]:
    namespace = place.kfp if deployment == "ml-pipeline" else "kserve"
    found = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
    where = f"{deployment} in {namespace}"
    if found is None:
        remedy = (
            "Install it, or name its namespace (KFP_NAMESPACE=…)." if namespace == place.kfp else "Look where it runs."
        )
        yield Check("interfaces", f"{name} running", "warn", f"there is no deployment {where}", remedy)
        return
    ready = found.get("status", {}).get("readyReplicas", 0)
    image = found["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]
    number = re.search(r"(\d+)\.(\d+)", image)
    if not ready:
        yield Check(
            "interfaces", f"{name} running", "fail", f"{where} is not ready", f"kubectl -n {namespace} get pods"
        )
    elif number and (int(number[1]), int(number[2])) < lowest:
        remedy = f"Update it: this is made and tested with {known}."
        yield Check("interfaces", f"{name} running", "warn", f"{where}, version {image}", remedy)
    else:
        yield Check("interfaces", f"{name} running", "ok", f"{where}, version {image}")


def _check_namespaces(cluster: Cluster, place: Place) -> Iterator[Check]:
    for name in dict.fromkeys((place.namespace, place.runs)):
        found = cluster.get(f"/api/v1/namespaces/{name}")
        if found is None:
            yield Check("namespaces", name, "fail", "is not there", f"{_APPLY}, or name another one: NAMESPACE=…")
            continue
        labels = found["metadata"].get("labels", {})
        if labels.get(_ENFORCE) == "restricted":
            yield Check("namespaces", name, "ok", "enforces the restricted profile")
        elif labels.get(_WARN) == "restricted":
            yield Check("namespaces", name, "ok", "warns of pods beyond the restricted profile")
        else:
            remedy = f"kubectl label namespace {name} {_WARN}=restricted (an own namespace: {_ENFORCE}=restricted)"
            yield Check("namespaces", name, "warn", "no label says which pods it takes", remedy)


def _check_configuration(cluster: Cluster, place: Place) -> Iterator[Check]:
    for namespace in dict.fromkeys((place.namespace, place.runs)):
        data = _config(cluster, namespace, STORE)
        missing = [key for key in ("AWS_ENDPOINT_URL", "FULLCIRCLE_BUCKET") if not (data or {}).get(key)]
        yield _present(
            "configuration",
            f"ConfigMap {STORE} in {namespace}",
            data,
            missing,
            found=(data or {}).get("AWS_ENDPOINT_URL", ""),
        )
    yield _check_launcher(_config(cluster, place.runs, LAUNCHER), place.runs)


def _check_launcher(data: Object | None, namespace: str) -> Check:
    name = f"ConfigMap {LAUNCHER}"
    if data is None:
        found = f"is missing in {namespace}: KFP then looks for the artifacts of runs at SeaweedFS"
        return Check("configuration", name, "fail", found, _APPLY)
    root = Root.parse(data.get("defaultPipelineRoot") or DEFAULT_ROOT)
    try:
        endpoint = yaml.safe_load(data.get("providers", ""))[root.scheme]["default"]["endpoint"]
    except (yaml.YAMLError, KeyError, TypeError):
        found = f"its `providers` name no endpoint for {root.scheme}://"
        return Check("configuration", name, "fail", found, f"Compare it with manifests/base/config-map.yaml; {_APPLY}")
    return Check("configuration", name, "ok", f"{root.scheme}://{root.bucket}/{root.prefix} at {endpoint}")


def _present(subject: str, name: str, data: Object | None, missing: Sequence[str], *, found: str) -> Check:
    if data is None:
        return Check(subject, name, "fail", "is missing", f"Make it: {_APPLY}")
    if missing:
        return Check(subject, name, "fail", f"has no {' and no '.join(missing)}", f"Add it; {_APPLY}")
    return Check(subject, name, "ok", found)


def _check_secrets(cluster: Cluster, place: Place) -> Iterator[Check]:
    wanted = (
        (place.runs, "fullcircle-stages", AWS_KEYS),
        (place.namespace, rights.SERVING, AWS_KEYS),
        (place.namespace, MONITORING, AWS_KEYS),
        (place.runs, "mlpipeline-minio-artifact", ("accesskey", "secretkey")),
    )
    own_store = cluster.get(f"/apis/apps/v1/namespaces/{place.namespace}/statefulsets/minio") is not None
    root = ((place.namespace, "minio-root", ("access_key", "secret_key")),) if own_store else ()
    for namespace, name, keys in (*wanted, *root):
        yield _check_secret(cluster, namespace, name, keys)
    yield from _check_annotations(cluster, place)


def _check_secret(cluster: Cluster, namespace: str, name: str, keys: Sequence[str]) -> Check:
    title = f"{name} in {namespace}"
    secret = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    if secret is None:
        return Check("secrets", title, "fail", "is missing", f"manifests/make-secrets {namespace}")
    empty = [key for key in keys if not base64.b64decode(secret.get("data", {}).get(key, "")).strip()]
    if empty:
        return Check("secrets", title, "fail", f"has no {' and no '.join(empty)}", "Delete it and make it again.")
    return Check("secrets", title, "ok", " and ".join(keys))


def _check_annotations(cluster: Cluster, place: Place) -> Iterator[Check]:
    """KServe reads from the secret's annotations where the store is."""
    secret = cluster.get(f"/api/v1/namespaces/{place.namespace}/secrets/{rights.SERVING}")
    store = _config(cluster, place.namespace, STORE)
    if secret is None or store is None:
        return
    address = urlsplit(store.get("AWS_ENDPOINT_URL", ""))
    wanted = {f"{_S3}endpoint": address.netloc, f"{_S3}usehttps": "1" if address.scheme == "https" else "0"}
    found = secret["metadata"].get("annotations", {})
    wrong = {key: value for key, value in wanted.items() if found.get(key) != value}
    name = f"{rights.SERVING} for KServe"
    if wrong:
        says = ", ".join(f"{key}={found.get(key, 'nothing')}" for key in wrong)
        values = " ".join(f"{key}={value}" for key, value in wrong.items())
        remedy = f"kubectl -n {place.namespace} annotate --overwrite secret {rights.SERVING} {values}"
        yield Check("secrets", name, "fail", f"its annotations say {says}", remedy)
    else:
        yield Check("secrets", name, "ok", f"its annotations name {address.netloc}")


def _check_accounts(cluster: Cluster, place: Place) -> Iterator[Check]:
    own = (rights.SERVING, MONITORING, rights.DECISIONS)
    for namespace, name in ((place.runs, rights.RUNS), *((place.namespace, name) for name in own)):
        account = cluster.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
        if account is None:
            yield Check("accounts", name, "fail", f"is missing in {namespace}", f"Make it: {_APPLY}")
            continue
        listed = [item["name"] for item in account.get("secrets") or []]
        if name == rights.SERVING and rights.SERVING not in listed:
            found = f"does not list the secret {rights.SERVING}: KServe finds no keys"
            yield Check("accounts", name, "fail", found, f"Apply it again: {_APPLY}")
            continue
        yield _check_rights(cluster, place, namespace, name)


def _check_rights(cluster: Cluster, place: Place, namespace: str, name: str) -> Check:
    may = _Reviewer(cluster, place.namespace, f"system:serviceaccount:{namespace}:{name}", namespace)
    lacking = [right for right in rights.NEEDED[name] if not may(right)]
    if lacking:
        found = f"may not {', '.join(map(str, lacking))} (for {_reasons(lacking)})"
        return Check("accounts", name, "fail", found, f"Roles and their bindings, subjects included: {_APPLY}")
    # KFP's own account has rights that KFP gave it; ours are to have none of these.
    beyond = [] if name == rights.RUNS else [right for right in rights.DANGEROUS if may(right)]
    if beyond:
        remedy = "Look for the binding: kubectl get rolebindings,clusterrolebindings -A -o wide"
        return Check("accounts", name, "warn", f"may {', '.join(map(str, beyond))}, which it does not need", remedy)
    count = len(rights.NEEDED[name])
    return Check(
        "accounts", name, "ok", f"has the {count} rights that it needs" if count else "has no rights, and needs none"
    )


def _reasons(lacking: Sequence[rights.Right]) -> str:
    return "; ".join(dict.fromkeys(right.why for right in lacking))


class _Reviewer:
    """Asks whether an account may do something in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, user: str, home: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._who = {
            "user": user,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated"],
        }

    def __call__(self, right: rights.Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        asked: Object = {"verb": right.verb, "group": right.group, "resource": resource, "namespace": self._namespace}
        asked |= {"subresource": subresource} if subresource else {}
        asked |= {"name": right.name} if right.name else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**self._who, "resourceAttributes": asked},
        }
        answer = self._cluster.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"].get("allowed"))


def _check_serving(cluster: Cluster, place: Place) -> Iterator[Check]:
    path = f"/apis/serving.kserve.io/v1alpha1/namespaces/{place.namespace}/servingruntimes/{RUNTIME}"
    runtime = cluster.get(path)
    if runtime is None:
        yield Check("serving", f"ServingRuntime {RUNTIME}", "fail", "is missing: no endpoint can start", _APPLY)
    elif runtime["spec"].get("disabled"):
        patch = '{"spec":{"disabled":false}}'
        remedy = f"kubectl -n {place.namespace} patch servingruntime {RUNTIME} --type merge -p '{patch}'"
        yield Check("serving", f"ServingRuntime {RUNTIME}", "fail", "is disabled", remedy)
    else:
        image = runtime["spec"]["containers"][0]["image"]
        yield Check("serving", f"ServingRuntime {RUNTIME}", "ok", image)
    yield from _check_storage_container(cluster, place)


def _check_storage_container(cluster: Cluster, place: Place) -> Iterator[Check]:
    container = cluster.get("/apis/serving.kserve.io/v1alpha1/clusterstoragecontainers/default")
    if container is None:
        return
    context = container["spec"]["container"].get("securityContext")
    namespace = cluster.get(f"/api/v1/namespaces/{place.namespace}") or {"metadata": {}}
    enforced = namespace["metadata"].get("labels", {}).get(_ENFORCE) == "restricted"
    name = "KServe's storage-initializer"
    if enforced and not context:
        remedy = (
            "kubectl patch clusterstoragecontainer default --type merge --patch-file "
            "manifests/components/storage-container/cluster-storage-container.yaml"
        )
        yield Check(
            "serving", name, "fail", f"has no security context, and {place.namespace} refuses such pods", remedy
        )
    else:
        yield Check("serving", name, "ok", "has a security context" if context else "needs no security context here")


def _check_monitoring(cluster: Cluster, place: Place) -> Iterator[Check]:
    found = cluster.get(f"/apis/batch/v1/namespaces/{place.namespace}/cronjobs/{MONITORING}")
    if found is None:
        yield Check("monitoring", f"CronJob {MONITORING}", "fail", "is missing: no drift report", _APPLY)
    elif found["spec"].get("suspend"):
        remedy = f'kubectl -n {place.namespace} patch cronjob {MONITORING} -p \'{{"spec":{{"suspend":false}}}}\''
        yield Check("monitoring", f"CronJob {MONITORING}", "warn", "is suspended: no report by itself", remedy)
    else:
        yield Check("monitoring", f"CronJob {MONITORING}", "ok", f"at {found['spec']['schedule']}")


def _check_storage(cluster: Cluster, place: Place) -> Iterator[Check]:
    store = cluster.get(f"/apis/apps/v1/namespaces/{place.namespace}/statefulsets/minio")
    if store is None:
        yield Check("storage", "MinIO", "ok", "not in this namespace: the store is elsewhere")
        return
    ready = store.get("status", {}).get("readyReplicas", 0)
    remedy = "" if ready else f"kubectl -n {place.namespace} describe pod minio-0"
    yield Check("storage", "MinIO", "ok" if ready else "fail", "ready" if ready else "is not ready", remedy)
    claim = cluster.get(f"/api/v1/namespaces/{place.namespace}/persistentvolumeclaims/data-minio-0")
    phase = (claim or {}).get("status", {}).get("phase", "is missing")
    classes = cluster.list("/apis/storage.k8s.io/v1/storageclasses")
    defaults = [item for item in classes if item["metadata"].get("annotations", {}).get(_STORAGE_DEFAULT) == "true"]
    yield _storage_class(claim, phase, [item["metadata"]["name"] for item in defaults])


def _storage_class(claim: Object | None, phase: str, defaults: Sequence[str]) -> Check:
    if phase == "Bound" and claim is not None:
        return Check("storage", "volume of MinIO", "ok", f"bound, {claim['status']['capacity']['storage']}")
    status: Status = "warn" if defaults else "fail"
    remedy = (
        "kubectl describe pvc data-minio-0 says what it waits for."
        if defaults
        else "Make a StorageClass the default one, or a PersistentVolume for the claim data-minio-0."
    )
    there = f"the default class is {defaults[0]}" if defaults else "no StorageClass is the default one"
    return Check("storage", "volume of MinIO", status, f"the claim data-minio-0: {phase.lower()}; {there}", remedy)


def _config(cluster: Cluster, namespace: str, name: str) -> dict[str, Any] | None:
    found = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    return None if found is None else found.get("data") or {}
