"""Deploying a version: fetch it, bring it up, prove it, make it the champion; or put back what was there.

First the version serves and is proven. Moving the champion pointer is the last act. If anything fails before that, the
endpoint serves the champion again and the pointer was never touched.

A deployment that is killed before its last act leaves the old champion as champion, though the endpoint may serve the
new version. The next deployment or roll-back puts that right: a deployment that fails puts back the champion and not
what it found at the endpoint, and a roll-back from a version that is not the champion goes to the champion. A
deployment that is killed after its last act leaves a champion that serves.
"""

import os
from pathlib import Path

from components.deploy.deployed import Deployed
from components.deploy.fetching import fetch
from components.deploy.local_endpoint import LocalEndpoint
from components.deploy.promotion import Begin, of_verdict
from components.shared.config import ServingConfig
from components.shared.processes import stoppable
from components.shared.registry.judgement import Judgement
from components.shared.registry.registry import Registry
from components.shared.store import Store

FOLDER_VARIABLE = "FULLCIRCLE_SERVING_FOLDER"


def deploy_version(name: str, version: str, serving: ServingConfig, *, verdict: Path, namespace: str = "") -> Deployed:
    """Serve a version of a model: from this machine where FULLCIRCLE_SERVING_FOLDER is set, else on the cluster.

    Args:
        name: Name of the model and of the endpoint.
        version: A version in the object store.
        serving: Settings of the endpoint and of how it is brought up.
        verdict: The gate's verdict, JSON; what it compared with must still be the champion.
        namespace: Of the endpoint on a cluster; empty for that of this pod, or of the kubeconfig's context.

    Returns:
        Where it answers.

    Raises:
        DeployError: There is nowhere to deploy, or the version did not come up or answered its golden requests wrongly;
            the version before serves on, and is still the champion.
        PackageError: What the store contains is altered or incomplete, or another run moved the champion since the gate
            compared; with the same consequences.
        StoreError: The object store cannot be reached or has no such version.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    begin = of_verdict(version, Judgement.read(verdict, version))
    store = Store.connect()
    return deploy_on(store, name, serving, begin=begin, folder=Path(folder) if folder else None, namespace=namespace)


def deploy_on(
    store: Store, name: str, serving: ServingConfig, *, begin: Begin, folder: Path | None, namespace: str
) -> Deployed:
    """Deploy what a promotion is for, at the place that is named.

    Args:
        store: The object store.
        name: Name of the model and of the endpoint.
        serving: Settings of the endpoint and of how it is brought up.
        begin: Says what is deployed, and what it is to come to in the registry.
        folder: Folder of this machine's endpoints, or None for the cluster.
        namespace: Of the endpoint on a cluster.
    """
    registry = Registry(store, name)
    if folder is not None:
        return _deploy_here(registry, serving, begin, endpoint=LocalEndpoint(folder, name))
    from components.deploy.cluster_deployment import deploy_on_cluster

    with stoppable():
        return deploy_on_cluster(registry, begin(registry), serving, namespace=namespace)


def _deploy_here(registry: Registry, serving: ServingConfig, begin: Begin, *, endpoint: LocalEndpoint) -> Deployed:
    with stoppable(), endpoint.locked():
        promotion = begin(registry)
        package = fetch(registry.store, registry.name, promotion.version, endpoint.versions)
        deployed = endpoint.deploy(
            promotion.version, package, serving, champion=promotion.champion, promote=promotion.complete
        )
    return deployed.model_copy(update={"promoted": promotion.moves})
