"""Whether Argo starts a failed task again as often as the pipeline says."""

from collections.abc import Iterator

import yaml

from components.shared.kubernetes.api import Cluster
from pipelines.cluster.checks import Check, Place

_CONFIG = "workflow-controller-configmap"
_PATCH = "manifests/components/argo-retries/workflow-controller-configmap.yaml"
_SUBJECT, _NAME = "retries", "failed tasks"
_ENOUGH = ("", "OnFailure", "Always")  # an empty policy is Argo's default, OnFailure


def check_retries(cluster: Cluster, place: Place) -> Iterator[Check]:
    """Check the default retry policy of Argo's controller, which holds for all tasks of Kubeflow Pipelines."""
    config = cluster.get(f"/api/v1/namespaces/{place.kfp}/configmaps/{_CONFIG}")
    if config is None:
        found = f"there is no ConfigMap {_CONFIG} in {place.kfp}"
        yield Check(_SUBJECT, _NAME, "warn", found, "Say where Kubeflow Pipelines is installed: KFP_NAMESPACE=…")
        return
    text = (config.get("data") or {}).get("workflowDefaults", "")
    try:
        policy = _policy(text)
    except (yaml.YAMLError, AttributeError):
        found = f"`workflowDefaults` of the ConfigMap {_CONFIG} is no YAML of a Workflow"
        yield Check(_SUBJECT, _NAME, "warn", found, f"Compare it with {_PATCH}.")
        return
    if policy in _ENOUGH:
        yield Check(_SUBJECT, _NAME, "ok", f"are started again as often as they say ({policy or 'OnFailure'})")
    else:
        remedy = f"kubectl -n {place.kfp} patch configmap {_CONFIG} --patch-file {_PATCH}"
        yield Check(_SUBJECT, _NAME, "warn", f"are never started again: the policy of all is {policy}", remedy)


def _policy(text: str) -> str:
    defaults = (yaml.safe_load(text) or {}).get("spec", {}).get("templateDefaults") or {}
    return str((defaults.get("retryStrategy") or {}).get("retryPolicy", ""))
