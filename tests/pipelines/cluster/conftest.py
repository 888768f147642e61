"""A Kubeflow Pipelines and a cluster that answer over HTTP."""

import base64
import json
from collections.abc import Iterator

import pytest

from tests.pipelines.api_server import ApiServer, answering
from tests.pipelines.kfp_server import Server, serving


@pytest.fixture
def kfp() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def cluster(tmp_path, store) -> Iterator[tuple[ApiServer, dict[str, str]]]:
    """A cluster whose launcher keeps artifacts in a store that is reached without it."""
    with answering(tmp_path) as (server, kubeconfig):
        provider = {
            "endpoint": store.settings.endpoint.removeprefix("http://"),
            "disableSSL": True,
            "credentials": {"secretRef": {"secretName": "keys", "accessKeyKey": "a", "secretKeyKey": "s"}},
        }
        root = f"minio://{store.settings.bucket}/v2/artifacts"
        data = {"defaultPipelineRoot": root, "providers": json.dumps({"minio": {"default": provider}})}
        metadata = {"name": "kfp-launcher"}
        server.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, "kubeflow")
        keys = {"a": store.settings.access_key, "s": store.settings.secret_key}
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": encoded}
        server.add(secret, "kubeflow")
        yield server, {"KUBECONFIG": str(kubeconfig)}
