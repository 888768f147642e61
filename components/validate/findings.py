"""What a table was held against and what was found: the JSON report, and the message of a broken contract.

Findings are plain values, made before anything is raised: the report and the page are written also for a table that
breaks its contract, which is when they are needed. Every finding says what was promised, what was found and which
setting to change; all broken rules are told at once, or correcting a table takes as many runs as it has faults.
"""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.shared.config import OnFailure
from components.shared.formatting import format_count, format_share

LONGEST_EXAMPLE = 200  # characters of one value kept in the report
_LONGEST_IN_MESSAGE = 60


class Finding(BaseModel):
    """One check of the contract and what came of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the check, as in the quarantine's column `rule`.")
    column: str = Field(
        default="", description="The column it is about; empty for checks across columns or of the table."
    )
    rule: str = Field(description="What is promised, in words.")
    on_failure: OnFailure = Field(default="fail", description="What a breach does.")
    failed_rows: int | None = Field(
        default=None, description="Rows that break it; None for checks that are not about rows."
    )
    share: float | None = Field(default=None, description="Their share of all rows.")
    examples: list[Any] = Field(default=[], description="Up to three values that break it, or the keys of such rows.")
    holds: bool
    found: str = Field(default="", description="What was found instead, in words; for checks that are not about rows.")
    change: str = Field(default="", description="What to do about a breach, in words.")


class Report(BaseModel):
    """The whole validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(description="Rows of the table.")
    valid_rows: int = Field(description="Rows that break no rule of the kind `quarantine`.")
    quarantined_rows: int
    quarantined_share: float = Field(description="Share of all rows.")
    limit: float = Field(description="Largest allowed quarantined share.")
    passed: bool
    checks: list[Finding]
    warnings: list[str] = Field(default=[], description="What was quarantined and why, in sentences.")

    @property
    def broken(self) -> list[Finding]:
        """The checks that do not hold, those that end a run first."""
        return sorted((check for check in self.checks if not check.holds), key=lambda check: check.on_failure)


def report_of(checks: Iterable[Finding], rows: int, quarantined: int, *, limit: float) -> Report:
    """Sum up: a run passes when every broken check is one that only quarantines rows."""
    found = list(checks)
    return Report(
        rows=rows,
        valid_rows=rows - quarantined,
        quarantined_rows=quarantined,
        quarantined_share=quarantined / rows if rows else 0.0,
        limit=limit,
        passed=all(check.holds or check.on_failure == "quarantine" for check in found),
        checks=found,
        warnings=[
            f"{check.name}: expected {check.rule}; found {outcome(check, rows)}."
            for check in found
            if not check.holds and check.on_failure == "quarantine"
        ],
    )


def as_json(report: Report) -> str:
    """The report as JSON text that any reader accepts (no NaN, no Infinity)."""
    return json.dumps(report.model_dump(mode="python"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def message(report: Report) -> str:
    """Every broken rule, a line each: what was promised, what was found, what to do."""
    broken = report.broken
    rules = "1 rule is" if len(broken) == 1 else f"{len(broken)} rules are"
    lines = [f"The table breaks its data contract: {rules} broken ({format_count(report.rows)} rows checked)."]
    return "\n".join(lines + [f"  {_line(check, report.rows)}" for check in broken])


def _line(check: Finding, rows: int) -> str:
    return f"{check.name}: expected {check.rule}; found {outcome(check, rows)}. {check.change}"


def outcome(check: Finding, rows: int) -> str:
    """What was found, in words."""
    if check.failed_rows is None:
        return check.found
    examples = ", ".join(example_text(value) for value in check.examples)
    such = f", such as {examples}" if examples else ""
    quarantined = " (quarantined)" if check.on_failure == "quarantine" else ""
    count = f"{format_count(check.failed_rows)} of {format_count(rows)} rows ({format_share(check.share)})"
    return f"{count} that break it{such}{quarantined}"


# Example: {"id": 1, "carrier": "UA"} is written (id = 1, carrier = 'UA').
def example_text(value: object) -> str:
    """An example on one line: text in quotes, several columns as `name = value`."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} = {example_text(part)}" for name, part in value.items()) + ")"
    text = "missing" if value is None else repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST_IN_MESSAGE else f"{text[: _LONGEST_IN_MESSAGE - 1]}…"


def plain(value: object) -> Any:
    """A value from DuckDB as what JSON can hold: times in ISO form, what is not finite and exotic types as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, date | datetime):
        return value.isoformat()
    text = str(value)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 1]}…"


def first_distinct(values: Sequence[object], count: int = 3) -> list[Any]:
    """The first different values, in their order."""
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return distinct[:count]
