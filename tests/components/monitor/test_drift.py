import math
import multiprocessing
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from components.monitor.drift import DriftFindings, choose_tests
from components.monitor.evidently_page import Compared, evidently_page, page_maker
from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import compare, gather
from components.shared.config import ColumnDrift, DriftMethod, MonitoringConfig
from components.shared.errors import DataError

ROWS = 600


def window(seed: int, **changes: Any) -> pd.DataFrame:
    """Columns of every kind, drawn alike; a change replaces a column."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=ROWS).astype(np.float32),
            "flag": (random.random(ROWS) < 0.3).astype(np.float32),
            "colour": random.choice(["röt", "blue 青", "green"], ROWS).astype(object),
            "constant": np.full(ROWS, 3, dtype=np.float32),
            "one": np.full(ROWS, "only", dtype=object),
            "prediction": random.random(ROWS).astype(np.float32),
        }
    )
    return frame.assign(**changes)


def found(reference: pd.DataFrame, current: pd.DataFrame, page: Path, **settings: Any) -> DriftFindings:
    numeric = frozenset(name for name in reference if reference[name].dtype != object)
    before = reference_statistics(reference, numeric=numeric)
    now = gather([table_of(current)], before.bins)
    findings = compare(before, now, MonitoringConfig.model_validate(settings))
    evidently_page(Compared(reference, current, findings, numeric), page)
    return findings


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "evidently.html"


def test_the_same_distribution_is_no_drift(page, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = found(window(0), window(1), page)
    assert not findings.drifted
    assert findings.drifted_columns == findings.changed_nulls == findings.empty == []
    assert findings.measured == 6
    assert [finding.column for finding in findings.columns] == list(window(0))
    values = {finding.column: finding.value for finding in findings.columns}
    assert values["constant"] == values["one"] == 0.0
    assert all(value is not None and value < 0.1 for value in values.values())
    assert page.read_text(encoding="utf-8").count("amount")
    assert capfd.readouterr() == ("", "")


def test_nobody_is_told_that_evidently_is_used(page, monkeypatch):
    """Its events go out by a process of their own: none is started, not even when one is sent on purpose."""
    for name in ("DO_NOT_TRACK", "ITERATIVE_DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    found(window(0), window(1), page)
    from evidently.telemetry import event_logger

    started: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **_: started.append(arguments))
    event_logger.send_event("report", "run")
    event_logger.send_event("report", "run", use_thread=False, use_daemon=True)
    assert not event_logger.is_enabled()
    assert started == []


def test_shifted_columns_drift(page):
    current = window(1, amount=window(1)["amount"] + 0.5, colour=np.full(ROWS, "other", dtype=object))
    findings = found(window(0), current, page, drift_share=0.3)
    assert findings.drifted_columns == ["amount", "colour"]
    assert findings.drifted_share == pytest.approx(2 / 6)
    assert findings.drifted
    assert not found(window(0), current, page, drift_share=0.5).drifted
    values = {finding.column: finding.value for finding in findings.columns}
    assert values["amount"] == pytest.approx(0.5, abs=0.1)  # in standard deviations


def test_a_changed_share_of_nulls_is_told_apart(page):
    amount = window(1)["amount"].where(np.arange(ROWS) % 4 != 0)
    findings = found(window(0), window(1, amount=amount), page)
    assert findings.changed_nulls == ["amount"]
    assert not findings.drifted_columns
    first = findings.columns[0]
    assert (first.column, first.reference_nulls, first.current_nulls) == ("amount", 0.0, 0.25)
    assert not found(window(0), window(1, amount=amount), page, null_share_change=0.3).changed_nulls
    assert not found(window(0), window(1), page, null_share_change=0.0).changed_nulls


@pytest.mark.parametrize("column", ["amount", "colour"])
@pytest.mark.parametrize("side", ["reference", "current"])
def test_a_column_without_values_is_not_measured(page, column, side):
    windows = {"reference": window(0), "current": window(1)}
    windows[side][column] = np.nan if column == "amount" else pd.Series([None] * ROWS, dtype=object)
    findings = found(windows["reference"], windows["current"], page)
    assert findings.empty == [column]
    assert findings.measured == 5
    assert findings.changed_nulls == [column]
    assert findings.columns[0].value is None
    assert not findings.drifted


def test_nothing_to_measure_is_no_drift(page):
    empty = pd.DataFrame({"amount": np.full(5, np.nan, dtype=np.float32)})
    findings = found(empty, empty, page, drift_share=0.0)
    assert not findings.drifted
    assert findings.measured == 0
    assert findings.changed_nulls == []
    assert "No column has values in both windows" in page.read_text()


@pytest.mark.parametrize("numeric", MonitoringConfig.NUMERIC)
@pytest.mark.parametrize("categorical", MonitoringConfig.CATEGORICAL)
def test_every_method_tells_drift_from_none(page, numeric: DriftMethod, categorical: DriftMethod):
    """Distances drift from their threshold on, p-values below it."""
    threshold = {"ks": 0.001, "chisquare": 0.001}
    settings = {
        "numeric": ColumnDrift(method=numeric, threshold=threshold.get(numeric, 0.15)),
        "categorical": ColumnDrift(method=categorical, threshold=threshold.get(categorical, 0.15)),
    }
    names = ["amount", "colour"]
    assert not found(window(0)[names], window(1)[names], page, **settings).drifted_columns
    current = window(1, amount=window(1)["amount"] * 3 + 2, colour=np.full(ROWS, "röt", dtype=object))[names]
    assert found(window(0)[names], current, page, **settings).drifted_columns == names


def test_a_test_without_an_answer_is_not_drift(page):
    """The chi-square test of a column with one category is not defined."""
    names = ["one", "amount"]
    findings = found(window(0)[names], window(1)[names], page, categorical={"method": "chisquare", "threshold": 0.05})
    by_name = {finding.column: finding for finding in findings.columns}
    assert by_name["one"].value is None
    assert not by_name["one"].drifted


def test_a_column_may_have_its_own_method(page):
    settings = {
        "columns": {"flag": {"method": "psi", "threshold": 0.01}, "prediction": {"method": "ks", "threshold": 1e-9}},
    }
    oftener = window(1, flag=(np.random.default_rng(1).random(ROWS) < 0.4).astype(np.float32))
    by_name = {finding.column: finding for finding in found(window(0), oftener, page, **settings).columns}
    assert (by_name["flag"].method, by_name["flag"].threshold, by_name["flag"].drifted) == ("psi", 0.01, True)
    assert (by_name["prediction"].method, by_name["prediction"].drifted) == ("ks", False)
    assert by_name["amount"].method == "wasserstein"
    assert by_name["colour"].method == "jensenshannon"


def test_columns_may_have_any_name(page):
    names = {"amount": "target", "flag": "a b'\"<&>", "colour": "naïve 我", "one": "id", "constant": "timestamp"}
    findings = found(window(0).rename(columns=names), window(1).rename(columns=names), page)
    assert [finding.column for finding in findings.columns] == list(window(0).rename(columns=names))
    assert not findings.drifted_columns


def test_a_few_rows_are_compared_too(page):
    findings = found(window(0).head(2), window(1).head(1), page)
    assert findings.measured == 6
    assert all(finding.value is None or math.isfinite(finding.value) for finding in findings.columns)


def test_settings_that_do_not_fit_the_columns():
    columns, numeric = ["amount", "colour"], frozenset({"amount"})

    def settings(name: str, method: str) -> MonitoringConfig:
        return MonitoringConfig.model_validate({"columns": {name: {"method": method, "threshold": 0.1}}})

    with pytest.raises(
        DataError,
        match=r"monitoring.columns names 'colur', which the model does not use. Watched are: amount, colour\.",
    ):
        choose_tests(columns, settings("colur", "psi"), numeric=numeric)
    with pytest.raises(
        DataError, match=r"columns.colour.method is 'ks', and 'colour' is a category: use jensenshannon, psi, chi"
    ):
        choose_tests(columns, settings("colour", "ks"), numeric=numeric)
    with pytest.raises(
        DataError, match=r"columns.amount.method is 'chisquare', and 'amount' is a number: use wasserstein"
    ):
        choose_tests(columns, settings("amount", "chisquare"), numeric=numeric)


@pytest.mark.parametrize(
    ("kind", "method"), [("numeric", "chisquare"), ("categorical", "ks"), ("categorical", "wasserstein")]
)
def test_general_methods_are_checked_with_the_configuration(kind, method):
    with pytest.raises(ValidationError, match=rf"{kind}.method: '{method}' is not for {kind} columns, use "):
        MonitoringConfig.model_validate({kind: {"method": method, "threshold": 0.1}})


NUMERIC = frozenset(name for name in window(0) if window(0)[name].dtype != object)


class TestPageMaker:
    """The process that loads Evidently beside the reading, and makes the pages."""

    def test_pages_are_those_of_this_process(self, page):
        findings = found(window(0), window(1), page)
        with page_maker() as make_page:
            for number in range(2):
                made = page.with_name(f"{number}.html")
                make_page(Compared(window(0), window(1), findings, NUMERIC), made)
                assert made.stat().st_size == pytest.approx(page.stat().st_size, rel=0.01)

    def test_an_error_is_raised_here_and_the_next_page_is_made(self, page):
        findings = found(window(0), window(1), page)
        with page_maker() as make_page:
            with pytest.raises(RuntimeError, match="could not be made:\n(.*\n)*KeyError"):
                make_page(Compared(window(0)[["one"]], window(1)[["one"]], findings, frozenset()), page)
            page.unlink()
            make_page(Compared(window(0), window(1), findings, NUMERIC), page)
            assert page.is_file()

    def test_a_process_that_was_killed_is_said(self, page):
        findings = found(window(0), window(1), page)
        with page_maker() as make_page:
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
            with pytest.raises(RuntimeError, match="ended with exit code -9, for want of memory most likely"):
                make_page(Compared(window(0), window(1), findings, frozenset()), page)

    def test_nothing_is_left_where_no_page_was_asked_for(self):
        with page_maker():
            pass
        assert multiprocessing.active_children() == []
