"""Evidently's own page of two windows, from a bounded sample: for looking around, the verdict is made elsewhere.

Evidently takes seconds to load, about as long as reading a day of requests. So the scheduled job lets a process of its
own load it while it reads, and make the pages of the rows that it is sent.
"""

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from components.monitor.drift import DriftFindings
from components.shared.files import write_text
from components.shared.tracking import no_tracking

_NOTHING_MEASURED = "<!doctype html><title>Drift</title><p>No column has values in both windows.</p>\n"
# With these the page has about 6 MB, of which 4 are Evidently's scripts, and takes some seconds.
_MOST_ROWS, _MOST_COLUMNS = 2_000, 40


class Compared(NamedTuple):
    """What a page is about.

    Attributes:
        reference: Rows to compare with.
        current: The newest rows, with the same columns.
        findings: What was found of all rows. The page shows its first columns that have values in both windows, with
            their methods and thresholds; Evidently breaks on a column without any.
        numeric: Columns that are numbers; the others are categories.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    findings: DriftFindings
    numeric: frozenset[str]

    def sampled(self) -> "Compared":
        """The same, with a bounded number of rows."""
        return self._replace(reference=_sample(self.reference), current=_sample(self.current))


# Writes the page of a comparison to a file: `evidently_page`, or the process that runs it.
MakePage = Callable[[Compared, Path], None]


@contextmanager
def page_maker() -> Iterator[MakePage]:
    """A process that loads Evidently meanwhile, and then makes the pages that it is asked for, one after another.

    Raises:
        RuntimeError: At a call: the page could not be made, or the process ended, for want of memory most likely.
    """
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_make_pages, args=(there,), daemon=True)
    process.start()
    there.close()

    def make(compared: Compared, page: Path) -> None:
        try:
            here.send((compared.sampled(), page))
            error = here.recv()
        except (EOFError, OSError):
            process.join()
            raise RuntimeError(
                f"The process that makes Evidently's page ended with exit code {process.exitcode}, for want of memory "
                "most likely."
            ) from None
        if error:
            raise RuntimeError(f"Evidently's page could not be made:\n{error}")

    try:
        yield make
    finally:
        process.kill()
        process.join()
        here.close()


def _make_pages(connection: Connection) -> None:
    """Body of the process: load Evidently, make a page for each message, and send back the error, empty for none."""
    _load()
    while True:
        try:
            compared, page = connection.recv()
        except EOFError:
            return
        error = ""
        try:
            evidently_page(compared, page)
        except Exception:  # noqa: BLE001, it is raised where the page was asked for
            error = traceback.format_exc()
        connection.send(error)


def evidently_page(compared: Compared, page: Path) -> None:
    """Write Evidently's report of drift and of the columns as they are.

    Args:
        compared: What it is about.
        page: Where the page goes.
    """
    reference, current, findings, numeric = compared.sampled()
    names = [
        finding.column
        for finding in findings.columns
        if finding.value is not None and not any(frame[finding.column].isna().all() for frame in (reference, current))
    ][:_MOST_COLUMNS]
    if not names:
        write_text(page, _NOTHING_MEASURED)
        return
    _load()
    # NumPy warns of constant columns, which are no drift.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report

        definition = DataDefinition(
            numerical_columns=[name for name in names if name in numeric],
            categorical_columns=[name for name in names if name not in numeric],
        )
        before, now = (Dataset.from_pandas(frame[names], data_definition=definition) for frame in (reference, current))
        Report(_metrics(findings, names), include_tests=True).run(now, before).save_html(str(page))


def _load() -> None:
    """Import what the page is made with; its libraries warn of one another."""
    no_tracking()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently.metrics
        import evidently.presets  # noqa: F401


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    return frame if len(frame) <= _MOST_ROWS else frame.sample(_MOST_ROWS, random_state=0)


def _metrics(findings: DriftFindings, names: list[str]) -> list[Any]:
    from evidently.metrics import ValueDrift
    from evidently.presets import DataSummaryPreset

    shown = {finding.column: finding for finding in findings.columns}
    # One metric a column: the preset made of them measures every column three times.
    drift = [ValueDrift(column=name, method=shown[name].method, threshold=shown[name].threshold) for name in names]
    return [*drift, DataSummaryPreset(columns=names)]
