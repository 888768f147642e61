"""Drift between two windows, measured by Evidently with a pinned method and threshold for every column."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from components.shared.config import ColumnDrift, MonitoringConfig
from components.shared.errors import DataError
from components.shared.files import write_text
from components.shared.tracking import no_tracking

_NOTHING_MEASURED = "<!doctype html><title>Drift</title><p>No column has values in both windows.</p>\n"


class ColumnFinding(BaseModel):
    """One column in both windows; `value` is None when there was nothing to measure."""

    model_config = ConfigDict(frozen=True)

    column: str
    method: str
    value: float | None
    threshold: float
    drifted: bool
    reference_nulls: float
    current_nulls: float
    nulls_changed: bool


class DriftFindings(BaseModel):
    """What a comparison found: columns that drifted first, then those whose share of nulls changed."""

    model_config = ConfigDict(frozen=True)

    drifted: bool
    drifted_share: float
    limit: float
    columns: list[ColumnFinding]
    empty: list[str]

    @property
    def drifted_columns(self) -> list[str]:
        """Names of the columns that drifted."""
        return [finding.column for finding in self.columns if finding.drifted]

    @property
    def changed_nulls(self) -> list[str]:
        """Names of the columns whose share of nulls changed."""
        return [finding.column for finding in self.columns if finding.nulls_changed]

    @property
    def measured(self) -> int:
        """Number of columns with values in both windows."""
        return len(self.columns) - len(self.empty)


def choose_tests(
    columns: Sequence[str], settings: MonitoringConfig, *, numeric: frozenset[str]
) -> dict[str, ColumnDrift]:
    """Method and threshold of each column.

    Args:
        columns: The watched columns.
        settings: Methods and thresholds.
        numeric: Columns that are numbers; the others are categories.

    Raises:
        DataError: The settings name a column that is not watched, or a method that does not fit the column.
    """
    if unknown := sorted(set(settings.columns) - set(columns)):
        raise DataError(
            f"monitoring.columns names {', '.join(map(repr, unknown))}, which the model does not use. "
            f"Watched are: {', '.join(columns)}."
        )
    pinned = {
        name: settings.columns.get(name, settings.numeric if name in numeric else settings.categorical)
        for name in columns
    }
    for name, chosen in pinned.items():
        kind, methods = ("number", settings.NUMERIC) if name in numeric else ("category", settings.CATEGORICAL)
        if chosen.method not in methods:
            raise DataError(
                f"monitoring.columns.{name}.method is {chosen.method!r}, and {name!r} is a {kind}: "
                f"use {', '.join(methods)}."
            )
    return pinned


def compare(
    reference: pd.DataFrame, current: pd.DataFrame, settings: MonitoringConfig, *, numeric: frozenset[str], page: Path
) -> DriftFindings:
    """Compare two windows and write Evidently's report page.

    Args:
        reference: Rows to compare with.
        current: The newest rows, with the same columns.
        settings: Methods and thresholds.
        numeric: Columns that are numbers; the others are categories.
        page: Where Evidently's page goes.

    Returns:
        What was found. A column without any value in a window cannot be measured: Evidently would break on it, so it is
        listed as empty, and its share of nulls tells.

    Raises:
        DataError: The settings do not fit the columns.
    """
    pinned = choose_tests(list(reference), settings, numeric=numeric)
    nulls = {name: (float(reference[name].isna().mean()), float(current[name].isna().mean())) for name in reference}
    empty = [name for name, shares in nulls.items() if 1.0 in shares]
    measured = {name: chosen for name, chosen in pinned.items() if name not in empty}
    write_text(page, _NOTHING_MEASURED)
    drift = _measure(reference, current, measured, numeric=numeric, page=page) if measured else {}
    columns = [
        ColumnFinding(
            column=name,
            method=pinned[name].method,
            threshold=pinned[name].threshold,
            value=drift[name][0] if name in drift else None,
            drifted=name in drift and drift[name][1],
            reference_nulls=before,
            current_nulls=now,
            nulls_changed=now != before and abs(now - before) >= settings.null_share_change,
        )
        for name, (before, now) in nulls.items()
    ]
    share = sum(finding.drifted for finding in columns) / max(1, len(measured))
    return DriftFindings(
        drifted=bool(measured) and share >= settings.drift_share,
        drifted_share=share,
        limit=settings.drift_share,
        columns=sorted(columns, key=lambda finding: (not finding.drifted, not finding.nulls_changed)),
        empty=empty,
    )


def _measure(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    pinned: dict[str, ColumnDrift],
    *,
    numeric: frozenset[str],
    page: Path,
) -> dict[str, tuple[float | None, bool]]:
    """Value and verdict a column, by Evidently."""
    # Evidently's libraries warn of one another on import, and NumPy of constant columns, which are no drift.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        no_tracking()
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        names = list(pinned)
        definition = DataDefinition(
            numerical_columns=[name for name in names if name in numeric],
            categorical_columns=[name for name in names if name not in numeric],
        )
        # One metric a column: the preset made of them measures every column three times.
        metrics = [
            ValueDrift(column=name, method=pinned[name].method, threshold=pinned[name].threshold) for name in names
        ]
        windows = [Dataset.from_pandas(frame[names], data_definition=definition) for frame in (current, reference)]
        snapshot = Report(metrics, include_tests=True).run(*windows)
        snapshot.save_html(str(page))
        return _verdicts(snapshot.dict())


def _verdicts(report: dict[str, Any]) -> dict[str, tuple[float | None, bool]]:
    failed = {test["bound_test"]["metric_fingerprint"] for test in report["tests"] if test["status"] == "FAIL"}
    return {
        metric["config"]["column"]: (_finite(metric["value"]), metric["id"] in failed) for metric in report["metrics"]
    }


def _finite(value: Any) -> float | None:
    """A number; None for NaN, which a test of a constant column answers."""
    return float(value) if math.isfinite(value) else None
