"""Deploying a version: fetch it, bring it up, prove it, or put back what was there."""

import os
from datetime import UTC, datetime
from pathlib import Path

from components.deploy.deployed import Deployed
from components.deploy.fetching import fetch
from components.deploy.local_endpoint import LocalEndpoint
from components.shared.config import ServingConfig
from components.shared.errors import DeployError, FullcircleError
from components.shared.processes import stoppable
from components.shared.registry.champion import Champion, move_champion, read_champion, withdraw_champion
from components.shared.store import Store

FOLDER_VARIABLE = "FULLCIRCLE_SERVING_FOLDER"


def deploy_version(name: str, version: str, serving: ServingConfig, *, namespace: str = "") -> Deployed:
    """Serve a version of a model: from this machine where FULLCIRCLE_SERVING_FOLDER is set, else on the cluster.

    Args:
        name: Name of the model and of the endpoint.
        version: A version in the object store.
        serving: Settings of the endpoint and of how it is brought up.
        namespace: Of the endpoint on a cluster; empty for that of this pod, or of the kubeconfig's context.

    Returns:
        Where it answers.

    Raises:
        DeployError: There is nowhere to deploy, or the version did not come up or answered its golden requests wrongly;
            the version before serves on, and is the champion again.
        PackageError: What the store holds is altered or incomplete; with the same consequences.
        StoreError: The object store cannot be reached or has no such version.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    return deploy_on(
        Store.connect(), name, version, serving, folder=Path(folder) if folder else None, namespace=namespace
    )


def deploy_on(
    store: Store, name: str, version: str, serving: ServingConfig, *, folder: Path | None, namespace: str
) -> Deployed:
    """The same, with the place said: a folder of this machine's endpoints, or None for the cluster."""
    if folder is not None:
        return _deploy_here(store, name, version, serving, endpoint=LocalEndpoint(folder, name))
    return _deploy_on_cluster(store, name, version, serving, namespace=namespace)


def _deploy_here(store: Store, name: str, version: str, serving: ServingConfig, *, endpoint: LocalEndpoint) -> Deployed:
    try:
        with stoppable(), endpoint.locked():
            package = fetch(store, name, version, endpoint.versions)
            return endpoint.deploy(version, package, serving)
    except BaseException as error:  # stopped halfway, the version does not serve either
        serving_now = endpoint.running()
        if serving_now is None or serving_now.version != version:
            _restore_after(error, store, name, version)
        raise


def _deploy_on_cluster(store: Store, name: str, version: str, serving: ServingConfig, *, namespace: str) -> Deployed:
    from components.deploy.cluster_deployment import deploy_on_cluster, is_asked_for

    try:
        with stoppable():
            return deploy_on_cluster(store, name, version, serving, namespace=namespace)
    except BaseException as error:
        if not is_asked_for(name, version, namespace=namespace):
            _restore_after(error, store, name, version)
        raise


def restore_champion(store: Store, name: str, failed: str) -> None:
    """Point back at the version that serves, if the failed one is still the champion.

    Raises:
        PackageError: The pointer is damaged.
        StoreError: The object store cannot be reached.
    """
    current = read_champion(store, name)
    if current is None or current.version != failed:
        return
    if current.previous is None:
        withdraw_champion(store, name, expected=current)
        return
    pointer = Champion(version=current.previous, moved=datetime.now(UTC).isoformat(timespec="seconds"))
    move_champion(store, name, pointer, expected=current)


def _restore_after(error: BaseException, store: Store, name: str, version: str) -> None:
    try:
        restore_champion(store, name, version)
    except FullcircleError as second:
        if isinstance(error, FullcircleError):
            raise DeployError(
                f"{error}\nAnd version {version} is still the champion, though it does not serve: {second}"
            ) from error
