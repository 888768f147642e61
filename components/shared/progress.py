"""What a stage says in its log of what it did, read by people and by what follows a run.

A task that runs several stages says besides where each begins and ends, so that its one log can be divided again.
"""

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from components.shared.errors import FullcircleError

MARK = "▸ "
_BORDER = re.compile(r"■ (?P<stage>[a-z]+) (?:begins|ended after (?P<seconds>[0-9.]+) s)$")


def announce(message: str) -> None:
    """Print the stage's one-line summary, such as `336,776 rows, 24 columns`."""
    print(f"{MARK}{message}", flush=True)  # noqa: T201, the pod's log is where it belongs


def tell_failure(error: Exception, *, model: str = "") -> None:
    """Write an error to standard error; one that is a defect of the project with its traceback.

    Args:
        error: What was raised.
        model: The model that it is about.
    """
    if not isinstance(error, FullcircleError):
        sys.stderr.write("\n" + "".join(traceback.format_exception(error)))
    said = str(error) if isinstance(error, FullcircleError) else f"{type(error).__name__}: {error}"
    sys.stderr.write(f"\n{model}: {said}\n" if model else f"\n{said}\n")


@contextmanager
def borders(stage: str) -> Iterator[None]:
    """Print where the stage's part of the log begins and, unless it fails, where it ends."""
    print(f"■ {stage} begins", flush=True)  # noqa: T201
    start = monotonic()
    yield
    print(f"■ {stage} ended after {monotonic() - start:.2f} s", flush=True)  # noqa: T201


@dataclass(slots=True)
class StageLog:
    """One stage's part of a task's log.

    Attributes:
        stage: Its name.
        lines: What it wrote.
        seconds: How long it ran; None where it did not end.
    """

    stage: str
    lines: list[str] = field(default_factory=list)
    seconds: float | None = None

    @property
    def text(self) -> str:
        """The lines as a text."""
        return "".join(f"{line}\n" for line in self.lines)


def divide(log: str) -> list[StageLog]:
    """The parts of the log of a task that ran several stages, one for each that began; what stands before is left out.

    What follows the end of the last stage that began belongs to it: a traceback does.
    """
    found: list[StageLog] = []
    for line in log.splitlines():
        if not (border := _BORDER.match(line)):
            if found:
                found[-1].lines.append(line)
        elif border["seconds"] is None:
            found.append(StageLog(border["stage"]))
        elif found:
            found[-1].seconds = float(border["seconds"])
    return found
