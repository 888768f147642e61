"""The canary: a share of the real requests for a new version, watched by its own figures, then promoted or taken back.

KServe splits requests in Standard mode by the Gateway API alone, so that only requests through the gateway are split;
those to the Service inside the cluster all go to the version before.
"""

import math
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.deploy.inference_service import REVISION, applicable
from components.shared.config import CanaryConfig
from components.shared.errors import DeployError
from components.shared.kubernetes.api import Object
from components.shared.request_figures import PREDICTION_PROTOCOLS, REQUEST_SECONDS, REQUESTS

NAME = "canary"

_REQUEST_SECONDS = 5.0
_MISSES = 3  # polls in a row that fail before the watch is given up


class Figures(BaseModel):
    """What servers have counted since they started.

    Attributes:
        requests: Requests for predictions that were answered.
        errors: Those answered with 5xx.
        buckets: Answers by the upper bound of the time they took, in seconds, each with all that were quicker.
    """

    model_config = ConfigDict(frozen=True)

    requests: float = 0.0
    errors: float = 0.0
    buckets: dict[float, float] = {}

    def __add__(self, other: "Figures") -> "Figures":
        bounds = {*self.buckets, *other.buckets}
        return Figures(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            buckets={bound: self.buckets.get(bound, 0.0) + other.buckets.get(bound, 0.0) for bound in sorted(bounds)},
        )

    def quantile_ms(self, share: float) -> float | None:
        """The time within which a share of the answers came, in ms, rounded up to a bucket; None without answers."""
        total = self.buckets.get(math.inf, 0.0)
        if not total:
            return None
        return 1000 * next(bound for bound in sorted(self.buckets) if self.buckets[bound] >= share * total)


class CanaryReport(BaseModel):
    """What a canary came to.

    Attributes:
        promoted: Whether the version got all requests then.
        reason: Why, in words.
        percent: Its share of the requests.
        seconds: How long it was watched.
        requests: How many it answered.
        error_share: Share of them answered with 5xx; None without requests.
        p99_ms: 99 of 100 were answered within; None without requests.
    """

    model_config = ConfigDict(frozen=True)

    promoted: bool
    reason: str
    percent: int
    seconds: float = 0.0
    requests: int = 0
    error_share: float | None = None
    p99_ms: float | None = None


def read_figures(page: str) -> Figures:
    """Read the request counts and latency buckets from a server's metrics in Prometheus' text format.

    Raises:
        DeployError: The text is not in that format, or is of a server other than the project's.
    """
    from prometheus_client.parser import text_string_to_metric_families

    requests = errors = 0.0
    buckets: dict[float, float] = {}
    seen = set()
    try:
        for family in text_string_to_metric_families(page):
            seen.add(family.name)
            for sample in family.samples:
                if sample.labels.get("protocol") not in PREDICTION_PROTOCOLS:
                    continue
                if sample.name == f"{REQUESTS}_total":
                    requests += sample.value
                    errors += sample.value if sample.labels["status"].startswith("5") else 0.0
                elif sample.name == f"{REQUEST_SECONDS}_bucket":
                    bound = float(sample.labels["le"])
                    buckets[bound] = buckets.get(bound, 0.0) + sample.value
    except (ValueError, LookupError) as error:
        raise DeployError(f"The canary's figures cannot be read: {error}.") from error
    if missing := {REQUESTS, REQUEST_SECONDS} - seen:
        raise DeployError(f"The canary's figures lack {', '.join(sorted(missing))}: it is no server of ours.")
    return Figures(requests=requests, errors=errors, buckets=buckets)


def fetch_figures(address: str) -> Figures:
    """Ask a server for its figures.

    Args:
        address: `http://host:port`.

    Raises:
        DeployError: It does not answer, or with something else.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/metrics", timeout=_REQUEST_SECONDS) as response:
            return read_figures(response.read().decode(errors="replace"))
    except OSError as error:
        raise DeployError(f"The canary at {address} does not report its figures: {error}.") from error


Verdict = Literal["go on", "promote", "take back"]


def judge(found: Figures, settings: CanaryConfig, *, seconds: float) -> tuple[Verdict, str]:
    """Decide about a canary.

    Args:
        found: What it has counted since it was first asked.
        settings: What it may do.
        seconds: How long it has been watched.

    Returns:
        The decision and its reason.
    """
    over = seconds >= settings.seconds
    if found.requests < settings.requests:
        if not over:
            return "go on", "too few requests yet"
        return "promote", (
            f"promoted with {found.requests:.0f} requests in {seconds:.0f} s, too few to be judged by "
            f"(serving.canary.requests is {settings.requests}); it passed its dark launch"
        )
    share, p99 = found.errors / found.requests, found.quantile_ms(0.99)
    if share > settings.error_share:
        return "take back", (
            f"{found.errors:.0f} of {found.requests:.0f} requests were answered with an error of the server, "
            f"{share:.1%}; serving.canary.error_share allows {settings.error_share:.1%}"
        )
    if p99 is None or p99 > settings.latency_ms:
        duration = "an unknown time" if p99 is None else "longer than 10 s" if math.isinf(p99) else f"up to {p99:g} ms"
        return "take back", (
            f"99 of 100 requests took {duration}; serving.canary.latency_ms allows {settings.latency_ms:g} ms"
        )
    if not over:
        return "go on", "within its limits"
    return "promote", f"within its limits: {share:.1%} errors, 99 of 100 answers within {p99:g} ms"


def watch(
    addresses: Callable[[], Sequence[str]], settings: CanaryConfig, *, fetch: Callable[[str], Figures] = fetch_figures
) -> CanaryReport:
    """Watch a canary until it is judged.

    Args:
        addresses: Gives its servers, `http://host:port` each; asked before each look, and raises when one has ended.
        settings: How long, and what it may do.
        fetch: Asks one of them for its figures.

    Returns:
        What was found; `promoted` is the verdict.

    Raises:
        DeployError: Three times in a row no server was ready, or one had ended or did not report its figures.
    """
    start, missed = time.monotonic(), 0
    known: dict[str, tuple[Figures, Figures]] = {}  # of each server: at first, and now
    while True:
        try:
            _look(addresses(), known, fetch=fetch)
            missed = 0
        except DeployError:
            missed += 1
            if missed == _MISSES:
                raise
        found, seconds = _since(known), time.monotonic() - start
        verdict, reason = judge(found, settings, seconds=seconds)
        if verdict != "go on":
            return _report(found, verdict == "promote", reason, settings=settings, seconds=seconds)
        time.sleep(min(settings.interval_seconds, max(0.05, settings.seconds - seconds)))


def _look(
    addresses: Sequence[str], known: dict[str, tuple[Figures, Figures]], *, fetch: Callable[[str], Figures]
) -> None:
    if not addresses:
        raise DeployError("No server of the canary is ready.")
    for address in addresses:
        now = fetch(address)
        known[address] = (known.get(address, (now, now))[0], now)


def _since(known: Mapping[str, tuple[Figures, Figures]]) -> Figures:
    """What servers have counted since the first poll; a server that restarted since then is counted from 0."""
    total = Figures()
    for first, now in known.values():
        if now.requests < first.requests:
            total += now
            continue
        total += Figures(
            requests=now.requests - first.requests,
            errors=now.errors - first.errors,
            buckets={bound: count - first.buckets.get(bound, 0.0) for bound, count in now.buckets.items()},
        )
    return total


def _report(found: Figures, promoted: bool, reason: str, *, settings: CanaryConfig, seconds: float) -> CanaryReport:
    p99 = found.quantile_ms(0.99)
    return CanaryReport(
        promoted=promoted,
        reason=reason,
        percent=settings.percent,
        seconds=round(seconds, 1),
        requests=int(found.requests),
        error_share=found.errors / found.requests if found.requests else None,
        p99_ms=None if p99 is None or math.isinf(p99) else p99,
    )


def canary_service(before: Object, wanted: Object, settings: CanaryConfig) -> Object:
    """The InferenceService that still serves the old version, with a canary that gets a share of the requests.

    Args:
        before: The InferenceService of the old version, as it is applied now.
        wanted: The InferenceService of the new version.
        settings: Says which share of the requests the canary gets.
    """
    found = applicable(before)
    predictor = {key: value for key, value in wanted["spec"]["predictor"].items() if key != "maxReplicas"}
    canary = {
        "trafficPercent": settings.percent,
        "predictor": {
            "name": NAME,
            # The same label as without a canary: it tells the new version's pods from the old ones.
            "labels": {REVISION: wanted["metadata"]["labels"][REVISION]},
            **predictor,
            "model": {"name": "kserve-container", **predictor["model"]},  # which KServe does not fill in here
            "minReplicas": 1,
        },
    }
    spec = {key: value for key, value in found["spec"].items() if key != "canary"}
    return {**found, "spec": {**spec, "canary": [canary]}}


def canary_ready(service: Object) -> bool:
    """Whether KServe says that the canary is ready."""
    statuses = (service.get("status") or {}).get("canaryStatuses") or []
    return any(one.get("name") == NAME and one.get("ready") for one in statuses)
