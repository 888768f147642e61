"""The endpoint on a cluster: an InferenceService of KServe that is proven, or is again what it was."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.deploy.address import endpoint_url, pod_addresses, proof_url, service_port
from components.deploy.canary import CanaryReport, canary_service, watch
from components.deploy.cluster import Cluster
from components.deploy.dark_launch import DarkLaunch
from components.deploy.deployed import Deployed
from components.deploy.diagnosis import conditions_text, crashes, in_words, is_leaving, is_ready, troubles
from components.deploy.inference_service import (
    MANAGED_BY,
    MANAGER,
    MODEL,
    MODEL_VERSION,
    REVISION,
    ROLE,
    Object,
    Release,
    annotation,
    applicable,
    candidate_service,
    inference_service,
    label,
    like,
    refuse_foreign,
    renewed,
    same_revision,
    serving_of,
)
from components.deploy.replay import golden_answers
from components.deploy.rollout import Progress, canary_progress, progress
from components.shared.config import ServingConfig
from components.shared.errors import (
    DeployError,
    FullcircleError,
    PackageError,
    StoreError,
    UnreachableError,
    WrongAnswerError,
)
from components.shared.kubernetes.api import in_pod
from components.shared.kubernetes.forwarding import forwarded, is_reachable
from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden
from components.shared.package.proof import proof_token
from components.shared.processes import uninterrupted

_POLL_SECONDS = 0.5
_HOPELESS_SECONDS = 15.0  # how long something hopeless has to last: registries and secrets may be late
_PODLESS_SECONDS = 30.0
_SETTLE_SECONDS = 30.0  # a server that is told to end answers on while it is taken off the Service
_RESTORE_SECONDS = 120.0
_LEAVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a deployment is to come to in the registry, which the endpoint knows nothing else of.

    Attributes:
        check: Raises when another run has moved the champion meanwhile.
        complete: Makes the version the champion; called once it serves, and what it raises undoes the deployment.
        champion: What the champion is now, to be put back when the deployment fails; None when there is none.
    """

    check: Callable[[], None]
    complete: Callable[[], None]
    champion: Callable[[], Release | None]


@dataclass(slots=True)
class _Attempt:
    """How far a deployment has come, for the message of one that fails."""

    what: str


# What a candidate has to do besides its golden requests: given the version that serves, if one does, gets ready to
# prove a candidate by its V1 prediction URL.
Rehearsal = Callable[[str], Callable[[str], DarkLaunch]]


class ClusterEndpoint:
    """One model's endpoint on a cluster.

    Args:
        cluster: The namespace it is in.
        name: Name of the model.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
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
        wanted = inference_service(release, serving, namespace=self.cluster.namespace)
        unchanged = False
        if before and same_revision(before, wanted):
            unchanged = self._serves(before, wanted, package, serving)
            wanted = like(wanted, before) if unchanged else renewed(wanted, before)
        if not unchanged:
            self._remove_candidates()
        found: dict[str, Any] = {}
        # Nothing may come between the last act and the end of the block that would put back the version before.
        with ExitStack() as last_act, self._putting_back(before, wanted, release.version, outcome) as attempt:
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
            What is told of it, by the names that `Deployed` has for it.
        """
        canary, remarks = self._canary(before, wanted, package, serving=serving)
        applied = time.monotonic()
        service = self.cluster.apply(wanted)
        self._wait(service, seconds=serving.start_seconds + serving.pull_seconds)
        ready = time.monotonic() - applied
        self._prove(service, package, version=annotation(wanted, MODEL_VERSION), serving=serving)
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
        found = self.cluster.get(self.name)
        if found is None:
            return ""
        refuse_foreign(found, "removed")
        self._remove_candidates()
        self.cluster.delete(found)
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
        wanted = candidate_service(release, serving, namespace=self.cluster.namespace)
        name = wanted["metadata"]["name"]
        if found := self.cluster.get(name):
            refuse_foreign(found, "changed")
        try:
            rehearse = rehearsal(annotation(before, MODEL_VERSION) if before else "")
            start = time.monotonic()
            service = self.cluster.apply(wanted)
            self._wait(service, seconds=serving.start_seconds + serving.pull_seconds)
            ready = time.monotonic() - start
            golden = self._prove(service, package, version=release.version, serving=serving)
            with self._reached(name) as url:
                proven = rehearse(url)
        finally:
            self._remove_candidates()
        return proven.model_copy(
            update={"candidate": name, "ready_seconds": round(ready, 3), "golden_requests": golden}
        )

    def _remove_candidates(self) -> None:
        """Remove this model's candidates, those that a killed deployment left behind too, and wait until they are gone.

        Raises:
            DeployError: One does not go.
        """
        selector = f"{MANAGED_BY}={MANAGER},{MODEL}={self.name},{ROLE}=candidate"
        deadline = time.monotonic() + _LEAVE_SECONDS
        told: set[str] = set()
        while found := self.cluster.find(selector):
            for candidate in found:
                if candidate["metadata"]["uid"] not in told:
                    self.cluster.delete(candidate)
                    told.add(candidate["metadata"]["uid"])
            if time.monotonic() > deadline:
                names = ", ".join(candidate["metadata"]["name"] for candidate in found)
                raise DeployError(f"{names} was told to go and is still there: see its finalizers, or KServe's log.")
            time.sleep(_POLL_SECONDS)

    def _before(self) -> Object | None:
        found = self.cluster.get(self.name)
        if found:
            refuse_foreign(found, "changed")
        return found

    def _deployed(self, release: Release, golden: int, *, before: Object | None) -> Deployed:
        """The endpoint as it is when nothing had to be done."""
        replaced = annotation(before, MODEL_VERSION) if before else ""
        return Deployed(
            name=self.name,
            version=release.version,
            url=endpoint_url(self.cluster.service(f"{self.name}-predictor"), self.cluster.namespace, model=self.name),
            replaced="" if replaced == release.version else replaced,
            restarted=False,
            golden_requests=golden,
            namespace=self.cluster.namespace,
            rollout="unchanged",
        )

    def _serves(self, before: Object, wanted: Object, package: Path, serving: ServingConfig) -> bool:
        """Whether the same is applied already, by nobody changed since, and is ready and answers rightly."""
        alike = self.cluster.apply(like(wanted, before), dry_run=True)
        if alike["metadata"]["generation"] != before["metadata"]["generation"]:
            return False
        if not progress(before, self.cluster.pods(self.name)).done:
            return False
        try:
            self._prove(before, package, version=annotation(wanted, MODEL_VERSION), serving=serving)
        except (UnreachableError, WrongAnswerError):
            return False
        return True

    @contextmanager
    def _putting_back(
        self, before: Object | None, wanted: Object, version: str, outcome: Outcome
    ) -> Iterator[_Attempt]:
        """Put back the champion when the rest fails or is interrupted."""
        attempt = _Attempt("failed its dark launch, before anybody asked it")
        try:
            yield attempt
        except BaseException as error:
            left = self._put_back(before, wanted, outcome, interrupted=not isinstance(error, Exception))
            if isinstance(error, FullcircleError):
                raise _failure(f"Version {version} of {self.name!r} {attempt.what}", error, left) from error
            raise

    def _put_back(self, before: Object | None, wanted: Object, outcome: Outcome, *, interrupted: bool) -> str:
        """Put back the champion, or remove the endpoint that was made.

        Returns:
            What came of it, in a sentence.
        """
        try:
            now = self.cluster.get(self.name)
            if now is None and before is None:
                return "No version serves."
            ours = {label(service, REVISION) for service in (wanted, before) if service}
            if now is None or label(now, REVISION) not in ours:
                return "Somebody else has changed the endpoint meanwhile; it is left as it is."
            if before is None:
                self.cluster.delete(now)
                return "There was no version before it; the endpoint is removed."
            back = self._champions(before, wanted, outcome)
            if label(now, REVISION) != label(back, REVISION) or now["spec"].get("canary"):
                service = self.cluster.apply(applicable(back))
                if interrupted:
                    return ""
                self._wait(service, seconds=_RESTORE_SECONDS)
        except DeployError as error:
            return f"{self._what_is_left(before)} What was there before cannot be put back: {error}"
        return f"Version {annotation(back, MODEL_VERSION)} serves on."

    def _champions(self, before: Object, wanted: Object, outcome: Outcome) -> Object:
        """The InferenceService that serves the champion: the one of before, unless that serves another version.

        It does when a deployment was killed before its last act, and when another run was quicker than this one; what
        it serves has proven nothing then, or less. Without a champion, or where nobody can tell which version it is,
        the one of before has to do.
        """
        try:
            champion = outcome.champion()
        except (StoreError, PackageError):
            return before
        if champion is None:
            return before
        for service in (before, wanted):  # `wanted`: the last act was done, though its answer was lost
            if champion.version == annotation(service, MODEL_VERSION):
                return service
        return inference_service(champion, serving_of(before), namespace=self.cluster.namespace)

    def _what_is_left(self, before: Object | None) -> str:
        """Whether servers of the version before answer, in a sentence; empty when there are none."""
        if before is None:
            return ""
        revision = label(before, REVISION)
        with suppress(DeployError):
            for pod in self.cluster.pods(self.name):
                if label(pod, REVISION) == revision and is_ready(pod) and not is_leaving(pod):
                    return f"Version {annotation(before, MODEL_VERSION)} still answers."
        return ""

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
        if not self.cluster.has_gateway_api():
            return None, (
                "no canary: KServe shares requests by the Gateway API, which this cluster does not have; "
                "the version was rolled out fully after its dark launch",
            )
        revision, version = label(wanted, REVISION), annotation(wanted, MODEL_VERSION)
        service = self.cluster.apply(canary_service(before, wanted, serving.canary))
        seconds = serving.start_seconds + serving.pull_seconds
        self._wait(service, seconds=seconds, judge=partial(canary_progress, revision=revision))
        golden, proof, deadline = read_golden(package), proof_token(package), time.monotonic() + _SETTLE_SECONDS
        for address in self._canary_addresses(revision):
            url = f"{address}/v1/models/{self.name}:predict"
            ask = partial(golden_answers, url, golden, version=version, rows=serving.rows, proof=proof)
            if wrong := differences(golden, _until_reached(ask, deadline)):
                raise DeployError(f"Its canary answers {len(wrong)} golden requests wrongly: {wrong[0]}.")
        report = watch(partial(self._canary_addresses, revision), serving.canary)
        if not report.promoted:
            raise DeployError(f"Its canary was taken back: {report.reason}.")
        return report, ()

    def _canary_addresses(self, revision: str) -> list[str]:
        """Where the canary's servers tell their figures.

        Raises:
            DeployError: One of them has ended.
        """
        pods = [pod for pod in self.cluster.pods(self.name) if label(pod, REVISION) == revision]
        if found := troubles(pods):
            raise DeployError(f"{in_words(found[0])}.")
        return pod_addresses(pods)

    def _wait(
        self, service: Object, *, seconds: float, judge: Callable[[Object, list[Object]], Progress] = progress
    ) -> None:
        """Wait until an applied InferenceService serves.

        Raises:
            DeployError: It does not in time, never will, or somebody else changed it.
        """
        name, start = service["metadata"]["name"], time.monotonic()
        hopeless_since: float | None = None
        while True:
            now, pods = _unchanged(service, self.cluster.get(name)), self.cluster.pods(name)
            found = judge(now, pods)
            if found.done:
                return
            moment = time.monotonic()
            hopeless = [trouble for trouble in found.troubles if trouble.hopeless]
            if hopeless:
                hopeless_since = hopeless_since or moment  # it may look better while it is tried again
                if any(map(crashes, hopeless)) or moment - hopeless_since > _HOPELESS_SECONDS:
                    raise DeployError(self._why(now, found))
            if not found.pods and moment - start > min(seconds, _PODLESS_SECONDS):
                raise DeployError(self._why(now, found))
            if moment - start > seconds:
                raise DeployError(f"It was not ready within {seconds:g} s: {self._why(now, found)}")
            time.sleep(_POLL_SECONDS)

    def _why(self, service: Object, found: Progress) -> str:
        """Why it is not ready: the pods' reasons, what KServe and Kubernetes say, the last lines of a log."""
        said = list(dict.fromkeys(map(in_words, found.troubles)))
        if not said:
            said = [found.waiting_for, *filter(None, [conditions_text(service)])]
            said += self.cluster.warnings_about(service["metadata"]["name"])[:3]
        text = "; ".join(part.rstrip(".") for part in dict.fromkeys(said)) + "."
        for trouble in found.troubles[:1]:
            lines = self.cluster.log(trouble.pod, trouble.container, previous=trouble.previous) or trouble.last_words
            if lines.strip():
                text += f"\nThe end of the log of pod {trouble.pod}:\n{_indented(lines)}"
        return text

    def _prove(self, service: Object, package: Path, *, version: str, serving: ServingConfig) -> int:
        """Replay the golden requests through the Service.

        A Service that does not answer is asked again: its pods can be ready a moment before it is programmed on the
        node that asks. One that answers wrongly is not, but for as long as servers of another version may still answer.

        Returns:
            How many.

        Raises:
            UnreachableError: Nobody answers.
            WrongAnswerError: An answer is wrong, or another version answers.
            DeployError: Somebody else has changed the InferenceService.
        """
        name, deadline, golden = service["metadata"]["name"], time.monotonic() + _SETTLE_SECONDS, read_golden(package)
        proof = proof_token(package)
        while True:
            try:
                with self._reached(name) as url:
                    answers = golden_answers(url, golden, version=version, rows=serving.rows, proof=proof)
                break
            except (UnreachableError, WrongAnswerError) as error:
                now, pods = _unchanged(service, self.cluster.get(name)), self.cluster.pods(name)
                hopeless = isinstance(error, WrongAnswerError) and progress(now, pods).settled
                if hopeless or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
        if wrong := differences(golden, answers):
            raise WrongAnswerError(f"It answers {len(wrong)} of {len(golden)} golden requests wrongly: {wrong[0]}.")
        return len(golden)

    @contextmanager
    def _reached(self, name: str) -> Iterator[str]:
        """The V1 prediction URL of an InferenceService, as this process reaches it.

        Raises:
            UnreachableError: It cannot be reached.
            DeployError: It never can from here.
        """
        service = f"{name}-predictor"
        found = self.cluster.service(service)
        url = proof_url(found, self.cluster.pods(name), model=name, service_name=service)
        if in_pod() or is_reachable(url):
            yield url
            return
        with forwarded(self.cluster.namespace, service, service_port(found)) as address:
            yield f"{address}/v1/models/{name}:predict"


def _until_reached(ask: Callable[[], list[Any]], deadline: float) -> list[Any]:
    """Ask until something answers, whatever it answers.

    Raises:
        UnreachableError: Nothing has by the deadline, on the monotonic clock.
    """
    while True:
        try:
            return ask()
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)


def _unchanged(service: Object, now: Object | None) -> Object:
    """An InferenceService as it is now, unless it is no longer what was applied.

    Raises:
        DeployError: It is not, or gone.
    """
    name = service["metadata"]["name"]
    if now is None:
        raise DeployError(f"Somebody has removed the InferenceService {name} meanwhile.")
    if label(now, REVISION) != label(service, REVISION):
        raise DeployError(f"Another deployment has changed the InferenceService {name} meanwhile.")
    return now


def _failure(what: str, why: FullcircleError, outcome: str) -> DeployError:
    """What happened, why, and what is left; the lines of a log, if there are any, come last."""
    head, line_end, log = str(why).partition("\n")
    return DeployError(f"{what}: {head.rstrip('. ')}. {outcome}{line_end}{log}")


def _indented(lines: str) -> str:
    return "\n".join(f"  {line[:300]}" for line in lines.splitlines() if line.strip())
