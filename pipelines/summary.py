"""What a local run ends with: metrics, the gate's verdict, the endpoint with a `curl` line, and an index page."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from components.shared.config import Config
from components.shared.evaluation import LABELS, Evaluation, interval_text, metric_text
from components.shared.reports import Page, Status, format_duration
from pipelines.local_run import RunResult

_METRICS_SHOWN = 5
_PAGES = (
    ("Validation", "what the data contract found", "validate", "page"),
    ("Profile", "the table, column by column", "profile", "page"),
    ("Model card", "how good the model is, and for whom", "evaluate", "card"),
    ("Gate", "why the model was promoted or not", "gate", "page"),
    ("Drift", "how the newest window differs from the training data", "monitor", "page"),
    ("Drift in detail", "Evidently's own report, with the distributions", "monitor", "evidently"),
)


def print_summary(result: RunResult, index: Path, console: Console) -> None:
    """Write the run's results for a person.

    Args:
        result: What the run left behind.
        index: The index page.
        console: Where to write.
    """
    endpoint = result.json("deploy", "endpoint")
    lines = [
        ("Metrics", metrics_line(result)),
        ("Gate", verdict_line(result)),
        ("Endpoint", endpoint["url"] if endpoint else "unchanged: the candidate was not deployed"),
        ("Pages", shown_path(index)),
    ]
    console.print()
    for label, text in lines:
        console.print(Text.assemble((f" {label:<10}", "bold"), text), soft_wrap=True)
    for reason in (result.json("gate", "verdict") or {}).get("reasons", []):
        console.print(Text(f"            · {reason}"), soft_wrap=True)
    if endpoint:
        console.print(Text("\n Ask it:\n"), Text(curl_line(endpoint["url"], result)), sep="", soft_wrap=True)
    done = f"\n Done in {format_duration(result.seconds)}. `make stop` ends the endpoint and the object store."
    console.print(Text(done, "dim"), soft_wrap=True)


def metrics_line(result: RunResult) -> str:
    """The metric that was optimised, with its interval, then others."""
    folder = result.artifact("evaluate", "report")
    if folder is None:
        return "none"
    evaluation = Evaluation.read(folder)
    scores = evaluation.scores
    names = [evaluation.metric, *(metric for metric in scores.values if metric != evaluation.metric)]
    shown = [f"{LABELS[name]} {metric_text(name, scores.values[name])}" for name in names]
    shown[0] += f" ({interval_text(evaluation.metric, scores.intervals.get(evaluation.metric))})"
    return " · ".join(shown[:_METRICS_SHOWN])


def verdict_line(result: RunResult) -> str:
    """The gate's verdict in a few words."""
    verdict = result.json("gate", "verdict") or {}
    checks = verdict.get("checks", [])
    held = sum(check["holds"] for check in checks)
    word = "promoted" if verdict.get("promoted") else "not promoted"
    return f"{word}{' by force' if verdict.get('forced') else ''} ({held} of {len(checks)} checks hold)"


def curl_line(url: str, result: RunResult) -> str:
    """A request that works when pasted: the first golden row."""
    golden = result.json("train", "model", "golden.json")
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
    status: Status = "passed" if verdict.get("promoted") and not verdict.get("forced") else "warning"
    page = Page(
        config.name,
        config.description,
        status=status,
        status_label="promoted" if verdict.get("promoted") else "not promoted",
    )
    section = page.section("This run")
    section.facts(
        {
            "Metrics": metrics_line(result),
            "Gate": verdict_line(result),
            "Endpoint": endpoint["url"] if endpoint else "unchanged",
            "Version": endpoint["version"] if endpoint else "—",
            "Took": format_duration(result.seconds),
        }
    )
    if verdict.get("reasons"):
        section.list(verdict["reasons"])
    pages = page.section("Pages")
    for label, text, stage, name in _PAGES:
        if path := result.artifact(stage, name):
            pages.link(f"{label}: {text}", _linked(path, result.folder))
    stages = page.section("Stages")
    stages.table(
        ["stage", "seconds", "outcome", "log"],
        [
            [record.label, round(record.seconds, 1), record.message, os.path.relpath(record.log, result.folder)]
            for record in result.records
        ],
    )
    if endpoint:
        page.section("Ask the endpoint", curl_line(endpoint["url"], result))
    return page.write(result.folder / "index.html")


def _linked(page: Path, folder: Path) -> str:
    """A link to an HTML artifact under a name that browsers take for a page: artifacts have no ending."""
    target = folder / "pages" / f"{page.parent.name}-{page.name}.html"
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(page, target)
    return target.relative_to(folder).as_posix()
