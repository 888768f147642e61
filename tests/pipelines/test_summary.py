"""What a run ends with, from what it left behind."""

import io
import json
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from components.shared.config import Config
from pipelines import summary
from pipelines.local.run import RunError, RunResult
from pipelines.task_records import TaskRecord

CONFIG = Config.model_validate(
    {"name": "wine", "source": {"tables": {"t": {"path": "t.csv"}}}, "problem": {"target": "y", "task": "binary"}}
)
URL = "http://127.0.0.1:8080/v1/models/wine:predict"
ROW = {"name": 'it\'s $HOME; `ls` "quoted"', "größe 高": 1.5, "none": None}


@pytest.fixture
def result(tmp_path) -> RunResult:
    """A run whose gate passed one check of two, and whose candidate was not deployed."""
    checks = [{"name": "accuracy", "holds": True}, {"name": "champion", "holds": False}]
    verdict = {"promoted": False, "forced": False, "reasons": ["worse than [1] by 3%"], "checks": checks}
    (tmp_path / "verdict").write_text(json.dumps(verdict), encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "golden.json").write_text(json.dumps([{"row": ROW}]), encoding="utf-8")
    records = [record(tmp_path, "gate", "verdict"), record(tmp_path, "train", "model")]
    return RunResult(tmp_path, records, 12.3)


def record(folder: Path, stage: str, *artifacts: str) -> TaskRecord:
    return TaskRecord(label=stage, log=folder / f"{stage}.log", artifacts={name: folder / name for name in artifacts})


def deployed(result: RunResult) -> RunResult:
    (result.folder / "endpoint").write_text(json.dumps({"url": URL, "version": "v"}), encoding="utf-8")
    result.records.append(record(result.folder, "deploy", "endpoint"))
    return result


def printed(result: RunResult) -> str:
    console = Console(file=io.StringIO(), width=60, highlight=False)
    summary.print_summary(result, result.folder / "index.html", console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_run_that_was_not_promoted_says_why(result):
    shown = printed(result)

    assert " Gate      not promoted (1 of 2 checks hold)\n" in shown
    assert "· worse than [1] by 3%\n" in shown
    assert "unchanged: the candidate was not deployed" in shown
    assert "curl" not in shown
    assert " Metrics   not known\n" in shown


def test_a_deployed_run_shows_its_address_and_one_unbroken_request(result):
    shown = printed(deployed(result))

    assert f" Endpoint  {URL}\n" in shown
    assert summary.curl_line(URL, result) in shown.splitlines()


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("drift", "Drift: how what the endpoint was asked differs"), ("newest_rows", "Newest rows: how they differ")],
)
def test_what_is_no_drift_report_is_not_called_one(result, kind, shown):
    (result.folder / "drift").write_text(json.dumps({"kind": kind}), encoding="utf-8")
    (result.folder / "monitor_page").write_text("<title>page</title>", encoding="utf-8")
    result.records.append(record(result.folder, "monitor", "drift", "monitor_page"))
    config = Config.model_validate(
        {
            "name": "wine",
            "source": {"tables": {"a": {"path": "a.csv"}}},
            "problem": {"target": "y", "task": "binary"},
        }
    )
    page = summary.write_index(config, result).read_text(encoding="utf-8")
    assert shown in page
    assert ("Drift" in page) == (kind == "drift")


def test_the_request_survives_the_shell_whatever_the_row_holds(result):
    words = shlex.split(summary.curl_line(URL, result))

    assert words[:3] == ["curl", "-s", URL]
    assert json.loads(words[-1]) == {"instances": [ROW]}


@pytest.mark.parametrize(
    ("promoted", "forced", "words"),
    [(True, False, "promoted (1"), (True, True, "promoted by force (1"), (False, False, "not promoted (1")],
)
def test_the_verdict_in_words(result, promoted, forced, words):
    path = result.folder / "verdict"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "promoted": promoted, "forced": forced}))

    assert summary.verdict_line(result).startswith(words)


def test_paths_are_shown_as_short_as_they_can_be_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert summary.shown_path(tmp_path / "build" / "index.html") == "build/index.html"
    assert summary.shown_path(Path("/x")) == "/x"


def test_artifacts_that_are_not_there_are_none(result):
    assert result.artifact("gate", "gate_page") is None
    assert result.artifact("nothing", "page") is None
    assert result.json("train", "model", "absent.json") is None


def test_failures_are_told_one_after_the_other(tmp_path):
    failed = [record(tmp_path, "tune"), record(tmp_path, "profile")]
    for one in failed:
        one.cause = "Line one.\nLine two."

    text = str(RunError(failed))

    assert text == "\n".join(
        f"{name} failed:\n  Line one.\n  Line two.\n  Details: {tmp_path / name}.log" for name in ("tune", "profile")
    )


def predicted(folder: Path, **changes: object) -> str:
    found = {
        "place": "s3://b/predictions/x/1-a/", "version": "v", "rows": 10, "predicted": 10, "rejected": 0,
        "columns": ["id", "prediction"], "classes": {"false": 9_000, "true": 1}, "values": None, "reasons": [],
    }  # fmt: skip
    (folder / "summary").write_text(json.dumps({**found, **changes}), encoding="utf-8")
    console = Console(file=io.StringIO(), width=60, highlight=False)
    summary.print_predictions(RunResult(folder, [record(folder, "predict", "summary")], 1.0), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_predictions_end_with_counts_and_an_unbroken_line_that_reads_them(tmp_path):
    shown = predicted(tmp_path)

    assert " Rows      10 of 10 predicted by version v\n" in shown
    assert " Answers   false 9,000 · true 1\n" in shown
    assert " Columns   id, prediction\n" in shown
    line = next(line for line in shown.splitlines() if " fetch " in line)
    assert "build/predictions/1-a/part-*.parquet" in shlex.split(line)[-1]


def test_rows_set_aside_are_explained_below_their_count(tmp_path):
    shown = predicted(tmp_path, predicted=9, rejected=1, reasons=["Row 3, column 'x': found [1]; expected a number."])

    assert "1 written to rejected.parquet, the first because\n            · Row 3, column 'x': found [1]" in shown


def test_predicted_values_are_summed_up(tmp_path):
    values = {"mean": 1.25, "minimum": -2.0, "maximum": 1234567.0}

    assert " Answers   mean 1.25 · minimum -2 · maximum 1,234,567" in predicted(tmp_path, values=values).replace(
        "−", "-"
    )


WARNED = "10 of 50 rows (20.0%) have no label in [y] and were removed."


def warned(result: RunResult) -> RunResult:
    """A run whose stages have something to say, each in its own JSON."""
    told = {
        "splits/summary.json": {"warnings": [WARNED], "remarks": ["'patient' groups the split and is no feature."]},
        "validate_report": {"warnings": ["x.allowed: expected one of 1; found 2 of 10 rows."]},
        "model/training.json": {"lineage": {"warnings": ["None in 12 rows was read as missing."]}},
        "trials": {"warnings": ["2 trials were cut short."]},
        "summary": {"warnings": [f"c{number} is constant." for number in range(9)]},
        "drift": {"warnings": []},
    }
    for path, content in told.items():
        (result.folder / path).parent.mkdir(exist_ok=True)
        (result.folder / path).write_text(json.dumps(content), encoding="utf-8")
    stages = [("prepare", "splits"), ("validate", "validate_report"), ("tune (lightgbm)", "trials")]
    stages += [("profile", "summary"), ("monitor", "drift")]
    result.records.extend(record(result.folder, *stage) for stage in stages)
    return result


def test_every_warning_stands_at_the_end_with_its_stage(result):
    shown = printed(warned(result))

    assert " Warnings (4)\n" in shown
    said = ["ingest: None in 12 rows was read as missing.", f"prepare: {WARNED}", "tune (lightgbm): 2 trials were cut"]
    places = [shown.index(f"            · {text}") for text in said]
    assert places == sorted(places)
    assert "· validate: x.allowed: expected one of 1; found 2 of 10 rows.\n" in shown
    assert " Remarks (10)\n" in shown
    assert "· prepare: 'patient' groups the split and is no feature.\n" in shown
    assert "· and 4 more on the index page\n" in shown


def test_a_run_without_warnings_says_nothing_of_any(result):
    assert "Warnings" not in printed(result)
    assert "Remarks" not in printed(result)


def test_the_index_page_has_every_warning_and_remark(result):
    page = summary.write_index(CONFIG, warned(result)).read_text(encoding="utf-8")

    for text in ("None in 12 rows was read as missing.", WARNED, "2 trials were cut short.", "c8 is constant."):
        assert text in page
    assert "Warnings (4)" in page


def test_warnings_of_a_prediction_stand_at_its_end(tmp_path):
    shown = predicted(tmp_path, lineage={"warnings": ["amount: 'n/a' is no number."]})

    assert "· ingest: amount: 'n/a' is no number.\n" in shown
