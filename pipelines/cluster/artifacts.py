"""The artifacts of a run on a cluster, brought here: what a summary and its pages need, and no more.

A run on a cluster leaves its pages in a bucket that a laptop often cannot reach, under keys nobody remembers. The
summary has to look as that of a local run does, so its artifacts are found by the table of stages and brought here, by
a port-forward if need be. Whole model packages stay there: of a folder only the files that a summary needs are fetched.
When that fails, the run is no less a success, so the reason is returned and not raised.
"""

import base64
import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from components.shared.errors import DeployError, FullcircleError, StoreError, UnreachableError
from components.shared.kubernetes.api import Cluster
from components.shared.kubernetes.forwarding import forwarded
from components.shared.stages import STAGES
from components.shared.store import ObjectInfo, Store, StoreSettings
from pipelines.fusing import own_names

# By stage and artifact; of a folder only the files that are named, where only those are needed.
WANTED: dict[tuple[str, str], frozenset[str]] = {
    (stage.name, name): files
    for stage in STAGES
    for name, files in [*((page.artifact, frozenset()) for page in stage.pages), *stage.brought]
}
# Inputs of the gate by their names there, with the stage and artifact of each. A cached stage's artifacts lie where an
# earlier run has put them; the gate is never cached, so the inputs of its pod say where that is.
GIVEN_TO_THE_GATE = {"model": ("train", "model"), "evaluated": ("evaluate", "evaluate_report")}
DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"

_LAUNCHER = "/api/v1/namespaces/{namespace}/configmaps/kfp-launcher"


class UnreachableArtifactsError(FullcircleError):
    """The artifacts of runs cannot be reached from here."""


@dataclass(frozen=True, slots=True)
class Root:
    """Where artifacts of runs are: the scheme names a provider of the launcher's configuration."""

    scheme: str
    bucket: str
    prefix: str

    # Example: `minio://mlpipeline/v2/artifacts?endpoint=…` is the bucket mlpipeline and the prefix v2/artifacts.
    @classmethod
    def parse(cls, uri: str) -> "Root":
        """Read a pipeline root such as `minio://mlpipeline/v2/artifacts?endpoint=…`."""
        parts = urlsplit(uri)
        return cls(parts.scheme, parts.netloc, parts.path.strip("/"))


@contextlib.contextmanager
def artifact_store(cluster: Cluster | None, namespace: str, *, pipeline_root: str = "") -> Iterator[tuple[Store, Root]]:
    """The store of runs' artifacts: that of the environment, or the one that the launcher of a namespace uses.

    Args:
        cluster: The cluster; None when there is no way to it.
        namespace: Of the runs.
        pipeline_root: The run's own root; empty for the namespace's.

    Raises:
        UnreachableArtifactsError: Nothing says where it is or how to sign in, or it cannot be reached from here.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        root = Root.parse(pipeline_root or DEFAULT_ROOT)
        yield Store(_in(root, StoreSettings.from_environment())), root
        return
    if cluster is None:
        raise UnreachableArtifactsError("neither a cluster nor AWS_ENDPOINT_URL is named")
    config = (cluster.get(_LAUNCHER.format(namespace=namespace)) or {}).get("data", {})
    root = Root.parse(pipeline_root or config.get("defaultPipelineRoot") or DEFAULT_ROOT)
    provider = (yaml.safe_load(config.get("providers", "")) or {}).get(root.scheme, {}).get("default", {})
    if not provider.get("endpoint"):
        raise UnreachableArtifactsError(
            f"the ConfigMap kfp-launcher of {namespace} names no endpoint for {root.scheme}://"
        )
    keys = _keys(cluster, namespace, provider)
    with _reachable(cluster, provider) as endpoint:
        settings = StoreSettings(endpoint, *keys, region=provider.get("region") or "us-east-1")
        yield Store(_in(root, settings)), root


def _in(root: Root, settings: StoreSettings) -> StoreSettings:
    from dataclasses import replace

    return replace(settings, bucket=root.bucket)


def _keys(cluster: Cluster, namespace: str, provider: dict[str, Any]) -> tuple[str, str]:
    reference = provider.get("credentials", {}).get("secretRef", {})
    secret = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{reference.get('secretName', '')}")
    data = (secret or {}).get("data", {})
    try:
        access, hidden = (data[reference[key]] for key in ("accessKeyKey", "secretKeyKey"))
    except KeyError as error:
        raise UnreachableArtifactsError(
            f"the secret {reference.get('secretName')} of {namespace} has no {error}"
        ) from error
    return base64.b64decode(access).decode(), base64.b64decode(hidden).decode()


@contextlib.contextmanager
def _reachable(cluster: Cluster, provider: dict[str, Any]) -> Iterator[str]:
    """Yield an address of the store that this process can reach; outside the cluster a port-forward to its Service."""
    host, _, port = str(provider["endpoint"]).partition(":")
    scheme = "http" if str(provider.get("disableSSL", False)).lower() == "true" else "https"
    service, _, rest = host.partition(".")
    namespace = rest.partition(".")[0]
    direct = f"{scheme}://{provider['endpoint']}"
    inside = "KUBERNETES_SERVICE_HOST" in os.environ
    if inside or not namespace or cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}") is None:
        yield direct
        return
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(forwarded(namespace, service, int(port or 80)))
        except (DeployError, UnreachableError) as error:
            raise UnreachableArtifactsError(str(error)) from error
        yield f"{scheme}://{urlsplit(address).netloc}"


def fetch_artifacts(
    store: Store, prefix: str, folder: Path, *, given: Mapping[str, str] | None = None
) -> dict[str, dict[str, Path]]:
    """Download what a summary needs of the artifacts of one run.

    Args:
        store: The bucket of artifacts.
        prefix: What the keys of the run begin with; below are task, a name of the attempt, and artifact.
        folder: Where to.
        given: Where the artifacts are that the gate was given, by their names there.

    Returns:
        By stage and name, where the artifacts are.
    """
    found: dict[str, dict[str, Path]] = {}
    every = _by_output(store.list(f"{prefix}/"), prefix=f"{prefix}/")
    for (stage, name), files in WANTED.items():
        target = folder / stage / name
        for inside, item in _newest(every.get((stage, name), [])).items():
            if not files or inside in files:
                store.get_file(item.key, target / inside if inside else target)
                found.setdefault(stage, {})[name] = target
    for key, uri in (given or {}).items():
        stage, name = GIVEN_TO_THE_GATE.get(key, ("", ""))
        if stage and name not in found.get(stage, {}):
            _fetch_folder(store, uri, folder / stage / name, files=WANTED[stage, name])
            found.setdefault(stage, {})[name] = folder / stage / name
    report = found.get("evaluate", {}).get("evaluate_report")
    if report and (report / "card.html").is_file():
        found["evaluate"].setdefault("card", report / "card.html")
    return found


def _fetch_folder(store: Store, uri: str, folder: Path, *, files: frozenset[str]) -> None:
    """Download a folder artifact, or some of its files, from where its URI says."""
    parts = urlsplit(uri)
    prefix = f"{parts.path.strip('/')}/"
    own = store.for_bucket(parts.netloc)
    for item in own.list(prefix):
        inside = item.key.removeprefix(prefix)
        if not files or inside in files:
            own.get_file(item.key, folder / inside)


@dataclass(frozen=True, slots=True)
class _Stored:
    """An object of an artifact: which attempt of its task has put it there, its path in the artifact, and itself."""

    attempt: str
    inside: str
    item: ObjectInfo


# Example: `train/8f2c/model/golden.json`, below the run's prefix, is `golden.json` in the artifact `model` of the stage
# `train`, as the attempt 8f2c wrote it.
def _by_output(objects: Iterable[ObjectInfo], *, prefix: str) -> dict[tuple[str, str], list[_Stored]]:
    """The objects of a run by stage and artifact; keys are task, attempt, artifact, and a path in it if it is a folder.

    A task of several stages has all their artifacts, and its name says which stages they are.
    """
    found: dict[tuple[str, str], list[_Stored]] = defaultdict(list)
    for item in objects:
        task, attempt, artifact, inside = (*item.key.removeprefix(prefix).split("/", 3), "", "", "")[:4]
        stage, name = own_names(task).get(artifact, (task, artifact))
        found[stage, name].append(_Stored(attempt, inside, item))
    return found


def _newest(stored: Sequence[_Stored]) -> dict[str, ObjectInfo]:
    """The objects of the newest attempt's artifact, by path inside it; an artifact that is a file has the path ''."""
    attempts: dict[str, dict[str, ObjectInfo]] = defaultdict(dict)
    for one in stored:
        attempts[one.attempt][one.inside] = one.item
    return max(attempts.values(), key=lambda found: max(item.modified for item in found.values()), default={})


def bring(
    cluster: Cluster | None,
    namespace: str,
    folder: Path,
    *,
    pipeline: str,
    run_id: str,
    pipeline_root: str = "",
    given: Mapping[str, str] | None = None,
) -> tuple[dict[str, dict[str, Path]], str]:
    """Bring here what a summary needs; `given` is as `fetch_artifacts` takes it.

    Returns:
        Artifacts by stage and name, and why there are none; one of both is empty.
    """
    try:
        with artifact_store(cluster, namespace, pipeline_root=pipeline_root) as (store, root):
            prefix = "/".join(part for part in (root.prefix, pipeline, run_id) if part)
            found = fetch_artifacts(store, prefix, folder, given=given)
            return found, "" if found else f"{store.uri(prefix)}/ holds none"
    except (UnreachableArtifactsError, StoreError) as error:
        return {}, str(error)
    except FullcircleError as error:
        return {}, f"the cluster did not say where they are: {error}"
