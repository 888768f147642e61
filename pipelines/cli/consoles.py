"""Where verbs print: standard output, in colour on a terminal only."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH_OF_A_FILE = 200  # characters: a file or a pipe has no width of its own


def plain_console(*, wide: bool = False) -> "Console":
    """A console without a heading.

    Args:
        wide: Whether tables may be wide where the output is no terminal.
    """
    from rich.console import Console

    width = _WIDTH_OF_A_FILE if wide and not sys.stdout.isatty() else None
    return Console(file=sys.stdout, highlight=False, width=width)


def plain_table(*columns: str) -> "Table":
    """A table without lines; ids are for copying, so they are never cut: what says why takes what is left of a line."""
    from rich.table import Table

    table = Table(box=None, pad_edge=True, header_style="dim")
    for name in columns:
        table.add_column(name, no_wrap=name != "WHY", overflow="fold")
    return table


def run_console(name: str, about: str) -> "Console":
    """The console of a run, with the heading printed; kfp's output, which is redirected later, does not reach it."""
    from rich.text import Text

    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings of retries are not for the terminal
    console = plain_console()
    console.print(Text.assemble("\n", (name, "bold"), f" · {about}\n"), soft_wrap=True)
    return console


@contextlib.contextmanager
def warnings_of_a_failed_run(console: "Console") -> Iterator[None]:
    """Print what the stages warned of before one failed: it often says why."""
    from pipelines.local.run import RunError
    from pipelines.summary import print_warnings

    try:
        yield
    except RunError as error:
        if error.result is not None:
            print_warnings(error.result, console)
        raise
