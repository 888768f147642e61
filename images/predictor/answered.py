"""Requests that were answered: what the event loop hands on, to be counted, logged and copied off the request path.

Counting and logging would delay the next answers. So the event loop only hands on what it has, arrays and times of
several requests at once, and never looks at a row again; the recorder's thread works on them later, many at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.shared.package.scoring import Inputs, joined

Extras = dict[str, list[str | None]]


class AnsweredRequest(NamedTuple):
    """One request of several that were answered together.

    Attributes:
        request_id: Its id.
        arrived: When it arrived, in seconds since 1970.
        rows: Its number of rows.
        extras: The values of keys and time column that came along.
        seconds: From its arrival to its answer.
    """

    request_id: bytes
    arrived: float
    rows: int
    extras: Extras
    seconds: float


@dataclass(slots=True)
class Answered:
    """Requests that were answered together.

    Attributes:
        inputs: Their rows.
        scores: The answers.
        requests: What else is known of each.
    """

    inputs: Inputs
    scores: NDArray[np.float32]
    requests: Sequence[AnsweredRequest]

    def sampled(self, share: float) -> "Answered":
        """Some of the requests, by chance."""
        if share >= 1.0:
            return self
        return self.only(np.random.default_rng().random(len(self.requests)) < share)

    def only(self, chosen: NDArray[np.bool_]) -> "Answered":
        """Some of the requests, each chosen or not."""
        rows = np.repeat(chosen, [request.rows for request in self.requests])
        return Answered(
            self.inputs.rows(rows),
            self.scores[rows],
            [item for item, keep in zip(self.requests, chosen, strict=True) if keep],
        )


def together(answered: Sequence[Answered]) -> Answered:
    """Several as one."""
    return Answered(
        joined([item.inputs for item in answered]),
        np.concatenate([item.scores for item in answered]),
        [request for item in answered for request in item.requests],
    )
