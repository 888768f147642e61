"""A candidate beside the endpoint of a cluster: an InferenceService of its own that nothing outside reaches.

The servers that serve know its address from the start, for its name follows from the model's; they look there every
two seconds, so that nothing of them changes when a candidate comes or goes.
"""

from pathlib import Path

from components.deploy.cluster_proof import prove
from components.deploy.inference_service import (
    MODEL_VERSION,
    SHADOW_ROLE,
    Release,
    annotation,
    refuse_foreign,
    shadow_name,
    shadow_service,
)
from components.deploy.readiness import wait_until_ready
from components.deploy.removing import remove_all
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import ServingConfig


class ClusterShadow:
    """The candidate of one model's endpoint on a cluster.

    Args:
        namespace: The namespace it is in.
        name: Name of the model.
    """

    def __init__(self, namespace: ServingNamespace, name: str) -> None:
        self.namespace = namespace
        self.name = name

    def version(self) -> str:
        """The candidate's version; empty when there is no candidate.

        Raises:
            DeployError: Somebody else made an InferenceService of the candidate's name.
        """
        found = self.namespace.get(shadow_name(self.name))
        if found is None:
            return ""
        refuse_foreign(found, "changed")
        return annotation(found, MODEL_VERSION)

    def start(self, release: Release, package: Path, serving: ServingConfig) -> str:
        """Bring a candidate up and prove it; another one that is there gives way.

        Args:
            release: The candidate.
            package: Its package, fetched and verified.
            serving: Settings of the endpoint.

        Returns:
            Name of its InferenceService.

        Raises:
            DeployError: It did not become ready or answered wrongly; then there is none.
        """
        self.version()
        wanted = shadow_service(release, serving, namespace=self.namespace.name)
        try:
            service = self.namespace.apply(wanted)
            wait_until_ready(self.namespace, service, seconds=serving.start_seconds + serving.pull_seconds)
            prove(self.namespace, service, package, version=release.version, serving=serving)
        except BaseException:
            self.end()
            raise
        return str(wanted["metadata"]["name"])

    def end(self, version: str = "") -> str:
        """Remove the candidate.

        Args:
            version: Only this one; empty for whichever is there.

        Returns:
            The version that was removed; empty when none was.

        Raises:
            DeployError: It does not go, or was made by others.
        """
        found = self.version()
        if version and found != version:
            return ""
        remove_all(self.namespace, self.name, SHADOW_ROLE)
        return found
