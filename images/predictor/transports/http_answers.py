"""Statuses and errors of HTTP, for every transport that speaks it, whichever server receives the requests."""

import json
from collections.abc import Sequence

from images.predictor.messages import Pairs, Reason, Response

HTTP_STATUS = {
    Reason.INVALID: 400,
    Reason.NOT_FOUND: 404,
    Reason.NOT_ALLOWED: 405,
    Reason.LATE: 408,
    Reason.TOO_LARGE: 413,
    Reason.ENCODING: 415,
    Reason.HEAD_TOO_LARGE: 431,
    Reason.FAILED: 500,
    Reason.BUSY: 503,
    Reason.TIMED_OUT: 504,
}


def http_answer(response: Response) -> tuple[int, bytes, Sequence[tuple[bytes, bytes]]]:
    """Status, body and headers of an answer; an error without a body of its own is `{"error": "…"}`."""
    error = response.error
    if error is None:
        return 200, response.body, response.headers or ()
    body = response.body or json.dumps({"error": str(error)}).encode()
    headers: Pairs = [*error.details, *(response.headers or ())]
    return HTTP_STATUS[error.reason], body, headers
