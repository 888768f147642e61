"""The endpoint on a cluster: an InferenceService of KServe that is proven, or is again what it was.

The order is what makes a failure harmless. A version is first proven in an InferenceService of its own, which nobody
asks; only then does the endpoint change, by way of a canary where one is asked for; the registry's champion moves last.
Until then a failure puts the champion back. After that nothing is undone or interrupted, or the endpoint would serve
another version than the registry names. A version that serves already is only asked its golden requests again.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from components.deploy.address import endpoint_url, pod_addresses
from components.deploy.canary import CanaryReport, canary_service, watch
from components.deploy.cluster_proof import SETTLE_SECONDS, prove, reachable_url, retry_unreachable
from components.deploy.dark_launch import DarkLaunch
from components.deploy.deployed import Deployed
from components.deploy.diagnosis import pod_problems, problem_text
from components.deploy.inference_service import (
    MODEL_VERSION,
    REVISION,
    SHADOW_ROLE,
    Release,
    annotation,
    candidate_service,
    inference_service,
    label,
    refuse_foreign,
    same_revision,
    with_new_revision,
    with_revision_of,
)
from components.deploy.readiness import wait_until_ready
from components.deploy.removing import remove_all
from components.deploy.replay import golden_answers
from components.deploy.restoring import Outcome, restore_on_failure
from components.deploy.rollout import canary_progress, progress
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import ServingConfig
from components.shared.errors import (
    DeployError,
    UnreachableError,
    WrongAnswerError,
)
from components.shared.kubernetes.api import Object
from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden
from components.shared.package.proof import proof_token
from components.shared.processes import uninterrupted

# The proof of a candidate beyond its golden requests. It is called with the version that serves now (empty for none)
# and returns a function that proves the candidate at its V1 prediction URL.
Rehearsal = Callable[[str], Callable[[str], DarkLaunch]]


class ClusterEndpoint:
    """One model's endpoint on a cluster.

    Args:
        namespace: The namespace it is in.
        name: Name of the model.
    """

    def __init__(self, namespace: ServingNamespace, name: str) -> None:
        self.namespace = namespace
        self.name = name

    def deploy(
        self, release: Release, package: Path, serving: ServingConfig, *, rehearsal: Rehearsal, outcome: Outcome
    ) -> Deployed:
        """Serve a version, proven by its golden requests, and before anybody asks it by a dark launch.

        Args:
            release: What is deployed.
            package: Its package, fetched and verified.
            serving: Settings of servers and rollout.
            rehearsal: What a candidate has to do besides its golden requests.
            outcome: What it is to come to in the registry, as the last act.

        Raises:
            DeployError: The version did not become ready or answered wrongly; what is champion then is put back.
        """
        start = time.monotonic()
        before = self._before()
        wanted = inference_service(release, serving, namespace=self.namespace.name)
        unchanged = False
        if before and same_revision(before, wanted):
            unchanged = self._serves(before, wanted, package, serving)
            wanted = with_revision_of(wanted, before) if unchanged else with_new_revision(wanted, before)
        if not unchanged:
            self._remove_candidates()
        found: dict[str, Any] = {}
        # Once the champion has moved, no interruption may reach `restore_on_failure`: it would undo the deployment.
        with (
            ExitStack() as last_act,
            restore_on_failure(self.namespace, self.name, before, wanted, release.version, outcome) as attempt,
        ):
            if not unchanged:
                found["dark_launch"] = self._dark_launch(release, package, serving, rehearsal=rehearsal, before=before)
                attempt.what = "does not serve"
                outcome.check()
                found |= self._roll_out(before, wanted, package, serving=serving)
            last_act.enter_context(uninterrupted())
            outcome.complete()
        deployed = self._deployed(release, len(read_golden(package)), before=before)
        if unchanged:
            return deployed
        return deployed.model_copy(update={"restarted": True, "seconds": round(time.monotonic() - start, 3), **found})

    def _roll_out(
        self, before: Object | None, wanted: Object, package: Path, *, serving: ServingConfig
    ) -> dict[str, Any]:
        """Give a version the requests, by way of a canary where that is asked for, and prove that it answers them.

        Returns:
            Facts about it for the result, by the names that `Deployed` has for it.
        """
        canary, remarks = self._canary(before, wanted, package, serving=serving)
        applied = time.monotonic()
        service = self.namespace.apply(wanted)
        wait_until_ready(self.namespace, service, seconds=serving.start_seconds + serving.pull_seconds)
        ready = time.monotonic() - applied
        prove(self.namespace, service, package, version=annotation(wanted, MODEL_VERSION), serving=serving)
        return {
            "rollout": "canary" if canary else "rolling" if before else "first",
            "ready_seconds": round(ready, 3),
            "canary": canary,
            "remarks": remarks,
        }

    def remove(self) -> str:
        """Remove the endpoint.

        Returns:
            The version that it served; empty when there was no endpoint.

        Raises:
            DeployError: It is not ours.
        """
        found = self.namespace.get(self.name)
        if found is None:
            return ""
        refuse_foreign(found, "removed")
        self._remove_candidates()
        remove_all(self.namespace, self.name, SHADOW_ROLE)
        self.namespace.delete(found)
        return annotation(found, MODEL_VERSION)

    def _dark_launch(
        self, release: Release, package: Path, serving: ServingConfig, *, rehearsal: Rehearsal, before: Object | None
    ) -> DarkLaunch:
        """Bring a version up in an InferenceService of its own, prove it there, and remove that again.

        Raises:
            DeployError: It did not become ready, answered wrongly, or too slowly.
        """
        if not serving.dark_launch.enabled:
            return DarkLaunch(ran=False, version=release.version, remarks=("serving.dark_launch.enabled is false",))
        wanted = candidate_service(release, serving, namespace=self.namespace.name)
        name = wanted["metadata"]["name"]
        if found := self.namespace.get(name):
            refuse_foreign(found, "changed")
        try:
            rehearse = rehearsal(annotation(before, MODEL_VERSION) if before else "")
            start = time.monotonic()
            service = self.namespace.apply(wanted)
            wait_until_ready(self.namespace, service, seconds=serving.start_seconds + serving.pull_seconds)
            ready = time.monotonic() - start
            golden = prove(self.namespace, service, package, version=release.version, serving=serving)
            with reachable_url(self.namespace, name) as url:
                proven = rehearse(url)
        finally:
            self._remove_candidates()
        return proven.model_copy(
            update={"candidate": name, "ready_seconds": round(ready, 3), "golden_requests": golden}
        )

    def _remove_candidates(self) -> None:
        remove_all(self.namespace, self.name, "candidate")

    def _before(self) -> Object | None:
        found = self.namespace.get(self.name)
        if found:
            refuse_foreign(found, "changed")
        return found

    def _deployed(self, release: Release, golden: int, *, before: Object | None) -> Deployed:
        """The endpoint as it is when nothing had to be done."""
        replaced = annotation(before, MODEL_VERSION) if before else ""
        return Deployed(
            name=self.name,
            version=release.version,
            url=endpoint_url(self.namespace.service(f"{self.name}-predictor"), self.namespace.name, model=self.name),
            replaced="" if replaced == release.version else replaced,
            restarted=False,
            golden_requests=golden,
            namespace=self.namespace.name,
            rollout="unchanged",
        )

    def _serves(self, before: Object, wanted: Object, package: Path, serving: ServingConfig) -> bool:
        """Whether the cluster already serves `wanted`, unchanged by anybody since, ready, and answering rightly."""
        alike = self.namespace.apply(with_revision_of(wanted, before), dry_run=True)
        if alike["metadata"]["generation"] != before["metadata"]["generation"]:
            return False
        if not progress(before, self.namespace.pods(self.name)).done:
            return False
        try:
            prove(self.namespace, before, package, version=annotation(wanted, MODEL_VERSION), serving=serving)
        except (UnreachableError, WrongAnswerError):
            return False
        return True

    def _canary(
        self, before: Object | None, wanted: Object, package: Path, *, serving: ServingConfig
    ) -> tuple[CanaryReport | None, tuple[str, ...]]:
        """Give a new version a share of the requests, and watch it.

        Returns:
            What was seen, or why there was no canary.

        Raises:
            DeployError: It did not become ready, answered wrongly, or went beyond its limits.
        """
        if not serving.canary.percent:
            return None, ()
        if before is None:
            return None, ("no canary: there is no version before this one to share the requests with",)
        if not self.namespace.has_gateway_api():
            return None, (
                "no canary: KServe shares requests by the Gateway API, which this cluster does not have; "
                "the version was rolled out fully after its dark launch",
            )
        revision, version = label(wanted, REVISION), annotation(wanted, MODEL_VERSION)
        service = self.namespace.apply(canary_service(before, wanted, serving.canary))
        seconds = serving.start_seconds + serving.pull_seconds
        wait_until_ready(self.namespace, service, seconds=seconds, judge=partial(canary_progress, revision=revision))
        golden, proof, deadline = read_golden(package), proof_token(package), time.monotonic() + SETTLE_SECONDS
        for address in self._canary_addresses(revision):
            url = f"{address}/v1/models/{self.name}:predict"
            ask = partial(golden_answers, url, golden, version=version, rows=serving.rows, proof=proof)
            if wrong := differences(golden, retry_unreachable(ask, deadline)):
                raise DeployError(f"Its canary answers {len(wrong)} golden requests wrongly: {wrong[0]}.")
        report = watch(partial(self._canary_addresses, revision), serving.canary)
        if not report.promoted:
            raise DeployError(f"Its canary was taken back: {report.reason}.")
        return report, ()

    def _canary_addresses(self, revision: str) -> list[str]:
        """Where the canary's servers report their figures.

        Raises:
            DeployError: One of them has ended.
        """
        pods = [pod for pod in self.namespace.pods(self.name) if label(pod, REVISION) == revision]
        if found := pod_problems(pods):
            raise DeployError(f"{problem_text(found[0])}.")
        return pod_addresses(pods)
