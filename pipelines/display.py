"""What a person sees while a run goes on: a line a stage as it ends, and what is running now.

Several tasks may run at once and end from several threads, so lines are written as stages end, never as they begin;
what is running now is drawn below them and disappears. In a file or a CI log there is nothing to draw over, and only
the lines are left.
"""

import threading
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from pipelines.task_records import TaskRecord

_LABEL_WIDTH = 31


class Progress:
    """Live progress of a run; on a terminal the running stages are shown with a clock, elsewhere one line a stage.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._running: list[TaskRecord] = []
        self._lock = threading.Lock()
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "Progress":
        """Begin to draw."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; what has ended stays on the screen."""
        if self.console.is_terminal:
            self._live.stop()

    def started(self, record: TaskRecord) -> None:
        """Show the stage as running."""
        with self._lock:
            self._running.append(record)

    def ended(self, record: TaskRecord) -> None:
        """Write a line for each stage that ended."""
        with self._lock:
            if record in self._running:
                self._running.remove(record)
        for part in record.parts or [record]:
            self._print_ended(part)

    def _print_ended(self, record: TaskRecord) -> None:
        mark, style = ("✗", "red") if record.cause else ("✓", "green")
        line = Text.assemble(
            (f" {mark} ", style), f"{record.label:<{_LABEL_WIDTH}}", (f"{record.seconds:5.1f} s  ", "cyan")
        )
        line.append("failed" if record.cause else record.message, "red" if record.cause else "")
        self.console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        with self._lock:
            running = list(self._running)
        now = time.monotonic()
        return Group(
            *(
                Text.assemble(
                    " ",
                    str(self._spinner.render(now)),
                    " ",
                    f"{record.label:<{_LABEL_WIDTH}}",
                    (f"{now - record.started:5.1f} s", "dim"),
                )
                for record in running
            )
        )
