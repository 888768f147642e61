"""Deploying on a cluster: the package, the latest logged requests and the InferenceService brought together.

`cluster_endpoint` knows InferenceServices and no store. It gets from here what only the store has: the package, the
champion that is put back after a failure, and the rehearsal on logged requests. The comparison with the version that
serves is information for people: where it cannot be made, the deployment goes on and says why.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from components.deploy.cluster_endpoint import ClusterEndpoint, Rehearsal
from components.deploy.cluster_shadow import ClusterShadow
from components.deploy.comparison import Comparison
from components.deploy.dark_launch import DarkLaunch, compared, prove
from components.deploy.deployed import Deployed
from components.deploy.fetching import fetch, stored_manifest
from components.deploy.inference_service import Release
from components.deploy.logged_requests import LoggedRequests, newest_requests
from components.deploy.promotion import Promotion
from components.deploy.restoring import Outcome
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import ServingConfig
from components.shared.errors import PackageError, StoreError, in_short
from components.shared.inference_log.access import log_store
from components.shared.package.model_package import Manifest, read_golden, verify, version_prefix
from components.shared.package.proof import proof_token
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.registry.history import this_run
from components.shared.registry.registry import Registry
from components.shared.store import Store


def deploy_on_cluster(registry: Registry, promotion: Promotion, serving: ServingConfig, *, namespace: str) -> Deployed:
    """Serve a version of a model from the cluster, and make it the champion.

    Args:
        registry: Of the model.
        promotion: The version, and what its deployment is to come to.
        serving: Settings of the endpoint and of how it is brought up.
        namespace: Of the endpoint; empty for that of this pod, or of the kubeconfig's context.

    Raises:
        DeployError: There is no cluster, or the version did not come up or answered wrongly; the version before serves.
        PackageError: What the store contains is altered or incomplete.
        StoreError: The object store cannot be reached or has no such version.
    """
    store, name = registry.store, registry.name
    place = ServingNamespace.connect(namespace)
    endpoint = ClusterEndpoint(place, name)
    with tempfile.TemporaryDirectory(prefix="fullcircle-deploy-") as folder:
        package = fetch(store, name, promotion.version, Path(folder))
        deployed = endpoint.deploy(
            release_of(store, verify(package)),
            package,
            serving,
            rehearsal=_rehearsal(store, name, package, serving),
            outcome=Outcome(promotion.check, promotion.complete, lambda: _champion(registry)),
        )
    ClusterShadow(place, name).end(promotion.version)  # it serves now
    return deployed.model_copy(update={"promoted": promotion.moves})


def _champion(registry: Registry) -> Release | None:
    """The champion as it is now, to be put back; None when there is none.

    Raises:
        PackageError: It has no manifest, or one that cannot be read.
        StoreError: The store cannot be reached.
    """
    champion = registry.champion()
    if champion is None:
        return None
    return release_of(registry.store, stored_manifest(registry.store, registry.name, champion.version))


def _rehearsal(store: Store, name: str, package: Path, serving: ServingConfig) -> Rehearsal:
    """Make the candidate's rehearsal: it answers the latest logged requests and is compared with what serves now."""
    version = verify(package).version

    def prepare(serving_now: str) -> Callable[[str], DarkLaunch]:
        scorer = Scorer.load(package, version=version)
        logged = _logged(store, name, scorer.schema, serving)
        other = serving_now if serving_now != version else ""

        def rehearse(url: str) -> DarkLaunch:
            figures = prove(url, logged, scorer, serving.dark_launch, proof=proof_token(package))
            comparison, words = _compared(store, name, other, package, logged=logged, scorer=scorer)
            return DarkLaunch(
                ran=True,
                version=version,
                requests=len(logged.requests),
                rows=sum(map(len, logged.requests)),
                latency_ms=figures,
                comparison=comparison,
                compared=words,
                remarks=logged.remarks,
            )

        return rehearse

    return prepare


def _compared(
    store: Store, name: str, other: str, package: Path, *, logged: LoggedRequests, scorer: Scorer
) -> tuple[Comparison | None, str]:
    """Compare the candidate's answers with those of `other`, the version that serves; None where nothing serves."""
    if not other:
        return None, ""
    try:
        before = Scorer.load(fetch(store, name, other, package.parent), version=other)
        return compared(logged, read_golden(package), before, scorer)
    except (PackageError, StoreError) as error:
        return None, f"not compared: {in_short(error)}"


def _logged(store: Store, name: str, schema: Schema, serving: ServingConfig) -> LoggedRequests:
    settings = serving.dark_launch
    if not settings.requests:
        return LoggedRequests([], ("no logged requests were asked: serving.dark_launch.requests is 0",))
    largest = min(serving.rows, settings.rows)
    found = newest_requests(
        log_store(store), name, schema, requests=settings.requests, rows=settings.rows, largest=largest
    )
    if found.requests:
        return found
    return LoggedRequests([], (*found.remarks, "no logged requests were asked: the inference log has none yet"))


def release_of(store: Store, manifest: Manifest) -> Release:
    """What is deployed, of a version in the store."""
    return Release(
        name=manifest.name,
        version=manifest.version,
        uri=store.uri(version_prefix(manifest.name, manifest.version)),
        git_commit=manifest.git_commit,
        run_id=this_run(),
    )
