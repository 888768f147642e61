import datetime as dt
import json
import math
from decimal import Decimal

import pytest

from components.validate.findings import Finding, as_json, example_text, first_distinct, message, plain, report_of

KEPT = Finding(name="a.minimum", rule="at least 0", failed_rows=0, share=0.0, holds=True)
ASIDE = Finding(
    name="b.allowed",
    rule="one of 1",
    on_failure="quarantine",
    failed_rows=2,
    share=0.2,
    examples=[5],
    holds=False,
    change="Correct it.",
)
BROKEN = Finding(name="c.required", rule="a column 'c'", holds=False, found="none", change="Select it.")


def test_a_report_passes_when_broken_rules_only_set_rows_aside() -> None:
    assert report_of([KEPT, ASIDE], 10, 2, limit=0.5).passed
    report = report_of([KEPT, ASIDE, BROKEN], 10, 2, limit=0.5)
    assert not report.passed
    assert report.broken == [BROKEN, ASIDE]
    assert (report.valid_rows, report.quarantined_share) == (8, 0.2)
    assert report_of([], 0, 0, limit=0.5).quarantined_share == 0.0
    assert report.warnings == [
        "b.allowed: expected one of 1; found 2 of 10 rows (20%) that break it, such as 5 (quarantined)."
    ]


def test_the_message_lists_every_broken_rule() -> None:
    assert message(report_of([KEPT, ASIDE, BROKEN], 10, 2, limit=0.5)) == (
        "The table breaks its data contract: 2 rules are broken (10 rows checked).\n"
        "  c.required: expected a column 'c'; found none. Select it.\n"
        "  b.allowed: expected one of 1; found 2 of 10 rows (20%) that break it, such as 5 (quarantined). Correct it."
    )
    assert "1 rule is broken" in message(report_of([BROKEN], 10, 0, limit=0.5))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (0.5, 0.5),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (Decimal("0.25"), 0.25),
        (dt.date(2024, 2, 28), "2024-02-28"),
        (dt.datetime(2024, 2, 28, 1), "2024-02-28T01:00:00"),
        ("x" * 500, "x" * 199 + "…"),
        ([1], "[1]"),
    ],
)
def test_values_become_json(value: object, expected: object) -> None:
    assert plain(value) == expected
    report = report_of([ASIDE.model_copy(update={"examples": [plain(value)]})], 10, 1, limit=1)
    assert json.loads(as_json(report))["checks"][0]["examples"] == [expected]


def test_examples_stand_on_one_line() -> None:
    assert example_text({"a b": "x\ny", "n": None}) == r"(a b = 'x\ny', n = missing)"
    assert example_text(True) == "true"
    assert len(example_text("y" * 100)) == 60
    assert first_distinct([1, 1, {"a": 1}, 2, {"a": 1}, 3]) == [1, {"a": 1}, 2]
