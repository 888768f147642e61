"""Asking a running endpoint: is it ready, and does it answer its golden requests?

The golden requests are part of the package, each with the answer that training got. A server that answers them serves
this model, and reads requests as it was trained on them. Callers need to tell two failures apart: nobody answered,
which may pass, and a wrong answer, which does not.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.shared.errors import DeployError, UnreachableError, WrongAnswerError
from components.shared.package.golden import differences
from components.shared.package.model_package import GoldenRequest, read_golden
from components.shared.package.proof import HEADER, proof_token

_REQUEST_SECONDS = 10.0
_POLL_SECONDS = 0.05


def wait_until_ready(url: str, *, seconds: float, alive: Callable[[], bool]) -> bool:
    """Wait until the model of a prediction URL says it is ready.

    Args:
        url: V1 prediction URL.
        seconds: How long to wait.
        alive: Whether the server still runs; the wait ends when it does not.

    Returns:
        Whether it is ready.
    """
    model = url.removesuffix(":predict")
    deadline = time.monotonic() + seconds
    while alive() and (left := deadline - time.monotonic()) > 0:
        try:
            if _is_ready(_open(model, seconds=min(left, _REQUEST_SECONDS))):
                return alive()  # or another program answers at its port
        except (OSError, ValueError, http.client.HTTPException):
            pass
        time.sleep(_POLL_SECONDS)
    return False


def _is_ready(answer: object) -> bool:
    return isinstance(answer, dict) and answer.get("ready") in (True, "True")


def replay_golden(url: str, package: Path, *, version: str, rows: int = 1000) -> list[str]:
    """Send a package's golden requests to an endpoint, marked as a proof.

    Args:
        url: V1 prediction URL.
        package: Folder of the package.
        version: The version that has to answer.
        rows: Most rows of a request.

    Returns:
        What is wrong with the answers; empty when nothing is.
    """
    golden = read_golden(package)
    try:
        answers = golden_answers(url, golden, version=version, rows=rows, proof=proof_token(package))
    except DeployError as error:
        return [str(error)]
    return differences(golden, answers)


def golden_answers(
    url: str, golden: Sequence[GoldenRequest], *, version: str, rows: int = 1000, proof: str = ""
) -> list[Any]:
    """What an endpoint answers to golden requests.

    Raises:
        UnreachableError: The endpoint cannot be reached.
        WrongAnswerError: It refuses, or another version answers.
    """
    answers: list[Any] = []
    for start in range(0, len(golden), rows):
        answer = ask(url, [request.row for request in golden[start : start + rows]], proof=proof)
        if (found := answer.get("model_version")) != version:
            raise WrongAnswerError(f"{url} is served by version {found}")
        predictions = answer.get("predictions")
        answers += predictions if isinstance(predictions, list) else []
    return answers


def ask(url: str, rows: list[dict[str, Any]], *, proof: str = "") -> dict[str, Any]:
    """Ask for predictions.

    Args:
        url: V1 prediction URL.
        rows: What to ask.
        proof: The version's token, for a request that proves it; empty for one like a client's.

    Raises:
        UnreachableError: The endpoint cannot be reached.
        WrongAnswerError: It refuses, or what it answers is no prediction.
    """
    try:
        answer = _open(url, body=json.dumps({"instances": rows}).encode(), seconds=_REQUEST_SECONDS, proof=proof)
    except urllib.error.HTTPError as error:
        raise WrongAnswerError(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:300]}") from error
    except ValueError as error:
        raise WrongAnswerError(f"{url} does not answer: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{url} does not answer: {error}") from error
    if not isinstance(answer, dict):
        raise WrongAnswerError(f"{url} answered {str(answer)[:300]}, which is no prediction.")
    return answer


def _open(url: str, *, seconds: float, body: bytes | None = None, proof: str = "") -> Any:
    """The JSON at an address of this machine, which no proxy has to know."""
    headers = {"Content-Type": "application/json", **({HEADER: proof} if proof else {})}
    request = urllib.request.Request(url, data=body, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as response:
        return json.load(response)
