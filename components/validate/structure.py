"""What can be found without reading a row: columns, their types, and settings of the contract that do not suit them.

A missing column or a wrong type makes the rules about its rows meaningless, and is found without reading one. Each such
fault is a finding and not an error, so that the rules of the other columns are checked all the same. Rules that cannot
be evaluated are left out of the pass over the rows (`validate`), where one of them would end it for all.
"""

import difflib
from collections.abc import Iterator, Sequence

import duckdb
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.config import ValidationDepth, config_context
from pandera.engines import ibis_engine
from pandera.errors import SchemaErrorReason, SchemaErrors

from components.shared.config import CheckRule, ColumnRule, ContractConfig, ProblemConfig
from components.shared.tables import literal
from components.validate.contract import Columns, Rule, full_match, listed, misfits, pandera_schema
from components.validate.findings import Finding
from components.validate.rows import Source, condition_fault, first_line

_SUGGESTIONS = 20  # missing columns for which a near name is searched


def column_findings(
    contract: ContractConfig, table: ir.Table, columns: Columns, *, rules: Sequence[Rule]
) -> list[Finding]:
    """Whether the columns are there, of their types, and suit the settings of their rules.

    Args:
        contract: The contract.
        table: The table by its stand-ins; pandera looks at its schema only.
        columns: The table's columns.
        rules: Rules about rows, to stand in pandera's schema.
    """
    unknown = [
        name for name in contract.columns if name in columns.types and not _known_to_pandera(columns.types[name])
    ]
    missing, wrong = _pandera_errors(pandera_schema(contract, columns, rules, leave_out=unknown), table, columns)
    wrong |= {name for name in unknown if contract.columns[name].type}
    findings: list[Finding] = []
    others = [name for name in columns.types if name not in contract.columns]
    for number, name in enumerate(name for name in contract.columns if name in missing):
        findings.append(_missing_column(name, others, columns, suggest=number < _SUGGESTIONS))
    for name, promise in contract.columns.items():
        if name not in missing and name in columns.types:
            findings += _present_column(name, promise, columns, wrong_type=name in wrong)
    if contract.other_columns == "fail":
        findings.append(_other_columns(others))
    return findings


def _known_to_pandera(dtype: dt.DataType) -> bool:
    try:
        ibis_engine.Engine.dtype(dtype)
    except TypeError:
        return False
    return True


def _pandera_errors(schema: pa.DataFrameSchema, table: ir.Table, columns: Columns) -> tuple[set[str], set[str]]:
    """Names of the columns that pandera misses, and of those whose type it refuses."""
    names = {stand_in: name for name, stand_in in columns.stand_ins.items()}
    missing: set[str] = set()
    wrong: set[str] = set()
    try:
        # Said here, because pandera's environment variables could otherwise switch validation off.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_ONLY):
            schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            if error.reason_code == SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
                missing.add(names[str(error.failure_cases)])
            elif error.reason_code == SchemaErrorReason.WRONG_DATATYPE:
                wrong.add(names[str(error.schema.name)])
            else:
                raise
    return missing, wrong


def _missing_column(name: str, others: Sequence[str], columns: Columns, *, suggest: bool) -> Finding:
    # A renamed column is most likely one that the contract does not name.
    near = (nearest(name, others) or nearest(name, list(columns.types))) if suggest else ""
    found = f"none; the nearest name is {near!r}" if near else f"none; the table has {listed(list(columns.types))}"
    rename = f'Was it renamed? Select "{near}" AS "{name}" in source.query' if near else "Select it in source.query"
    return Finding(
        name=f"{name}.required",
        column=name,
        rule=f"a column {name!r}",
        holds=False,
        found=found,
        change=f"{rename}, or change contract.columns.{name}.",
    )


def nearest(name: str, candidates: Sequence[str]) -> str:
    """The most similar name, whatever its case; empty when none is similar."""
    folded = {candidate.casefold(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def _present_column(name: str, promise: ColumnRule, columns: Columns, *, wrong_type: bool) -> Iterator[Finding]:
    kind = columns.kind(name)
    found = kind if kind != "other" else str(columns.types[name])
    if promise.required:
        yield Finding(name=f"{name}.required", column=name, rule=f"a column {name!r}", holds=True, found="it is there")
    if promise.type:
        setting = f"contract.columns.{name}.type"
        change = f"Say its type in source.tables.<table>.types.{name}, CAST it in source.query, or change {setting}."
        yield Finding(
            name=f"{name}.type",
            column=name,
            rule=f"a column of type {promise.type}",
            holds=not wrong_type,
            found=found,
            change=change if wrong_type else "",
        )
    for setting, needs in [] if wrong_type else misfits(promise, kind):
        change = f"Change contract.columns.{name}.{setting}, or the column's type."
        yield Finding(
            name=f"{name}.{setting}",
            column=name,
            rule=needs,
            holds=False,
            found=f"a column of type {found}",
            change=change,
        )


def _other_columns(others: Sequence[str]) -> Finding:
    return Finding(
        name="other_columns",
        rule="no column that the contract does not name",
        holds=not others,
        found=listed(others),
        change="Leave them out in source.query, name them in contract.columns, or set contract.other_columns to allow."
        if others
        else "",
    )


def pattern_findings(source: Source, contract: ContractConfig) -> list[Finding]:
    """Patterns that are no regular expressions."""
    faults = ((name, promise, _pattern_fault(source, promise.pattern)) for name, promise in contract.columns.items())
    return [
        Finding(
            name=f"{name}.pattern",
            column=name,
            rule="a regular expression (RE2)",
            holds=False,
            found=f"{promise.pattern!r}: {fault}",
            change=f"Change contract.columns.{name}.pattern.",
        )
        for name, promise, fault in faults
        if fault
    ]


def _pattern_fault(source: Source, pattern: str) -> str:
    try:
        source.backend.con.execute(f"SELECT regexp_matches('', {literal(full_match(pattern))})").fetchall()
    except duckdb.Error as error:
        return first_line(error)
    return ""


def key_findings(contract: ContractConfig, columns: Columns) -> list[Finding]:
    """Unique keys of columns that are not there."""
    found = []
    for number, key in enumerate(contract.unique):
        if missing := [name for name in key.columns if name not in columns.types]:
            near = [f"{name!r} (nearest: {nearest(name, list(columns.types))!r})" for name in missing]
            found.append(
                Finding(
                    name=f"unique({', '.join(key.columns)})",
                    rule="the columns of the key",
                    holds=False,
                    found=f"no column {', '.join(near)}",
                    change=f"Change contract.unique.{number}.columns.",
                )
            )
    return found


def condition_findings(source: Source, contract: ContractConfig) -> dict[int, Finding]:
    """SQL conditions that cannot be evaluated, by their place in the contract."""
    faults = ((number, rule, condition_fault(source, rule)) for number, rule in enumerate(contract.checks))
    return {number: condition_finding(number, rule, fault) for number, rule, fault in faults if fault}


def condition_finding(number: int, rule: CheckRule, fault: str, *, advice: str = "") -> Finding:
    """The finding of a SQL condition that cannot be evaluated."""
    return Finding(
        name=rule.name,
        rule="a SQL condition, true or false for each row, over the table's columns",
        holds=False,
        found=f"{' '.join(rule.sql.split())} ({fault})",
        change=f"Change contract.checks.{number}.sql.{advice}",
    )


def age_findings(contract: ContractConfig, problem: ProblemConfig, columns: Columns) -> list[Finding]:
    """Whether the age of the newest row can be computed."""
    name = problem.time_column
    if contract.maximum_age_days is None or (name in columns.types and columns.kind(name) in ("date", "timestamp")):
        return []
    found = f"problem.time_column is {name!r}" if name else "problem.time_column is empty"
    if name in columns.types:
        found += f", a column of type {columns.kind(name)}"
    return [
        Finding(
            name="maximum_age_days",
            rule="a column of type date or timestamp to tell the newest row by",
            holds=False,
            found=found,
            change="Change problem.time_column, or leave contract.maximum_age_days out.",
        )
    ]
