"""What fails for a moment: tried again, with growing waits, for a limited time. The one place that says how.

A pod that is moved, or a store that restarts, should not cost a run; a wrong address should be told at once. What may
pass, the caller says by the error it raises. Waits grow, and are cut at random, so that the tasks of a run do not all
come back at once.
"""

import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from components.shared.errors import FullcircleError

Result = TypeVar("Result")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
_SECONDS_IN_A_POD = 60.0


def retry_seconds() -> float:
    """For how long a service that is away for a moment is tried again, in seconds.

    `FULLCIRCLE_RETRY_SECONDS` says it. Otherwise a minute in a pod, where nobody waits and a service may be about to
    come up again; elsewhere not at all, where a person has mistyped an address more often.
    """
    if stated := os.environ.get("FULLCIRCLE_RETRY_SECONDS"):
        return float(stated)
    return _SECONDS_IN_A_POD if os.environ.get("KUBERNETES_SERVICE_HOST") else 0.0


# Example: the waits are at most 0.5, 1, 2, 4, 8 and then 10 s, each cut to between a half and the whole of it.
def retry_transient(
    action: Callable[[], Result], *, is_transient: Callable[[FullcircleError], bool], seconds: float
) -> Result:
    """Do what may fail for a moment until it succeeds.

    Args:
        action: What is to be done; doing it twice must do no harm.
        is_transient: Whether an error is one that may be gone in a moment.
        seconds: For how long it is tried again.

    Returns:
        What the action gives.

    Raises:
        FullcircleError: The action's last error: one that stays, or the time is over.
    """
    deadline, wait = time.monotonic() + seconds, _FIRST_WAIT
    while True:
        try:
            return action()
        except FullcircleError as error:
            left = deadline - time.monotonic()
            if left <= 0 or not is_transient(error):
                raise
            # Not all tasks of a run at the same moment.
            pause = min(left, wait * random.uniform(0.5, 1))
            print(f"{error} It is tried again in {pause:.1f} s.", flush=True)  # noqa: T201, for the pod's log
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)
