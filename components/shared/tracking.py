"""Libraries that would report to their makers how they are used are switched to silence.

Evidently (its own server, which is imported with its reports, and its collector) sends usage to its makers unless the
variable is there, whatever its value; other tools keep to the same convention (https://consoledonottrack.com).
"""

import os

DO_NOT_TRACK = {"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1"}


def no_tracking() -> None:
    """Turn usage reports off, for this process and those it starts."""
    os.environ.update(DO_NOT_TRACK)
