"""The proof of a version that nobody asks yet: the requests that the endpoint was asked last, asked again.

Golden requests are few and were chosen at training; what clients send has values that nobody thought of. What is right
is not looked up: the same rows are scored here, by the same package, and the endpoint has to agree. So it shows what
differs between the server and the model, such as how a request is read, and how long answers take; not whether the
model is good.
"""

import http.client
import json
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, ConfigDict

from components.deploy.comparison import Comparison, compare
from components.deploy.logged_requests import LoggedRequests, Request
from components.shared.config import DarkLaunchConfig
from components.shared.errors import DeployError, InputError
from components.shared.package.golden import differences
from components.shared.package.model_package import GoldenRequest
from components.shared.package.proof import HEADER
from components.shared.package.scoring import Scorer, parse_rows, score_rows

_SECONDS = 30.0
_PATIENCE_SECONDS = 30.0  # a Service may be set up on the nodes only after its pods are ready
_POLL_SECONDS = 0.2


class DarkLaunch(BaseModel):
    """What a dark launch came to.

    Attributes:
        ran: Whether there was one.
        version: The version that was proven.
        candidate: Name of the InferenceService it was proven in.
        ready_seconds: From applying it until it was ready.
        golden_requests: How many golden requests it answered.
        requests: How many logged requests it answered, rightly and in time.
        rows: How many rows they have.
        latency_ms: Of these requests, seen by one client: `p50`, `p99`, `longest`, and the `budget` of p99.
        comparison: What the version that serves answers to the same rows; none without one, or without rows.
        compared: Which rows were compared, in words.
        remarks: What was left out, and why.
    """

    model_config = ConfigDict(frozen=True)

    ran: bool
    version: str
    candidate: str = ""
    ready_seconds: float = 0.0
    golden_requests: int = 0
    requests: int = 0
    rows: int = 0
    latency_ms: dict[str, float] = {}
    comparison: Comparison | None = None
    compared: str = ""
    remarks: tuple[str, ...] = ()


class Answered(BaseModel):
    """What was answered to logged requests.

    Attributes:
        answers: One a row.
        seconds: One a request, from sending to having read the answer.
    """

    model_config = ConfigDict(frozen=True)

    answers: list[Any]
    seconds: list[float]


def answer_again(
    url: str, requests: Sequence[Request], *, version: str, proof: str = "", patience: float = 0.0
) -> Answered:
    """Ask requests again, one after another over one connection.

    Args:
        url: V1 prediction URL.
        requests: What to ask.
        version: The version that has to answer.
        proof: Its token, which marks the requests as a proof; empty for requests like a client's.
        patience: For how many seconds to try to connect.

    Raises:
        DeployError: A request was not answered, or by another version.
    """
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", **({HEADER: proof} if proof else {})}
    answers: list[Any] = []
    seconds: list[float] = []
    with closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_SECONDS)) as connection:
        _connect(connection, patience)
        for number, request in enumerate(requests, 1):
            body = json.dumps({"instances": request}).encode()
            start = time.monotonic()
            try:
                connection.request("POST", parts.path, body, headers)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise DeployError(f"logged request {number} of {len(requests)} got no answer: {error!r}") from error
            seconds.append(time.monotonic() - start)
            answers += _predictions(response.status, content, version=version, number=number, rows=len(request))
    return Answered(answers=answers, seconds=seconds)


def _connect(connection: http.client.HTTPConnection, patience: float) -> None:
    """Connect before the first request; one that cannot be made then is reported by that request."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.connect()
            return
        except OSError:
            if time.monotonic() > deadline:
                return
        time.sleep(_POLL_SECONDS)


def _predictions(status: int, content: bytes, *, version: str, number: int, rows: int) -> list[Any]:
    try:
        answer = json.loads(content)
        if status == 200 and answer["model_version"] == version and len(answer["predictions"]) == rows:
            return list(answer["predictions"])
    except (ValueError, LookupError, TypeError):
        pass
    said = content.decode(errors="replace")[:300]
    raise DeployError(f"logged request {number} was answered {status} instead of {rows} predictions: {said}")


def check(answered: Answered, requests: Sequence[Request], scorer: Scorer, settings: DarkLaunchConfig) -> None:
    """Compare answers with batch scoring of the same rows, and their 99th percentile of time with the budget.

    Args:
        answered: What the endpoint said.
        requests: What it was asked.
        scorer: The same version.
        settings: The budget.

    Raises:
        DeployError: An answer differs, or the 99th percentile is above the budget.
    """
    rows = [row for request in requests for row in request]
    expected = scorer.answers(score_rows(scorer, parse_rows(rows, scorer.schema)))
    pairs = [GoldenRequest(row=row, answer=answer) for row, answer in zip(rows, expected, strict=True)]
    if wrong := differences(pairs, answered.answers):
        raise DeployError(
            f"{len(wrong)} of {len(rows)} logged rows are answered otherwise than by batch scoring; {wrong[0]}"
        )
    if (p99 := latency(answered, settings)["p99"]) > settings.latency_ms:
        raise DeployError(
            f"1 of 100 logged requests takes {p99:.1f} ms or longer; serving.dark_launch.latency_ms allows "
            f"{settings.latency_ms:g}. Give the servers more (serving.resources), or raise it"
        )


def latency(answered: Answered, settings: DarkLaunchConfig) -> dict[str, float]:
    """Figures of the times, in ms."""
    taken = np.array(answered.seconds) * 1000
    figures = {"p50": np.quantile(taken, 0.5), "p99": np.quantile(taken, 0.99), "longest": taken.max()}
    return {**{name: round(float(value), 3) for name, value in figures.items()}, "budget": settings.latency_ms}


def prove(
    url: str, logged: LoggedRequests, scorer: Scorer, settings: DarkLaunchConfig, *, proof: str = ""
) -> dict[str, float]:
    """Have an endpoint answer logged requests.

    Args:
        url: V1 prediction URL.
        logged: What to ask.
        scorer: The version that has to answer.
        settings: The budget.
        proof: The version's token, which marks the requests as a proof.

    Returns:
        Figures of the times, in ms; none without requests.

    Raises:
        DeployError: A request was refused, answered otherwise than batch scoring does, or too many took too long.
    """
    if not logged.requests:
        return {}
    answered = answer_again(url, logged.requests, version=scorer.version, proof=proof, patience=_PATIENCE_SECONDS)
    check(answered, logged.requests, scorer, settings)
    return latency(answered, settings)


def compared(
    logged: LoggedRequests, golden: Sequence[GoldenRequest], before: Scorer, now: Scorer
) -> tuple[Comparison | None, str]:
    """Compare with the version that serves, on the logged rows, or on the golden ones where there are none.

    Returns:
        The comparison, None when the versions cannot be compared; and which rows, or why not.
    """
    if (before.schema.task, before.schema.labels) != (now.schema.task, now.schema.labels):
        return None, "not compared: the versions predict different things"
    rows = [row for request in logged.requests for row in request]
    words = f"{len(rows):,} rows of the latest {len(logged.requests):,} logged requests"
    if not rows:
        rows, words = [request.row for request in golden], f"{len(golden)} golden requests"
    try:
        return compare(rows, before, now), words
    except InputError as error:
        return None, f"not compared: version {before.version} does not take these rows: {error}"
