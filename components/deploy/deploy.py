"""Deploying a version: fetch it, bring it up, prove it, or put back what was there."""

import os
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from components.deploy.cluster import Cluster
from components.deploy.cluster_endpoint import ClusterEndpoint
from components.deploy.deployed import Deployed
from components.deploy.inference_service import Release
from components.deploy.local_endpoint import LocalEndpoint
from components.shared.champion import Champion, move_champion, read_champion, withdraw_champion
from components.shared.config import ServingConfig
from components.shared.errors import DeployError, FullcircleError
from components.shared.model_package import verify, version_prefix
from components.shared.processes import stoppable
from components.shared.store import Store

FOLDER_VARIABLE = "FULLCIRCLE_SERVING_FOLDER"
RUN_VARIABLE = "KFP_RUN_ID"


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
    store = Store.connect()
    if folder := os.environ.get(FOLDER_VARIABLE):
        return _deploy_here(store, name, version, serving, endpoint=LocalEndpoint(Path(folder), name))
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
    endpoint: ClusterEndpoint | None = None
    try:
        with stoppable(), tempfile.TemporaryDirectory(prefix="fullcircle-deploy-") as folder:
            endpoint = ClusterEndpoint(Cluster.connect(namespace), name)
            package = fetch(store, name, version, Path(folder))
            return endpoint.deploy(_release(store, package), package, serving)
    except BaseException as error:
        if not _serves_on_cluster(endpoint, version):
            _restore_after(error, store, name, version)
        raise


def _release(store: Store, package: Path) -> Release:
    manifest = verify(package)
    return Release(
        name=manifest.name,
        version=manifest.version,
        uri=store.uri(version_prefix(manifest.name, manifest.version)),
        git_commit=manifest.git_commit,
        run_id=os.environ.get(RUN_VARIABLE, ""),
    )


def _serves_on_cluster(endpoint: ClusterEndpoint | None, version: str) -> bool:
    """Whether the endpoint is to serve a version nevertheless; when nobody can tell, it is not said to."""
    if endpoint is None:
        return False
    with suppress(FullcircleError):
        return endpoint.running() == version
    return False


def fetch(store: Store, name: str, version: str, versions: Path) -> Path:
    """Bring a version's package here, unless it is here intact, and verify it.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version's id.
        versions: Folder of the packages here; a folder named by the version is made in it.

    Raises:
        PackageError: What the store holds is altered or incomplete.
        StoreError: The object store cannot be reached or has no such version.
    """
    package = versions / version
    if package.exists():
        try:
            verify(package, version=version)
        except FullcircleError:
            shutil.rmtree(package)
        else:
            return package
    partial = versions / f".{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a deployment that was killed
    try:
        store.get_folder(version_prefix(name, version), partial)
        verify(partial, version=version)
        partial.replace(package)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return package


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
