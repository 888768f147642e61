"""Check a table against its contract: structure first, then rows; judge, report, and quarantine bad rows.

Bad rows are either few, and then set aside so that the run goes on, or a sign that the source has changed, and then the
run has to end before a model learns from them: the contract says which, by rule and by the share that may be set aside.
All is counted in one pass, and uniqueness in a grouping for each key. A condition in SQL may fail on a single row, and
the pass with it; then it is found out which one it was, and the others are counted without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import ibis.expr.types as ir

from components.shared.config import ContractConfig, ProblemConfig
from components.shared.errors import ContractError
from components.shared.files import write_text
from components.shared.formatting import format_against, format_count, format_limit, format_share
from components.shared.tables import engine
from components.validate import rows as passes
from components.validate import structure
from components.validate.contract import Rule, condition_rule, row_rules
from components.validate.findings import Finding, Report, as_json, message, report_of
from components.validate.page import contract_page
from components.validate.rows import Source, Totals

_SAMPLE_ROWS, _SAMPLE_COLUMNS = 20, 8
_DAY = 86_400.0
_TRY_CAST = " TRY_CAST gives null for a value that cannot be converted."


class Outputs(NamedTuple):
    """Files that a validation writes."""

    valid: Path
    quarantine: Path
    report: Path
    page: Path


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        report: Every check and what came of it.
        sample: The first quarantined rows: their rules under the empty name, then some columns.
    """

    report: Report
    sample: list[dict[str, Any]]


def validate(
    table: Path, outputs: Outputs, *, contract: ContractConfig, problem: ProblemConfig, now: datetime | None = None
) -> Report:
    """Check a table against its contract and quarantine bad rows.

    Args:
        table: The ingested table, one Parquet file.
        outputs: Files to write; of a table that breaks its contract only the report and the page.
        contract: The contract.
        problem: Keys and time column of the table.
        now: The moment from which age is counted; by default the present.

    Returns:
        What was checked and found.

    Raises:
        ContractError: The contract is broken; the message lists every broken rule.
        DataError: The table cannot be read.
    """
    with engine() as backend:
        source = passes.open_source(backend, table, contract)
        verdict = _judge(source, contract, problem, now=now or datetime.now(UTC))
        report = verdict.report
        if report.passed:
            passes.write_valid(source, outputs.valid, rows=report.rows, quarantined=report.quarantined_rows)
            passes.write_quarantine(source, outputs.quarantine, quarantined=report.quarantined_rows)
    write_text(outputs.report, as_json(report))
    contract_page(report, verdict.sample).write(outputs.page)
    if not report.passed:
        raise ContractError(message(report))
    return report


def headline(report: Report) -> str:
    """One line for people."""
    quarantined = (
        f", {format_count(report.quarantined_rows)} quarantined ({format_share(report.quarantined_share)})"
        if report.quarantined_rows
        else ""
    )
    kept, checks = format_count(report.valid_rows), format_count(len(report.checks))
    return f"{kept} rows keep the contract{quarantined}, {checks} checks"


def _judge(source: Source, contract: ContractConfig, problem: ProblemConfig, *, now: datetime) -> Verdict:
    patterns = structure.pattern_findings(source, contract)
    unfit_conditions = structure.condition_findings(source, contract)
    unfit_age = structure.age_findings(contract, problem, source.columns)
    spoilt = {finding.name for finding in patterns}
    rules = [rule for rule in row_rules(contract, source.columns) if rule.name not in spoilt]
    counted = _count(
        source, contract, rules, unfit=unfit_conditions, time_column=_time_column(contract, problem, unfit_age)
    )
    broken = [number for number, count in enumerate(counted.totals.breaches) if count]
    quarantined = passes.find_quarantined(
        source, counted.table, counted.rules, broken=[n for n in broken if counted.rules[n].on_failure == "quarantine"]
    )
    shown = passes.examples(source, counted.table, counted.rules, broken=broken, keys=problem.keys)
    findings = [
        *structure.column_findings(contract, counted.table, source.columns, rules=counted.rules),
        *patterns,
        *structure.key_findings(contract, source.columns),
        *counted.unfit.values(),
        *unfit_age,
        *_row_findings(counted, shown),
        *_table_findings(contract, counted.totals, quarantined, now=now),
    ]
    report = report_of(findings, counted.totals.rows, quarantined, limit=contract.quarantine_limit)
    return Verdict(report=report, sample=_sample(source, counted, problem, broken=broken) if quarantined else [])


@dataclass(frozen=True, slots=True)
class _Counted:
    """The rules that could be evaluated, with their counts, and the conditions that could not."""

    table: ir.Table
    rules: list[Rule]
    totals: Totals
    unfit: dict[int, Finding]


def _count(
    source: Source, contract: ContractConfig, rules: list[Rule], *, unfit: dict[int, Finding], time_column: str
) -> _Counted:
    """Count the breaches of all rules; a condition that fails on some row becomes a finding and is left out."""
    conditions = {number: rule for number, rule in enumerate(contract.checks) if number not in unfit}
    across = [
        condition_rule(number, rule, shows=[name for name in source.columns.types if passes.is_named(name, rule.sql)])
        for number, rule in conditions.items()
    ]
    table, every = passes.judged(source, [*rules, *across])
    try:
        totals = passes.count_breaches(source, table, every, time_column=time_column)
    except duckdb.Error:
        faults = {number: passes.row_fault(source, rule) for number, rule in conditions.items()}
        failing = {
            number: structure.condition_finding(number, conditions[number], fault, advice=_TRY_CAST)
            for number, fault in faults.items()
            if fault
        }
        if not failing:
            raise
        return _count(source, contract, rules, unfit=unfit | failing, time_column=time_column)
    return _Counted(table=table, rules=every, totals=totals, unfit=unfit)


def _time_column(contract: ContractConfig, problem: ProblemConfig, unfit_age: list[Finding]) -> str:
    return "" if contract.maximum_age_days is None or unfit_age else problem.time_column


def _row_findings(counted: _Counted, shown: dict[int, list[Any]]) -> Iterator[Finding]:
    rows = counted.totals.rows
    for number, (rule, count) in enumerate(zip(counted.rules, counted.totals.breaches, strict=True)):
        yield Finding(
            name=rule.name,
            column=rule.column,
            rule=rule.text,
            on_failure=rule.on_failure,
            failed_rows=count,
            share=count / rows if rows else 0.0,
            examples=shown.get(number, []),
            holds=not count,
            change=rule.advice if count else "",
        )


def _table_findings(contract: ContractConfig, totals: Totals, quarantined: int, *, now: datetime) -> Iterator[Finding]:
    """What is promised of the table as a whole."""
    valid = totals.rows - quarantined
    yield Finding(
        name="minimum_rows",
        rule=f"at least {format_count(contract.minimum_rows)} rows",
        holds=valid >= contract.minimum_rows,
        found=f"{format_count(valid)}"
        + (f" after {format_count(quarantined)} were quarantined" if quarantined else ""),
        change=""
        if valid >= contract.minimum_rows
        else "Widen the data window or the query, or change contract.minimum_rows.",
    )
    share = quarantined / totals.rows if totals.rows else 0.0
    within = share <= contract.quarantine_limit
    found = format_against(share, contract.quarantine_limit, share=True, digits=3)
    yield Finding(
        name="quarantine_limit",
        rule=f"at most {format_limit(contract.quarantine_limit, share=True)} of the rows quarantined",
        holds=within,
        found=f"{format_count(quarantined)} of {format_count(totals.rows)} rows ({found})",
        change=""
        if within
        else "Correct the data, change the rules that quarantine rows, or change contract.quarantine_limit.",
    )
    if contract.maximum_age_days is not None and totals.newest is not None:
        yield _age_finding(contract.maximum_age_days, totals.newest, now)


def _age_finding(limit: float, newest: float, now: datetime) -> Finding:
    age = (now.timestamp() - newest) / _DAY
    moment = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Finding(
        name="maximum_age_days",
        rule=f"a newest row at most {format_limit(limit)} days old",
        holds=age <= limit,
        found=f"{moment}, {format_against(age, limit)} days ago",
        change="" if age <= limit else "Fetch newer data, or change contract.maximum_age_days.",
    )


def _sample(
    source: Source, counted: _Counted, problem: ProblemConfig, *, broken: Sequence[int]
) -> list[dict[str, Any]]:
    """The first quarantined rows, with the columns of the broken rules, then the keys."""
    asides = [counted.rules[number] for number in broken if counted.rules[number].on_failure == "quarantine"]
    named = dict.fromkeys([*(name for rule in asides for name in (rule.shows or (rule.column,))), *problem.keys])
    names = [name for name in named if name in source.columns.types][:_SAMPLE_COLUMNS]
    return passes.quarantine_sample(source, names, count=_SAMPLE_ROWS)
