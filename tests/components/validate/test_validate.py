import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import ContractConfig
from components.shared.errors import DataError
from components.validate import rows as passes
from components.validate.validate import Outputs, headline, validate
from tests.components.validate.checking import PROBLEM, ROWS, Run
from tests.helpers import MANY_COLUMNS

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAY = dt.date(2024, 2, 28)
MOMENT = dt.datetime(2024, 2, 28, 12)

# Rule of the column `c`, values that keep it, values that break it.
COLUMN_RULES: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "nullable": ({}, [1, 2], [None]),
    "nullable_nan": ({}, [1.0, 2.0], [float("nan")]),
    "minimum": ({"minimum": -1.5, "nullable": True}, [-1.5, 0.0, None], [-1.6, -1e30]),
    "minimum_integer": ({"minimum": 10, "nullable": True}, [10, 2**62, None], [9, -(2**62)]),
    "minimum_decimal": ({"minimum": 0.5}, [Decimal("0.50"), Decimal("3.00")], [Decimal("0.49")]),
    "maximum": ({"maximum": 3, "nullable": True}, [3.0, -9.0, None, float("nan")], [3.0001]),
    "maximum_integer": ({"maximum": 2.5}, [2, -2], [3]),
    "allowed": ({"allowed": ["a", "b c"], "nullable": True}, ["a", "b c", None], ["A", "", "b"]),
    "allowed_numbers_of_text": ({"allowed": [1, 2.0]}, ["1", "2"], ["3", "01"]),
    "allowed_words_of_yaml": ({"allowed": [True, False]}, ["yes", "no", "On"], ["1", "maybe"]),
    "allowed_letters": ({"allowed": ["Z\u00fcrich"]}, ["Z\u00fcrich", "Zu\u0308rich"], ["Zurich"]),
    "allowed_texts_of_integers": ({"allowed": ["1", "-2"]}, [1, -2], [2]),
    "allowed_texts_of_booleans": ({"allowed": ["true"]}, [True], [False]),
    "allowed_integer": ({"allowed": [0, 1]}, [0, 1], [2, -1]),
    "allowed_number": ({"allowed": [0.5, 1]}, [0.5, 1.0], [0.25]),
    "allowed_boolean": ({"allowed": [True]}, [True], [False]),
    "allowed_date": ({"allowed": ["2024-02-28"]}, [DAY], [dt.date(2024, 2, 29)]),
    "allowed_timestamp": ({"allowed": ["2024-02-28 12:00:00"]}, [MOMENT], [MOMENT + dt.timedelta(seconds=1)]),
    "pattern": ({"pattern": "[A-Z]{2}", "nullable": True}, ["AB", None], ["ABC", "xAB", "ab", "AB\n", "", "é"]),
    "pattern_alternatives": ({"pattern": "a|bc"}, ["a", "bc"], ["ac", "abc", "b"]),
    "pattern_line": ({"pattern": "a.b"}, ["axb"], ["a\nb"]),
    "unique": ({"unique": True, "nullable": True}, [1, 2, None, None], [2, 1]),
    "unique_nan": ({"unique": True, "nullable": True}, [1.0, float("nan"), float("nan")], [1.0]),
}


@pytest.mark.parametrize("on_failure", ["fail", "quarantine"])
@pytest.mark.parametrize("name", COLUMN_RULES)
def test_column_rule(tmp_path: Path, name: str, on_failure: str) -> None:
    setting, good, bad = COLUMN_RULES[name]
    contract: dict[str, Any] = {"columns": {"c": {**setting, "on_failure": on_failure}}}
    more: list[Any] = [] if "unique" in name else good * 2
    kept = Run(tmp_path / "good", {"c": good + more}, **contract)
    assert (kept.error, kept.broken, len(kept.quarantine)) == ("", [], 0)

    run = Run(tmp_path / "bad", {"c": good + bad + more}, **contract)
    rule = f"c.{name.split('_', maxsplit=1)[0]}"
    finding = run.finding(rule)
    assert run.broken == [rule]
    assert (finding.failed_rows, finding.column, finding.on_failure) == (len(bad), "c", on_failure)
    assert finding.share == pytest.approx(len(bad) / len(run.table))
    assert 1 <= len(finding.examples) <= 3
    if on_failure == "fail":
        assert f"{rule}: " in run.error
        assert f"change contract.{rule.replace('c.', 'columns.c.', 1)}." in run.error
        assert not run.outputs.valid.exists()
        assert not run.outputs.quarantine.exists()
    else:
        assert [row["rule"] for row in run.quarantine] == [rule] * len(bad)
        assert len(run.valid) == len(run.table) - len(bad)


# Promised type, then types that keep it and types that do not.
TYPES: dict[str, tuple[list[pa.DataType], list[pa.DataType]]] = {
    "integer": (
        [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64()],
        [pa.float64(), pa.string(), pa.decimal128(9, 0), pa.bool_()],
    ),
    "number": ([pa.int8(), pa.float32(), pa.float64(), pa.decimal128(9, 2)], [pa.string(), pa.bool_()]),
    "text": ([pa.string(), pa.large_string()], [pa.int64(), pa.binary()]),
    "boolean": ([pa.bool_()], [pa.int8(), pa.string()]),
    "date": ([pa.date32()], [pa.timestamp("us"), pa.string()]),
    "timestamp": (
        [pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "UTC")],
        [pa.date32(), pa.string(), pa.time64("us")],
    ),
}
ODD = [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.null()]


@pytest.mark.parametrize("promised", TYPES)
def test_types(tmp_path: Path, promised: str) -> None:
    good, bad = TYPES[promised]
    bad = bad + ODD
    every = {
        f"{fits} {index}": kind for fits, kinds in ((True, good), (False, bad)) for index, kind in enumerate(kinds)
    }
    table = {name: pa.nulls(3, kind) for name, kind in every.items()}
    run = Run(tmp_path, table, columns={name: {"type": promised, "nullable": True} for name in table})
    assert set(run.broken) == {f"{name}.type" for name in table if name.startswith("False")}
    assert f"expected a column of type {promised}" in run.error


def test_wrong_type_and_broken_rows_are_listed_together(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        {"n": ["1", "x", None], "k": [1, 1, 2], "s": ["a", "b", "c"]},
        columns={"n": {"type": "number", "minimum": 0}, "gone": {}, "s": {"allowed": ["a"]}},
        unique=[{"columns": ["k"]}, {"columns": ["k", "missing"]}],
        checks=[{"name": "positive", "sql": "k > 1"}, {"name": "unknown", "sql": "nope > 1"}],
        minimum_rows=10,
        maximum_age_days=1,
    )
    expected = [
        "gone.required",
        "n.type",
        "n.nullable",
        "s.allowed",
        "unique(k)",
        "unique(k, missing)",
        "positive",
        "unknown",
        "minimum_rows",
        "maximum_age_days",
    ]
    assert sorted(run.broken) == sorted(expected)
    lines = run.error.splitlines()
    assert lines[0] == "The table breaks its data contract: 10 rules are broken (3 rows checked)."
    assert len(lines) == 11
    found = "found 2 of 3 rows (66.7%) that break it, such as 'b', 'c'"
    advice = "Correct the data, or change contract.columns.s.allowed."
    assert f"  s.allowed: expected one of 'a'; {found}. {advice}" in lines
    assert '"nope" not found' in run.error
    assert "problem.time_column is empty" in run.error
    assert all(name in run.page for name in expected)


def test_renamed_column(tmp_path: Path) -> None:
    run = Run(tmp_path, {"carrier_code": ["AA"] * 3, "other": [1, 2, 3]}, columns={"carrier": {"type": "text"}})
    assert run.broken == ["carrier.required"]
    assert "the nearest name is 'carrier_code'" in run.error
    assert 'Select "carrier_code" AS "carrier" in source.query' in run.error


def test_missing_column_with_no_near_name_lists_the_table(tmp_path: Path) -> None:
    run = Run(tmp_path, {f"column {i}": [1, 2] for i in range(25)}, columns={"zzz": {}})
    assert "'column 0', 'column 1'" in run.error
    assert "and 5 more" in run.error


def test_optional_column(tmp_path: Path) -> None:
    contract: dict[str, Any] = {"columns": {"c": {"required": False, "minimum": 0, "type": "number"}}}
    assert Run(tmp_path / "absent", {"d": [1, 2]}, **contract).error == ""
    assert Run(tmp_path / "present", {"c": [1, -1]}, **contract).broken == ["c.minimum"]


@pytest.mark.parametrize(("other", "broken"), [("allow", []), ("fail", ["other_columns"])])
def test_other_columns(tmp_path: Path, other: str, broken: list[str]) -> None:
    run = Run(tmp_path, {"a": [1, 2], "b": [1, 2], "c d": [1, 2]}, columns={"a": {}}, other_columns=other)
    assert run.broken == broken
    assert ("'b', 'c d'" in run.error) == bool(broken)
    assert Run(tmp_path / "named", {"a": [1, 2]}, columns={"a": {}}, other_columns=other).error == ""


@pytest.mark.parametrize(
    ("rule", "values", "needs"),
    [
        ({"minimum": 0}, ["a", "b"], "a column of numbers"),
        ({"maximum": 0}, [True, False], "a column of numbers"),
        ({"pattern": "a"}, [1, 2], "a column of text"),
        ({"allowed": [1, "one"]}, [1, 2], "numbers for this column instead of 'one'"),
        ({"allowed": [True]}, [1, 2], "numbers for this column instead of True"),
        ({"allowed": [20240228]}, [DAY] * 2, "dates as the table spells them, in quotes, for this column instead of"),
        ({"allowed": [1]}, [True, False], "true or false for this column instead of 1"),
        ({"pattern": "("}, ["a", "b"], "missing )"),
    ],
)
def test_rule_that_does_not_suit_its_column(
    tmp_path: Path, rule: dict[str, object], values: list[object], needs: str
) -> None:
    run = Run(tmp_path, {"c": values}, columns={"c": rule})
    assert run.broken == [f"c.{next(iter(rule))}"]
    assert needs in run.error


def test_minimum_rows_counts_after_quarantine(tmp_path: Path) -> None:
    table = {"c": [1, 2, 3, -1]}
    contract: dict[str, Any] = {"columns": {"c": {"minimum": 0, "on_failure": "quarantine"}}}
    assert Run(tmp_path / "3", table, minimum_rows=3, **contract).error == ""
    run = Run(tmp_path / "4", table, minimum_rows=4, **contract)
    assert run.broken == ["minimum_rows", "c.minimum"]
    assert "expected at least 4 rows; found 3 after 1 were quarantined" in run.error


def test_one_row_and_none(tmp_path: Path) -> None:
    one = Run(tmp_path / "1", {"c": [1.5]}, minimum_rows=50)
    assert "minimum_rows: expected at least 50 rows; found 1." in one.error
    none = Run(
        tmp_path / "0",
        {"c": pa.array([], pa.float64())},
        columns={"c": {"unique": True}},
        minimum_rows=50,
        maximum_age_days=1,
    )
    assert "minimum_rows" in none.broken
    assert none.report.rows == 0


@pytest.mark.parametrize("newest", [MOMENT, DAY, MOMENT.replace(tzinfo=dt.UTC)])
def test_maximum_age(tmp_path: Path, newest: dt.date) -> None:
    table = {"t": [newest - dt.timedelta(days=90), newest, None]}
    problem = {"time_column": "t"}
    assert Run(tmp_path / "kept", table, problem=problem, now=NOW, maximum_age_days=2).error == ""
    run = Run(tmp_path / "old", table, problem=problem, now=NOW, maximum_age_days=1.25)
    assert run.broken == ["maximum_age_days"]
    assert "a newest row at most 1.25 days old; found 2024-02-28 " in run.error


def test_maximum_age_of_no_time(tmp_path: Path) -> None:
    text = Run(tmp_path / "text", {"t": ["2024", "2023"]}, problem={"time_column": "t"}, maximum_age_days=1)
    assert "problem.time_column is 't', a column of type text" in text.error
    empty = Run(tmp_path / "empty", {"t": pa.nulls(2, pa.date32())}, problem={"time_column": "t"}, maximum_age_days=1)
    assert empty.error == ""


def test_unique_key_across_columns(tmp_path: Path) -> None:
    table = {"a": [1, 1, 1, 2, None, None], "b": ["x", "x", "y", "x", "x", "x"], "n": range(6)}
    fail = Run(tmp_path / "fail", table, unique=[{"columns": ["a", "b"]}])
    assert fail.finding("unique(a, b)").examples == [{"a": 1, "b": "x"}]
    run = Run(tmp_path / "aside", table, unique=[{"columns": ["a", "b"], "on_failure": "quarantine"}])
    assert [row["n"] for row in run.quarantine] == [1], (
        "all but the first are quarantined, missing parts are not compared"
    )
    assert [row["n"] for row in run.valid] == [0, 2, 3, 4, 5]


def test_condition_across_columns(tmp_path: Path) -> None:
    check = {"name": "in order", "sql": "A <= b -- both in days", "on_failure": "quarantine"}
    run = Run(tmp_path, {"a": [1, 3, None], "b": [2, 2, 2]}, checks=[check])
    assert [row["a"] for row in run.quarantine] == [3]
    assert run.finding("in order").examples == [{"a": 3, "b": 2}]
    assert Run(tmp_path / "kept", {"a": [1, 2], "b": [2, 2]}, checks=[check]).broken == []


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("a +", "syntax error"),
        ("a + 1", "a value of type BIGINT"),
        ("NULL", "a value of type"),
        ("sum(a) > 1", "cannot contain aggregates"),
        ("CAST(s AS INTEGER) > 0", "Could not convert string 'x' to INT32"),
        ("true); SELECT (true", "bad: expected a SQL condition"),
    ],
)
def test_condition_that_cannot_be_evaluated(tmp_path: Path, sql: str, fault: str) -> None:
    checks = [{"name": "bad", "sql": sql}, {"name": "good", "sql": "a > 1"}]
    run = Run(tmp_path, {"a": [1, 2], "s": ["1", "x"]}, checks=checks)
    assert sorted(run.broken) == ["bad", "good"], "the others are checked all the same"
    assert fault in run.error
    assert "contract.checks.0.sql" in run.error


def test_conditions_that_can_all_be_evaluated_do_not_hide_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes.Totals, "__init__", _disk_full)
    with pytest.raises(duckdb.Error, match="disk full"):
        Run(tmp_path, {"a": [1, 2]}, checks=[{"name": "good", "sql": "a > 0"}])


def _disk_full(*_: object, **__: object) -> None:
    raise duckdb.IOException("disk full")


@pytest.mark.parametrize("on_failure", ["quarantine", "fail"])
def test_non_finite(tmp_path: Path, on_failure: str) -> None:
    values = [1.0, float("inf"), float("-inf"), 3.5e38, -3.5e38, 3.4e38, float("nan"), None]
    table = {"x": values, "f": pa.array([1.0, 2, 3, 4, 5, float("inf"), 7, 8], pa.float32()), "n": range(8)}
    run = Run(tmp_path, table, non_finite=on_failure)
    assert run.broken == ["x.non_finite", "f.non_finite"]
    assert run.finding("x.non_finite").failed_rows == 4
    assert run.finding("x.non_finite").examples == ["inf", "-inf", 3.5e38]
    assert run.json["checks"]
    if on_failure == "fail":
        assert "contract.non_finite" in run.error
    else:
        assert [row["n"] for row in run.quarantine] == [1, 2, 3, 4, 5]


def test_row_that_breaks_two_rules_stands_once_in_the_quarantine(tmp_path: Path) -> None:
    aside = {"on_failure": "quarantine"}
    run = Run(
        tmp_path,
        {"a": [5, -1, -1, 5, 6], "b": [1, 1, 2, 3, 2]},
        columns={"a": {"minimum": 0, **aside}, "b": {"maximum": 2, **aside}},
        unique=[{"columns": ["a"], **aside}],
        checks=[{"name": "sum", "sql": "a + b >= 1", **aside}],
    )
    assert run.quarantine == [
        {"a": -1, "b": 1, "rule": "a.minimum; sum"},
        {"a": -1, "b": 2, "rule": "a.minimum; unique(a)"},
        {"a": 5, "b": 3, "rule": "b.maximum; unique(a)"},
    ]
    assert run.valid == [{"a": 5, "b": 1}, {"a": 6, "b": 2}]


@pytest.mark.parametrize(("limit", "broken"), [(0.25, False), (0.24, True)])
def test_quarantine_limit(tmp_path: Path, limit: float, broken: bool) -> None:
    contract: dict[str, Any] = {"columns": {"c": {"allowed": ["a"], "on_failure": "quarantine"}}}
    run = Run(tmp_path, {"c": ["a", "a", "a", "b"]}, quarantine_limit=limit, **contract)
    assert run.report.passed != broken
    assert run.outputs.valid.exists() != broken
    assert (
        "quarantine_limit: expected at most 24% of the rows quarantined; found 1 of 4 rows (25%)." in run.error
    ) == broken
    assert ("c.allowed" in run.error) == broken, "the message lists the rules that set the rows aside too"
    assert "&#39;b&#39;" in run.page


def test_report_and_order_of_the_valid_rows(tmp_path: Path) -> None:
    rows = 300_000  # several row groups, so that threads could mix them
    table = {"n": np.arange(rows), "x": np.random.default_rng(0).random(rows)}
    run = Run(tmp_path, table, columns={"x": {"maximum": 0.9, "on_failure": "quarantine"}})
    valid, aside = (pq.read_table(path)["n"].to_numpy() for path in (run.outputs.valid, run.outputs.quarantine))
    assert (np.diff(valid) > 0).all()
    assert (np.diff(aside) > 0).all()
    assert len(valid) + len(aside) == rows
    (warning,) = run.json["warnings"]
    assert f"{len(aside):,} of 300,000 rows" in warning
    assert run.json | {"checks": 0, "warnings": []} == {
        "rows": rows,
        "valid_rows": len(valid),
        "quarantined_rows": len(aside),
        "quarantined_share": len(aside) / rows,
        "limit": 1.0,
        "passed": True,
        "checks": 0,
        "warnings": [],
    }
    assert set(run.json["checks"][0]) >= {
        "name",
        "column",
        "rule",
        "on_failure",
        "failed_rows",
        "share",
        "examples",
        "holds",
    }
    assert "quarantined (10" in headline(run.report) or "quarantined (9" in headline(run.report)


def test_order_holds_beyond_the_bitmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_BITMAP_ROWS", 10)
    run = Run(tmp_path, {"n": range(50)}, columns={"n": {"minimum": 20, "on_failure": "quarantine"}})
    assert [row["n"] for row in run.valid] == list(range(20, 50))


def test_rules_are_evaluated_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_RULES_A_PASS", 3)
    monkeypatch.setattr(passes, "_BROKEN_A_PASS", 2)
    table = {f"c{i}": [1, -1, i + 2, -i % 7 * 9] for i in range(7)}
    table["c1"][3] = 1
    run = Run(
        tmp_path,
        table,
        columns={name: {"minimum": 0, "unique": name == "c1", "on_failure": "quarantine"} for name in table},
    )
    assert set(run.broken) == {"c1.unique", *(f"{name}.minimum" for name in table)}
    assert [row["rule"] for row in run.quarantine] == ["; ".join(f"c{i}.minimum" for i in range(7)), "c1.unique"]
    assert all(run.finding(f"{name}.minimum").failed_rows == 1 for name in table)


def test_awkward_column_names(tmp_path: Path) -> None:
    names = [
        "Größe in m",
        'he said "hi"',
        "it's",
        "^a.*$",
        "rule",
        "row",
        "file_row_number",
        "row_number",
        "c0",
        "k0",
        "a.b",
        "naïve 青",
        "select",
        "c5",
    ]
    table = {name: [1.0, -1.0, float("inf"), 4.0] for name in names}
    run = Run(
        tmp_path,
        table,
        columns={name: {"type": "number", "minimum": 0, "on_failure": "quarantine"} for name in names}
        | {"^no such$": {"required": True}},
        unique=[{"columns": names}],
        checks=[{"name": "sql", "sql": '"Größe in m" > 0 AND "it\'s" = "it\'s"', "on_failure": "quarantine"}],
    )
    assert run.error.splitlines()[1].startswith("  ^no such$.required")
    assert len(run.error.splitlines()) == 1 + 1 + 2 * len(names) + 1
    kept = Run(tmp_path / "kept", table, columns={name: {"minimum": 0, "on_failure": "quarantine"} for name in names})
    assert len(kept.valid) == 2
    assert list(kept.valid[0]) == names
    assert [row["rule_2"].count("; ") for row in kept.quarantine] == [len(names) - 1] * 2, "`rule` is taken"


def test_all_null_column(tmp_path: Path) -> None:
    table = {"c": pa.nulls(3, pa.float64()), "d": pa.nulls(3), "k": [1, 2, 3]}
    kept = Run(
        tmp_path / "kept",
        table,
        columns={"c": {"type": "number", "nullable": True, "minimum": 0}, "d": {"nullable": True}},
    )
    assert kept.error == ""
    run = Run(tmp_path / "broken", table, columns={"c": {}, "d": {}}, problem={"keys": ["k", "gone"]})
    assert run.broken == ["c.nullable", "d.nullable"]
    assert "3 of 3 rows (100%) that break it, such as 1, 2, 3" in run.error, "the keys say which rows"
    unkeyed = Run(tmp_path / "unkeyed", table, columns={"c": {}})
    assert unkeyed.finding("c.nullable").examples == ["row 1", "row 2", "row 3"]


def test_category_with_100_000_values(tmp_path: Path) -> None:
    values = [f"value {i}" for i in range(100_000)]
    columns = {"c": {"type": "text", "allowed": values[:-1], "unique": True, "on_failure": "quarantine"}}
    run = Run(tmp_path, {"c": values}, columns=columns)
    assert [row["c"] for row in run.quarantine] == [values[-1]]
    assert len(run.page) < 100_000
    assert "and 99979 more" in run.finding("c.allowed").rule


@pytest.mark.slow
def test_thousands_of_columns(tmp_path: Path) -> None:
    table = {f"feature {i}": np.arange(30.0) for i in range(MANY_COLUMNS)}
    table["feature 7"][5] = np.inf
    run = Run(tmp_path, table, columns={"feature 1": {"maximum": 28, "on_failure": "quarantine"}})
    assert [row["rule"] for row in run.quarantine] == ["feature 7.non_finite", "feature 1.maximum"]


def test_file_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(b"PAR1 and then nothing")
    outputs = Outputs(*(tmp_path / name for name in "abcd"))
    with pytest.raises(DataError, match="cannot be read as a Parquet table: .*Run ingest again"):
        validate(path, outputs, contract=ContractConfig(), problem=PROBLEM)
    assert not any(output.exists() for output in outputs)


def test_nothing_set_aside_hands_the_table_on_as_it_is(tmp_path: Path) -> None:
    run = Run(tmp_path, {"c": range(ROWS), "l": [[1]] * ROWS})
    assert pq.read_table(run.outputs.valid).equals(run.table)
    assert pq.read_schema(run.outputs.quarantine).names == ["c", "l", "rule"]
    assert headline(run.report) == "60 rows keep the contract, 2 checks"
    assert {path.name for path in tmp_path.iterdir()} == {"table.parquet", *(path.name for path in run.outputs)}
