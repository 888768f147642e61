"""Sections of the card: the data that the model learned from, and how it was made.

Whoever gets a model card has to be able to tell what the model has seen and how to make it again: the rows, their
window and content hash, the rules that were broken, the parameters and the versions of the libraries. Records of
earlier versions may lack some of it, which then reads `–`.
"""

import json
from datetime import UTC, datetime
from typing import Any

from components.evaluate.card.background import Background, Record
from components.shared.evaluation import value_text
from components.shared.formatting import format_count, format_number
from components.shared.package.schema import Feature, Schema
from components.shared.pages.reports import Page


def draw_data(page: Page, background: Background) -> None:
    """Add the section on the data: how much, from where, which part is which, what the columns hold."""
    lineage = background.training.get("lineage") or {}
    section = page.section("Data").facts(
        {
            "Rows ingested": lineage.get("rows"),
            "Columns ingested": lineage.get("columns"),
            "From": lineage.get("window_start") or "–",
            "To": lineage.get("window_end") or "–",
            "Rows keeping the contract": background.validation.get("valid_rows"),
            "Rows quarantined": background.validation.get("quarantined_rows"),
            "Rows learned from": background.training.get("rows"),
        }
    )
    if broken := [check for check in background.validation.get("checks", []) if not check.get("holds", True)]:
        rules = [(check.get("name"), check.get("rule"), check.get("failed_rows")) for check in broken]
        section.table(["Rule", "Promised", "Rows that break it"], rules, caption="Rules of the data contract broken")
    parts = background.split.get("parts") or {}
    rows = [(name, part.get("rows"), part.get("first"), part.get("last")) for name, part in parts.items()]
    if rows:
        method = background.split.get("method", "")
        section.table(["Part", "Rows", "First", "Last"], rows, caption=f"Parts ({method} split)")
    sources = lineage.get("sources") or {}
    section.table(["Table", "Source"], list(sources.items()), caption="Sources")
    section.facts({"Content hash": lineage.get("content_hash", "–")})
    section.table(
        ["Column", "Kind", "May be missing", "Range or values"], _feature_rows(background.schema), caption="Features"
    )


def _feature_rows(schema: Schema) -> list[tuple[object, ...]]:
    return [(item.name, item.kind, item.nullable, _range(item)) for item in schema.features]


def _range(item: Feature) -> str:
    if item.kind == "category":
        values = ", ".join(value_text(value) for value in item.categories[:8])
        return values if item.cardinality <= 8 else f"{values} … ({format_count(item.cardinality)} values)"
    if item.minimum is None or item.maximum is None:
        return "–"
    if item.kind == "timestamp":
        return " to ".join(f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M}" for end in (item.minimum, item.maximum))
    return "" if item.kind == "boolean" else f"{format_number(item.minimum)} to {format_number(item.maximum)}"


def draw_making(page: Page, background: Background) -> None:
    """Add the section on how the model was made: family, parameters, families compared, library versions."""
    training = background.training
    section = page.section("How it was made").facts(
        {
            "Model family": str(training.get("family", "–")).replace("_", " "),
            "Seed": training.get("seed"),
            "Git commit": training.get("git_commit") or "–",
        }
    )
    parameters = list((training.get("parameters") or {}).items())
    section.table(["Parameter", "Value"], [(name, _plain(value)) for name, value in parameters], caption="Parameters")
    if scores := training.get("scores"):
        trials = training.get("trials") or {}
        rows = [(_family(name, training), score, trials.get(name)) for name, score in scores.items()]
        section.table(["Family", "Score on rows not learned from", "Trials"], rows, caption="Families compared")
    section.table(["Library", "Version"], list((training.get("libraries") or {}).items()), caption="Library versions")


def _family(name: str, training: Record) -> str:
    """A family's name, marked where the clock cut all its trials short."""
    cut = name in training.get("incomplete", [])
    return name.replace("_", " ") + (" (cut short: scored with fewer rows)" if cut else "")


def _plain(value: object) -> Any:
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value, ensure_ascii=False)
