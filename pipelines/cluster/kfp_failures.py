"""What Kubeflow Pipelines and the network say of a request that failed, in the user's words.

The client of Kubeflow Pipelines prints, warns, and raises errors with whole HTML pages. What the service or the network
said is in there somewhere, and that is all that a person needs; `kfp_api` puts it behind what was tried and where.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import urllib3

if TYPE_CHECKING:
    from kfp_server_api import ApiException


def service_message(error: "ApiException") -> str:
    """The service's own message, with a comma before it; empty where the answer is not JSON, such as HTML."""
    try:
        said = json.loads(error.body or "")
    except (TypeError, ValueError):
        return ""
    said = said if isinstance(said, dict) else {}
    nested = said["error"] if isinstance(said.get("error"), dict) else {}
    text = said.get("message") or nested.get("message") or said.get("error") or ""
    return f", {' '.join(str(text).split())}" if text else ""


def network_cause(error: Exception) -> str:
    """Why a request did not come to an answer, to stand after a colon."""
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return "the host name is not known"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):  # a time-out too, to urllib3
        return f"nothing answers there ({str(reason).rpartition('] ')[2]})"
    if isinstance(reason, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return " ".join(str(reason).split()) or type(reason).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what kfp's client prints, warns and logs: what matters is in its answers and errors."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
