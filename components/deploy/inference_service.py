"""The InferenceService of a version: what is asked of KServe, built from its typed models.

What is built is plain values, as JSON has them, and so is what is read from a cluster: a cluster's KServe may be newer
than the models, and what it adds must survive being put back.

A fingerprint of all that a server depends on stands in a label, which KServe hands on to the pods: so a pod of this
version with these settings is distinguished from one of the version before.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from components.shared.agreed_names import SERVING, SERVING_SETTINGS, SHADOW_MODEL, SHADOW_URL
from components.shared.config import ResourcesConfig, ServingConfig
from components.shared.errors import DeployError, in_short
from components.shared.kubernetes.api import Object, plain

API_VERSION, KIND = "serving.kserve.io/v1beta1", "InferenceService"
MANAGER = "fullcircle"  # of server-side apply, and in the label that says who made an object
SHADOW_ROLE = "shadow"

MANAGED_BY = "app.kubernetes.io/managed-by"
OF_SERVICE = "serving.kserve.io/inferenceservice"  # KServe's own label of its pods
REVISION = "fullcircle/revision"
ROLE = "fullcircle/role"
MODEL = "app.kubernetes.io/instance"
MODEL_VERSION = "fullcircle/model-version"
RUN_ID = "fullcircle/run-id"
GIT_COMMIT = "fullcircle/git-commit"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"

_VISIBILITY = "networking.kserve.io/visibility"
_PARTS = ("isvc.", "-candidate", "-predictor")  # what KServe and we put around a name, in a label of 63 characters
_LONGEST = 63 - sum(map(len, _PARTS))


@dataclass(frozen=True, slots=True)
class Release:
    """What is deployed.

    Attributes:
        name: Name of the model.
        version: Its version.
        uri: Where its package is, `s3://bucket/prefix/`.
        git_commit: The code that trained it.
        run_id: The run that deploys it; empty when no run does.
    """

    name: str
    version: str
    uri: str
    git_commit: str = ""
    run_id: str = ""


def inference_service(release: Release, serving: ServingConfig, *, namespace: str) -> Object:
    """The InferenceService that serves a version.

    Args:
        release: What is deployed.
        serving: Settings of the servers, their number and resources.
        namespace: Where.
    """
    variables = {}
    if serving.shadow.percent:
        # By its name alone, which a pod's DNS looks for in its own namespace.
        candidate = shadow_name(release.name)
        variables[SHADOW_URL] = f"http://{candidate}-predictor/v1/models/{candidate}:predict"
    found = predictor(release, serving, variables)
    return _object(release, release.name, namespace, role="endpoint", predictor=found)


def candidate_service(release: Release, serving: ServingConfig, *, namespace: str) -> Object:
    """The InferenceService in which a version is proven: one server that nothing outside reaches and that logs nothing.

    Args:
        release: What is to be proven.
        serving: Settings of the servers.
        namespace: Where.
    """
    quiet = serving.log.model_copy(update={"enabled": False})
    serving = serving.for_candidate.model_copy(update={"log": quiet, "replicas": type(serving.replicas)()})
    found = predictor(release, serving)
    return _inside(_object(release, candidate_name(release.name), namespace, role="candidate", predictor=found))


def shadow_service(release: Release, serving: ServingConfig, *, namespace: str) -> Object:
    """The InferenceService of a candidate that is sent copies of requests: one server that nothing outside reaches.

    Args:
        release: The candidate.
        serving: Settings of the endpoint.
        namespace: Where.
    """
    serving = serving.for_candidate.model_copy(update={"replicas": type(serving.replicas)()})
    found = predictor(release, serving, {SHADOW_MODEL: release.name})
    return _inside(_object(release, shadow_name(release.name), namespace, role=SHADOW_ROLE, predictor=found))


def copies_requests(found: Object) -> bool:
    """Whether the servers of an InferenceService send copies of requests to a candidate."""
    variables = found["spec"]["predictor"]["model"].get("env") or []
    return any(variable["name"] == SHADOW_URL for variable in variables)


def candidate_name(name: str) -> str:
    """Name of a model's candidate in its dark launch."""
    return _name_beside(name, "candidate")


def shadow_name(name: str) -> str:
    """Name of a model's candidate that is sent copies of requests."""
    return _name_beside(name, "shadow")


def _name_beside(name: str, suffix: str) -> str:
    """A model's name with a suffix; a long one is cut, and made unique by a hash."""
    if len(name) <= _LONGEST:
        return f"{name}-{suffix}"
    return f"{name[: _LONGEST - 5].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:4]}-{suffix}"


def _inside(found: Object) -> Object:
    """The given InferenceService, changed so that it can be reached from inside the cluster only."""
    found["metadata"]["labels"][_VISIBILITY] = "cluster-local"
    return found


def predictor(release: Release, serving: ServingConfig, variables: Mapping[str, str] | None = None) -> Object:
    """The predictor of an InferenceService, by the runtime of our model format.

    Args:
        release: What it serves.
        serving: Settings of the servers, their number and resources.
        variables: What else is in the servers' environment.
    """
    from kserve import V1beta1ModelFormat, V1beta1ModelSpec, V1beta1PredictorSpec

    replicas = serving.replicas
    model = V1beta1ModelSpec(
        model_format=V1beta1ModelFormat(name="fullcircle", version="1"),
        protocol_version="v2",
        # It is a prefix: without the slash, `v1` would take `v10` too.
        storage_uri=f"{release.uri.rstrip('/')}/",
        env=[
            {"name": name, "value": value}
            for name, value in {SERVING_SETTINGS: serving.server_settings, **(variables or {})}.items()
        ],
        resources=_resources(serving.resources) or None,
    )
    found = plain(
        V1beta1PredictorSpec(
            min_replicas=replicas.minimum,
            max_replicas=max(replicas.minimum, replicas.maximum),
            service_account_name=SERVING,
            model=model,
        )
    )
    del found["model"]["name"]  # an empty one by the typed model; KServe names the container where there is none
    return found


def applicable(previous: Object) -> Object:
    """What to apply to put an InferenceService back as it was read: its spec, and our own labels and annotations.

    A canary is left out: there is one only while a deployment runs, or after a deployment was killed.
    """
    metadata = previous["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": _of_ours(metadata.get("labels")),
            "annotations": _of_ours(metadata.get("annotations")),
        },
        "spec": {key: value for key, value in previous["spec"].items() if key != "canary"},
    }


def same_revision(one: Object, other: Object) -> bool:
    """Whether two InferenceServices are the same version served in the same way."""
    return label(one, REVISION).partition("-")[0] == label(other, REVISION).partition("-")[0]


def with_revision_of(wanted: Object, before: Object) -> Object:
    """A copy of `wanted` with the revision and run id of what was applied before: applying it changes nothing."""
    found = copy.deepcopy(wanted)
    found["metadata"]["labels"][REVISION] = label(before, REVISION)
    found["metadata"]["annotations"][RUN_ID] = annotation(before, RUN_ID)
    return found


def with_new_revision(wanted: Object, before: Object) -> Object:
    """A copy of `wanted` with another revision than what was applied before, so that its servers are started anew."""
    found = copy.deepcopy(wanted)
    own = label(wanted, REVISION).partition("-")[0]
    found["metadata"]["labels"][REVISION] = f"{own}-{before['metadata']['generation']}"
    return found


def refuse_foreign(found: Object, doing: str) -> None:
    """Leave alone what others made.

    Raises:
        DeployError: The object has no label that says it is ours.
    """
    metadata = found["metadata"]
    if metadata.get("labels", {}).get(MANAGED_BY) != MANAGER:
        raise DeployError(
            f"The InferenceService {metadata['name']} in namespace {metadata['namespace']} was not made by Fullcircle "
            f"(it has no label {MANAGED_BY}={MANAGER}); it is not {doing}. Remove it yourself, give the model another "
            "name, or label it so to hand it over."
        )


def label(found: Object, name: str) -> str:
    """A label of an object; empty when it has none of that name."""
    return str((found["metadata"].get("labels") or {}).get(name, ""))


def annotation(found: Object, name: str) -> str:
    """An annotation of an object; empty when it has none of that name."""
    return str((found["metadata"].get("annotations") or {}).get(name, ""))


def minimum_replicas(found: Object) -> int:
    """How many servers an InferenceService asks for."""
    return int(found["spec"]["predictor"].get("minReplicas", 1))


def serving_of(found: Object) -> ServingConfig:
    """The settings with which an InferenceService of ours serves, for another version in its place.

    Raises:
        DeployError: They cannot be read.
    """
    predictor = found["spec"]["predictor"]
    try:
        settings = next(one["value"] for one in predictor["model"]["env"] if one["name"] == SERVING_SETTINGS)
        given = predictor["model"].get("resources") or {}
        requests, limits = given.get("requests") or {}, given.get("limits") or {}
        return ServingConfig.model_validate(
            {
                **json.loads(settings),
                "replicas": {"minimum": predictor.get("minReplicas", 1), "maximum": predictor.get("maxReplicas", 0)},
                "resources": {
                    "cpu": _cores(requests.get("cpu")),
                    "cpu_limit": _cores(limits.get("cpu")),
                    "memory": requests.get("memory"),
                    "memory_limit": limits.get("memory"),
                },
            }
        )
    except (StopIteration, LookupError, TypeError, ValueError) as error:
        raise DeployError(
            f"The settings of the InferenceService {found['metadata']['name']} cannot be read: {in_short(error)}. "
            "Deploy with a configuration instead."
        ) from error


def _cores(quantity: object) -> float | None:
    """Kubernetes' spelling of a number of cores, such as 0.5 or 500m."""
    if quantity is None:
        return None
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _object(release: Release, name: str, namespace: str, *, role: str, predictor: Object) -> Object:
    from kserve import V1beta1InferenceService

    spec = {"predictor": predictor}
    labels = {
        # KServe hands them on to the pods: a name of the model's here could be one that a policy selects.
        "app.kubernetes.io/name": "fullcircle-predictor",
        "app.kubernetes.io/component": "predictor",
        "app.kubernetes.io/part-of": "fullcircle",
        MANAGED_BY: MANAGER,
        MODEL: release.name,
        ROLE: role,
        REVISION: revision(release.version, spec),
    }
    annotations = {
        DEPLOYMENT_MODE: "Standard",
        MODEL_VERSION: release.version,
        RUN_ID: release.run_id,
        GIT_COMMIT: release.git_commit,
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
    return plain(V1beta1InferenceService(api_version=API_VERSION, kind=KIND, metadata=metadata, spec=spec))


def revision(version: str, spec: Object) -> str:
    """A fingerprint of a version and of how it is served, twelve hexadecimal digits."""
    return hashlib.sha256(json.dumps([version, spec], sort_keys=True).encode()).hexdigest()[:12]


def _resources(given: ResourcesConfig) -> Object:
    def listed(cpu: float | None, memory: str | None) -> Object:
        return {name: value for name, value in (("cpu", f"{cpu:g}" if cpu else None), ("memory", memory)) if value}

    found = {"requests": listed(given.cpu, given.memory), "limits": listed(given.cpu_limit, given.memory_limit)}
    return {kind: values for kind, values in found.items() if values}


def _of_ours(given: dict[str, str] | None) -> dict[str, str]:
    ours = ("app.kubernetes.io/", "fullcircle/", DEPLOYMENT_MODE, _VISIBILITY)
    return {name: value for name, value in (given or {}).items() if name.startswith(ours)}
