"""What a local run ends with: where predictions are; of a training, metrics, verdict, endpoint and an index page.

The first thing a person wants to know of a run is one line each: how good, promoted or not, where. It is made of
artifacts alone, so a run on a cluster has the same summary once they are here; where one could not be read, the summary
says "not known" instead of guessing. The request at its end is a golden row, which is certain to be answered.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console
from rich.text import Text

from components.shared.config import Config
from components.shared.evaluation import Evaluation, interval_text, metric_text
from components.shared.formatting import format_duration, format_number
from components.shared.metrics import LABELS
from components.shared.pages.blocks import Status
from components.shared.pages.reports import Page
from components.shared.stages import STAGES
from pipelines.local.run import RunResult
from pipelines.warnings import remarks_of_run, warnings_of_run

_METRICS_SHOWN = 5
_REMARKS_SHOWN = 6  # at the end of a run; the index page has all
_NOT_KNOWN = "not known"
# What monitor's page is while the endpoint was asked too little: no drift report.
_NEWEST_ROWS = {
    "Drift": ("Newest rows", "how they differ from those learned from; no alarm"),
    "Drift in detail": ("Newest rows in detail", "Evidently's own report, with the distributions"),
}


def print_summary(result: RunResult, index: Path, console: Console, *, served_here: bool = True) -> None:
    """Write the run's results for a person.

    Args:
        result: What the run left behind.
        index: The index page.
        console: Where to write.
        served_here: Whether this machine serves.
    """
    endpoint = result.json("deploy", "endpoint")
    lines = [
        ("Metrics", metrics_line(result)),
        ("Gate", verdict_line(result)),
        ("Endpoint", endpoint_line(result)),
        ("Pages", shown_path(index)),
    ]
    console.print()
    for label, text in lines:
        print_fact(console, label, text)
    _print_reasons((result.json("gate", "verdict") or {}).get("reasons", []), console)
    print_warnings(result, console)
    if request := curl_line(endpoint["url"], result) if endpoint else "":
        console.print(Text("\n Ask it:\n"), Text(request), sep="", soft_wrap=True)
    stop = " `make stop` ends the endpoint and the object store." if served_here else ""
    console.print(Text(f"\n Done in {format_duration(result.seconds)}.{stop}", "dim"), soft_wrap=True)


def print_warnings(result: RunResult, console: Console) -> None:
    """Write what the stages warn of, each with its stage, and what else is good to know.

    Args:
        result: What the run left behind; stages that did not run say nothing.
        console: Where to write.
    """
    warnings, remarks = warnings_of_run(result), remarks_of_run(result)
    if warnings:
        console.print(Text(f"\n Warnings ({len(warnings)})", "bold yellow"))
        _print_reasons([str(warning) for warning in warnings], console)
    if remarks:
        console.print(Text(f"\n Remarks ({len(remarks)})", "bold"))
        _print_reasons([str(remark) for remark in remarks[:_REMARKS_SHOWN]], console)
    if len(remarks) > _REMARKS_SHOWN:
        console.print(Text(f"            · and {len(remarks) - _REMARKS_SHOWN} more on the index page", "dim"))


def print_predictions(result: RunResult, console: Console) -> None:
    """Write for a person what a batch prediction came to.

    Args:
        result: What the run left behind.
        console: Where to write.
    """
    found = result.json("predict", "summary")
    folder = f"build/predictions/{PurePosixPath(found['place']).name}"
    page = result.artifact("predict", "predict_page")
    lines = [
        ("Answers", _answers_line(found)),
        ("Columns", ", ".join(found["columns"])),
        ("Place", found["place"]),
        ("Page", shown_path(result.folder / _linked(page, result.folder)) if page else "none"),
    ]
    console.print()
    print_fact(console, "Rows", _counts_line(found))
    _print_reasons(found["reasons"], console)
    for label, text in lines:
        print_fact(console, label, text)
    print_warnings(result, console)
    python = shlex.quote(shown_path(Path(sys.executable)))
    query = shlex.quote(f'import duckdb; print(duckdb.read_parquet("{folder}/part-*.parquet"))')
    commands = f"{python} -m pipelines fetch {shlex.quote(found['place'])} {folder} && {python} -c {query}"
    console.print(Text("\n Read them:\n"), Text(commands), sep="", soft_wrap=True)
    done = f"\n Done in {format_duration(result.seconds)}. `make stop` ends the object store."
    console.print(Text(done, "dim"), soft_wrap=True)


def print_fact(console: Console, label: str, text: str) -> None:
    """Write one line of facts."""
    console.print(Text.assemble((f" {label:<10}", "bold"), text), soft_wrap=True)


def _print_reasons(reasons: Sequence[str], console: Console) -> None:
    for reason in reasons:
        console.print(Text(f"            · {reason}"), soft_wrap=True)


def _counts_line(found: dict[str, Any]) -> str:
    rejected = f"; {found['rejected']:,} written to rejected.parquet, the first because" if found["rejected"] else ""
    return f"{found['predicted']:,} of {found['rows']:,} predicted by version {found['version']}{rejected}"


def _answers_line(found: dict[str, Any]) -> str:
    if found["values"]:
        return " · ".join(f"{name} {format_number(value)}" for name, value in found["values"].items())
    return " · ".join(f"{label} {count:,}" for label, count in found["classes"].items())


def metrics_line(result: RunResult) -> str:
    """The metric that was optimised, with its interval, then others."""
    folder = result.artifact("evaluate", "evaluate_report")
    if folder is None:
        return _NOT_KNOWN
    evaluation = Evaluation.read(folder)
    scores = evaluation.scores
    names = [evaluation.metric, *(metric for metric in scores.values if metric != evaluation.metric)]
    shown = [f"{LABELS[name]} {metric_text(name, scores.values[name])}" for name in names]
    shown[0] += f" ({interval_text(evaluation.metric, scores.intervals.get(evaluation.metric))})"
    return " · ".join(shown[:_METRICS_SHOWN])


def verdict_line(result: RunResult) -> str:
    """The gate's verdict in a few words."""
    verdict = result.json("gate", "verdict")
    if verdict is None:
        return _NOT_KNOWN
    checks = verdict.get("checks", [])
    held = sum(check["holds"] for check in checks)
    return (
        f"{_verdict_word(verdict)}{' by force' if verdict.get('forced') else ''} ({held} of {len(checks)} checks hold)"
    )


def endpoint_line(result: RunResult) -> str:
    """The endpoint's URL, or that it is unchanged, or that this is not known because artifacts cannot be read."""
    endpoint = result.json("deploy", "endpoint")
    if endpoint:
        return str(endpoint["url"])
    verdict = result.json("gate", "verdict")
    if verdict is None:
        return f"{_NOT_KNOWN}: neither what the gate nor what deploy wrote could be read"
    if verdict.get("waits"):
        return f"unchanged: version {verdict['candidate']} waits for approval (make approve, or make reject)"
    if verdict.get("promoted"):
        return f"{_NOT_KNOWN}: the candidate was promoted, and what deploy wrote could not be read"
    return "unchanged: the candidate was not deployed"


def _verdict_word(verdict: dict[str, Any]) -> str:
    if verdict.get("waits"):
        return "waits for approval"
    return "promoted" if verdict.get("promoted") else "not promoted"


def curl_line(url: str, result: RunResult) -> str:
    """A request that works when pasted: the first golden row; empty where there is none."""
    golden = result.json("train", "model", "golden.json")
    if not golden:
        return ""
    body = json.dumps({"instances": [golden[0]["row"]]}, ensure_ascii=False)
    return f"curl -s {url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def shown_path(path: Path) -> str:
    """A path as short as it can be typed from here."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def write_index(config: Config, result: RunResult) -> Path:
    """Write the page that links the pages of a run.

    Returns:
        Path of the page, `index.html` in the run's folder.
    """
    verdict: dict[str, Any] = result.json("gate", "verdict") or {}
    endpoint = result.json("deploy", "endpoint")
    passed = verdict.get("promoted") and not verdict.get("forced") and not verdict.get("waits")
    status: Status = "passed" if passed else "warning"
    label = _verdict_word(verdict) if verdict else _NOT_KNOWN
    page = Page(config.name, config.description, status=status, status_label=label)
    section = page.section("This run")
    section.facts(
        {
            "Metrics": metrics_line(result),
            "Gate": verdict_line(result),
            "Endpoint": endpoint_line(result),
            "Version": endpoint["version"] if endpoint else "—",
            "Took": format_duration(result.seconds),
        }
    )
    if verdict.get("reasons"):
        section.list(verdict["reasons"])
    for heading, messages in (("Warnings", warnings_of_run(result)), ("Remarks", remarks_of_run(result))):
        if messages:
            page.section(f"{heading} ({len(messages)})").table(
                ["stage", heading.lower()[:-1]], [(one.stage, one.text) for one in messages]
            )
    pages = page.section("Pages")
    others = _NEWEST_ROWS if (result.json("monitor", "drift") or {}).get("kind") == "newest_rows" else {}
    for stage, shown in ((row.name, each) for row in STAGES for each in row.pages):
        if path := result.artifact(stage, shown.artifact):
            pages.link(": ".join(others.get(shown.title, (shown.title, shown.text))), _linked(path, result.folder))
    stages = page.section("Stages")
    stages.table(
        ["stage", "seconds", "outcome", "log"],
        [
            [record.label, round(record.seconds, 1), record.message, _log_name(record.log, result.folder)]
            for record in result.records
        ],
    )
    if request := curl_line(endpoint["url"], result) if endpoint else "":
        page.section("Ask the endpoint", request)
    return page.write(result.folder / "index.html")


def _log_name(log: Path, folder: Path) -> str:
    return os.path.relpath(log, folder) if log.exists() else "—"


def _linked(page: Path, folder: Path) -> str:
    """Link an HTML artifact as a file that ends in .html, which browsers need; returns its path within `folder`."""
    target = folder / "pages" / f"{page.name.replace('_', '-')}.html"
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(page, target)
    return target.relative_to(folder).as_posix()
