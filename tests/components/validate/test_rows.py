import math
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from components.shared.package.schema import FLOAT32_MAX
from components.validate.rows import free_name, is_named
from tests.components.validate.checking import Run

INTEGERS = st.none() | st.integers(-3, 3)
FLOATS = st.none() | st.sampled_from([-1.5, -0.0, 0.0, 0.5, 2.0, math.nan, math.inf, -math.inf, 1e39, 3.4e38])
TEXTS = st.none() | st.sampled_from(["", "a", "ab", "A", "a\n", "é", "b c"])
COLUMNS = {"i": pa.int64(), "x x": pa.float64(), "s": pa.string()}
ROWS = st.lists(st.fixed_dictionaries({"i": INTEGERS, "x x": FLOATS, "s": TEXTS}), min_size=1, max_size=12)
ON_FAILURE = st.sampled_from(["fail", "quarantine"])


def _column(**settings_of: Any) -> Any:
    common: dict[str, Any] = {"on_failure": ON_FAILURE, "nullable": st.booleans(), "unique": st.booleans()}
    return st.fixed_dictionaries(common, optional=settings_of)


KEYS: Any = st.fixed_dictionaries(
    {"columns": st.sampled_from([["i", "s"], ["x x", "i"]]), "on_failure": ON_FAILURE},
)
CONTRACTS: Any = st.fixed_dictionaries(
    {"non_finite": ON_FAILURE},
    optional={
        "columns": st.fixed_dictionaries(
            dict[str, Any](),
            optional={
                "i": _column(
                    minimum=st.sampled_from([-2.5, 0]), maximum=st.sampled_from([1, 2.5]), allowed=st.just([0, 1, 2])
                ),
                "x x": _column(
                    minimum=st.sampled_from([-1.0, 0.0]), maximum=st.just(0.5), allowed=st.just([0, 0.5, 7])
                ),
                "s": _column(allowed=st.just(["a", "ab", ""]), pattern=st.sampled_from(["a.?", "[a-z ]+", "|é"])),
            },
        ),
        "unique": st.lists(KEYS, max_size=2, unique_by=lambda key: str(key["columns"])),
        "checks": st.just([{"name": "positive", "sql": 'i + "x x" > 0', "on_failure": "quarantine"}]),
    },
)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _keeps(setting: str, limit: Any, value: Any) -> bool:
    """What a rule promises of one value, said again in Python."""
    if setting == "nullable":
        return not _missing(value)
    tests = {
        "minimum": lambda: value >= limit,
        "maximum": lambda: value <= limit,
        "allowed": lambda: value in limit,
        "pattern": lambda: re.fullmatch(limit, value) is not None,
        "non_finite": lambda: abs(value) <= FLOAT32_MAX,
    }
    return _missing(value) or tests[setting]()


def _repeats(rows: list[dict[str, Any]], names: list[str]) -> list[bool]:
    seen: set[tuple[Any, ...]] = set()
    found = []
    for row in rows:
        key = tuple(row[name] for name in names)
        complete = not any(map(_missing, key))
        found.append(complete and key in seen)
        seen |= {key} if complete else set()
    return found


def _expected(rows: list[dict[str, Any]], contract: dict[str, Any]) -> dict[str, tuple[str, list[bool]]]:
    """By rule: what a breach does, and which rows break it."""
    expected = {}
    for name, rule in contract.get("columns", {}).items():
        for setting in ("nullable", "minimum", "maximum", "allowed", "pattern"):
            if setting in rule and not (setting == "nullable" and rule["nullable"]):
                broken = [not _keeps(setting, rule[setting], row[name]) for row in rows]
                expected[f"{name}.{setting}"] = (rule["on_failure"], broken)
        if rule["unique"]:
            expected[f"{name}.unique"] = (rule["on_failure"], _repeats(rows, [name]))
    expected["x x.non_finite"] = (contract["non_finite"], [not _keeps("non_finite", None, row["x x"]) for row in rows])
    for key in contract.get("unique", []):
        expected[f"unique({', '.join(key['columns'])})"] = (key["on_failure"], _repeats(rows, key["columns"]))
    if "checks" in contract:
        sums = [row["i"] + row["x x"] if not (_missing(row["i"]) or _missing(row["x x"])) else 1 for row in rows]
        expected["positive"] = ("quarantine", [not total > 0 for total in sums])
    return expected


def _plain(rows: list[dict[str, Any]]) -> list[str]:
    """Rows that compare equal when they are the same, NaN too."""
    return [repr({name: row[name] for name in COLUMNS}) for row in rows]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, contract=CONTRACTS)
def test_rows_and_counts_are_what_python_says(rows: list[dict[str, Any]], contract: dict[str, Any]) -> None:
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()})
    expected = _expected(rows, contract)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), table, **contract)
        found = {check.name: check.failed_rows for check in run.report.checks if check.failed_rows is not None}
        assert found == {name: sum(broken) for name, (_, broken) in expected.items()}

        rules = [
            [name for name, (kind, broken) in expected.items() if kind == "quarantine" and broken[n]]
            for n in range(len(rows))
        ]
        good = [row for row, names in zip(rows, rules, strict=True) if not names]
        failed = any(kind == "fail" and any(broken) for kind, broken in expected.values()) or len(good) < 2
        assert run.report.passed != failed
        assert (run.report.valid_rows, run.report.quarantined_rows) == (len(good), len(rows) - len(good))
        for name, (_, broken) in expected.items():
            assert (f"  {name}: " in run.error) == (failed and any(broken))
            assert bool(run.finding(name).examples) == any(broken)
        assert run.outputs.valid.exists() == run.outputs.quarantine.exists() == (not failed)
        if not failed:
            assert _plain(run.valid) == _plain(good)
            assert Counter(_plain(run.valid) + _plain(run.quarantine)) == Counter(_plain(rows))
            assert [set(row["rule"].split("; ")) for row in run.quarantine] == [set(names) for names in rules if names]


@given(st.text(min_size=1, max_size=3), st.lists(st.text(max_size=3), max_size=4))
def test_free_name_is_free(wanted: str, names: list[str]) -> None:
    assert free_name(wanted, names).casefold() not in {name.casefold() for name in names}
    assert free_name(wanted, []) == wanted


def test_a_column_is_named_in_sql_as_a_word() -> None:
    assert is_named("a", "A + 1 > 0")
    assert is_named('he said "hi"', '"he said ""hi""" > 1')
    assert not is_named("a", "ab > 1 and ba < 1")
