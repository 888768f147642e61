"""The endpoint on a cluster: an InferenceService of KServe that is proven, or is again what it was."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.deploy.address import endpoint_url, proof_url
from components.deploy.cluster import Cluster, patiently
from components.deploy.deployed import Deployed
from components.deploy.diagnosis import Trouble, conditions_text, is_leaving, is_ready, troubles
from components.deploy.inference_service import (
    MODEL_VERSION,
    REVISION,
    RUN_ID,
    Object,
    Release,
    annotation,
    applicable,
    inference_service,
    label,
    minimum_replicas,
    refuse_foreign,
)
from components.deploy.replay import replay_golden
from components.shared.config import ServingConfig
from components.shared.errors import DeployError, FullcircleError
from components.shared.model_package import read_golden

_POLL_SECONDS = 0.5
_HOPELESS_SECONDS = 20.0  # how long something hopeless has to last: registries and secrets may be late
_PODLESS_SECONDS = 30.0
_SETTLE_SECONDS = 30.0  # a server that is told to end answers on while it is taken off the Service
_RESTORE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an InferenceService has come.

    Attributes:
        done: Whether all that is asked for serves, and nothing else does.
        settled: Whether nothing else even runs any more.
        waiting_for: What is missing, in words.
        troubles: What is wrong with pods of this revision.
        pods: Number of pods of this revision.
    """

    done: bool
    settled: bool
    waiting_for: str
    troubles: list[Trouble]
    pods: int


def progress(service: Object, pods: list[Object]) -> Progress:
    """Judge how far an InferenceService has come; an old `Ready` alone would pass for a new one.

    Args:
        service: The InferenceService, just read.
        pods: Its predictor's pods, read after it.
    """
    status, revision = service.get("status") or {}, label(service, REVISION)
    live = [pod for pod in pods if not is_leaving(pod)]
    new = [pod for pod in live if label(pod, REVISION) == revision]
    templates = {label(pod, "pod-template-hash") for pod in new}
    ready = [pod for pod in new if is_ready(pod)]
    wanted = max(1, minimum_replicas(service))
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    waiting_for = ""
    if status.get("observedGeneration", 0) < service["metadata"]["generation"]:
        waiting_for = "KServe has not looked at it yet"
    elif not new:
        waiting_for = "there is no pod of this version"
    elif len(ready) < wanted:
        waiting_for = f"{len(ready)} of {wanted} servers are ready"
    elif len(new) < len(live) or len(templates) > 1:
        waiting_for = "servers of the version before are still there"
    elif conditions.get("Ready") != "True":
        waiting_for = "KServe does not say that it is ready"
    return Progress(not waiting_for, not waiting_for and len(pods) == len(new), waiting_for, troubles(new), len(new))


class ClusterEndpoint:
    """One model's endpoint on a cluster.

    Args:
        cluster: The namespace it is in.
        name: Name of the model.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def running(self) -> str:
        """The version that the endpoint is to serve; empty when there is no endpoint of ours."""
        found = self.cluster.get(self.name)
        return annotation(found, MODEL_VERSION) if found else ""

    def deploy(self, release: Release, package: Path, serving: ServingConfig) -> Deployed:
        """Serve a version, proven by its golden requests.

        Args:
            release: What is deployed.
            package: Its package, fetched and verified.
            serving: Settings of servers and rollout.

        Raises:
            DeployError: The version did not become ready or answered wrongly; what served before is put back.
        """
        start = time.monotonic()
        golden = len(read_golden(package))
        before = self._before()
        wanted = inference_service(release, serving, namespace=self.cluster.namespace)
        if before and label(before, REVISION) == label(wanted, REVISION):
            wanted["metadata"]["annotations"][RUN_ID] = annotation(before, RUN_ID)  # it would restart the servers
            if self._serves(before, wanted, package, serving):
                return self._deployed(release, golden, before=before, rollout="unchanged")
        applied = time.monotonic()
        with self._putting_back(before, wanted, release.version):
            service = self.cluster.apply(wanted)
            self._wait(service, seconds=serving.start_seconds + serving.pull_seconds)
            ready = time.monotonic() - applied
            self._prove(service, package, version=release.version, serving=serving)
        return self._deployed(
            release,
            golden,
            before=before,
            rollout="rolling" if before else "first",
            seconds=round(time.monotonic() - start, 3),
            ready_seconds=round(ready, 3),
        )

    def remove(self) -> str:
        """Remove the endpoint.

        Returns:
            The version that it served; empty when there was no endpoint.

        Raises:
            DeployError: It is not ours.
        """
        found = self.cluster.get(self.name)
        if found is None:
            return ""
        refuse_foreign(found, "removed")
        self.cluster.delete(found)
        return annotation(found, MODEL_VERSION)

    def _before(self) -> Object | None:
        found = self.cluster.get(self.name)
        if found:
            refuse_foreign(found, "changed")
        return found

    def _deployed(
        self,
        release: Release,
        golden: int,
        *,
        before: Object | None,
        rollout: Literal["first", "rolling", "canary", "unchanged"],
        seconds: float = 0.0,
        ready_seconds: float = 0.0,
    ) -> Deployed:
        replaced = annotation(before, MODEL_VERSION) if before else ""
        return Deployed(
            name=self.name,
            version=release.version,
            url=endpoint_url(self.cluster.service(f"{self.name}-predictor"), self.cluster.namespace, model=self.name),
            replaced="" if replaced == release.version else replaced,
            restarted=rollout != "unchanged",
            golden_requests=golden,
            seconds=seconds,
            namespace=self.cluster.namespace,
            ready_seconds=ready_seconds,
            rollout=rollout,
        )

    def _serves(self, before: Object, wanted: Object, package: Path, serving: ServingConfig) -> bool:
        """Whether the same is applied already, is ready and answers rightly; applying it undoes what others changed."""
        service = self.cluster.apply(wanted)
        if service["metadata"]["generation"] != before["metadata"]["generation"]:
            return False
        if not progress(service, self.cluster.pods(self.name)).done:
            return False
        version = annotation(wanted, MODEL_VERSION)
        return not replay_golden(self._url(self.name), package, version=version, rows=serving.rows)

    @contextmanager
    def _putting_back(self, before: Object | None, wanted: Object, version: str) -> Iterator[None]:
        """Put back what was there when the rest fails or is interrupted."""
        try:
            yield
        except BaseException as error:
            outcome = self._put_back(before, wanted, interrupted=not isinstance(error, Exception))
            if isinstance(error, FullcircleError):
                raise DeployError(f"Version {version} of {self.name!r} does not serve: {error} {outcome}") from error
            raise

    def _put_back(self, before: Object | None, wanted: Object, *, interrupted: bool) -> str:
        """Put back the endpoint of before, or remove the one that was made.

        Returns:
            What came of it, in a sentence.
        """
        try:
            now = patiently(lambda: self.cluster.get(self.name))
            if now is None or label(now, REVISION) != label(wanted, REVISION):
                return "Somebody else has changed the endpoint meanwhile; it is left as it is."
            if before is None:
                patiently(lambda: self.cluster.delete(now))
                return "There was no version before it; the endpoint is removed."
            service = patiently(lambda: self.cluster.apply(applicable(before)))
            if interrupted:
                return ""
            self._wait(service, seconds=_RESTORE_SECONDS)
        except DeployError as error:
            return f"And what was there before cannot be put back: {error}"
        return f"Version {annotation(before, MODEL_VERSION)} serves on."

    def _wait(self, service: Object, *, seconds: float) -> None:
        """Wait until an applied InferenceService serves.

        Raises:
            DeployError: It does not in time, never will, or somebody else changed it.
        """
        name, start = service["metadata"]["name"], time.monotonic()
        hopeless_since: float | None = None
        while True:
            now, pods = patiently(lambda: (self.cluster.get(name), self.cluster.pods(name)))
            _refuse_change(service, now)
            found = progress(now, pods)
            if found.done:
                return
            moment = time.monotonic()
            hopeless = [trouble for trouble in found.troubles if trouble.hopeless]
            hopeless_since = (hopeless_since or moment) if hopeless else None
            crashed = any(trouble.crashed for trouble in hopeless)
            if hopeless_since and (crashed or moment - hopeless_since > _HOPELESS_SECONDS):
                raise DeployError(self._why(now, found))
            if not found.pods and moment - start > min(seconds, _PODLESS_SECONDS):
                raise DeployError(self._why(now, found))
            if moment - start > seconds:
                raise DeployError(f"It was not ready within {seconds:g} s: {self._why(now, found)}")
            time.sleep(_POLL_SECONDS)

    def _why(self, service: Object, found: Progress) -> str:
        """Why it is not ready: the pods' reasons, what KServe and Kubernetes say, the last lines of a log."""
        said = list(dict.fromkeys(trouble.text for trouble in found.troubles)) or [found.waiting_for]
        if told := conditions_text(service):
            said.append(told)
        if not found.troubles:
            said += self.cluster.warnings_about(service["metadata"]["name"])[:3]
        text = "; ".join(part.rstrip(".") for part in said) + "."
        for trouble in found.troubles[:1]:
            lines = self.cluster.log(trouble.pod, trouble.container, previous=trouble.previous)
            if lines.strip():
                text += f" The end of its log:\n{_indented(lines)}\n"
        return text

    def _prove(self, service: Object, package: Path, *, version: str, serving: ServingConfig) -> None:
        """Replay the golden requests through the Service.

        Raises:
            DeployError: An answer is wrong.
        """
        name, deadline = service["metadata"]["name"], time.monotonic() + _SETTLE_SECONDS
        while True:
            wrong = replay_golden(self._url(name), package, version=version, rows=serving.rows)
            if not wrong:
                return
            now, pods = patiently(lambda: (self.cluster.get(name), self.cluster.pods(name)))
            _refuse_change(service, now)
            if progress(now, pods).settled or time.monotonic() > deadline:
                raise DeployError(f"It answers {len(wrong)} golden requests wrongly: {wrong[0]}.")
            time.sleep(_POLL_SECONDS)

    def _url(self, name: str) -> str:
        service = f"{name}-predictor"
        return proof_url(self.cluster.service(service), self.cluster.pods(name), model=name, service_name=service)


def _refuse_change(service: Object, now: Object | None) -> None:
    """Stop when what was applied is no longer what is asked for."""
    name = service["metadata"]["name"]
    if now is None:
        raise DeployError(f"Somebody has removed the InferenceService {name} meanwhile.")
    if label(now, REVISION) != label(service, REVISION):
        raise DeployError(f"Another deployment has changed the InferenceService {name} meanwhile.")


def _indented(lines: str) -> str:
    return "\n".join(f"  {line[:300]}" for line in lines.splitlines() if line.strip())
