"""Whether clients of the champion would be refused by a candidate."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.gate.requests import check_requests
from components.shared.errors import InputError
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import parse_rows

KINDS = ("number", "integer", "boolean", "category", "timestamp")
VALUES = [
    None,
    0,
    1,
    7,
    2138,
    0.5,
    2.0,
    float("nan"),
    True,
    "red",
    "02138",
    "2013-06-30T17:45:00",
    "2013-06-30T17:45:00Z",
    datetime(2013, 6, 30),
    datetime(2013, 6, 30, tzinfo=UTC),
]


def feature(name: str = "x", kind: str = "number", **changes: object) -> Feature:
    return Feature.model_validate({"name": name, "kind": kind, "nullable": False} | changes)


def schema(*features: Feature) -> Schema:
    return Schema(task="regression", target="y", features=list(features))


def takes(row: Mapping[str, object], expected: Schema) -> bool:
    try:
        parse_rows([row], expected)
    except InputError:
        return False
    return True


@st.composite
def features(draw: st.DrawFn, name: str) -> Feature:
    kind = draw(st.sampled_from(KINDS))
    zoned = draw(st.sampled_from([None, True, False])) if kind == "timestamp" else None
    categories = draw(st.sampled_from([["red"], ["2138", "7"], ["02138", "red"]])) if kind == "category" else []
    return feature(name, kind, nullable=draw(st.booleans()), zoned=zoned, categories=categories)


@given(
    before=st.one_of(st.just(schema(feature("other"))), features("x").map(schema)),
    after=st.one_of(st.just(schema(feature("other"))), features("x").map(schema)),
)
def test_a_candidate_that_holds_takes_whatever_the_champion_takes(before: Schema, after: Schema) -> None:
    """The parser of requests is the judge: of each value that the champion takes, the candidate takes it too."""
    if check_requests(before, after, "one").holds:
        for value in VALUES:
            row = dict.fromkeys(before.columns, value)
            assert takes(row, after) or not takes(row, before), (value, before.features, after.features)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (feature(), feature()),
        (feature(), feature(nullable=True)),
        (feature(kind="integer"), feature(kind="number")),
        (feature(kind="timestamp", zoned=True), feature(kind="timestamp", zoned=True)),
        (feature(kind="timestamp", zoned=False), feature(kind="timestamp")),
        (feature(kind="category", categories=["007"]), feature(kind="category", categories=["red"])),
    ],
)
def test_what_takes_as_much_or_more_holds(before: Feature, after: Feature) -> None:
    check = check_requests(schema(before, feature("gone")), schema(after), "one")
    assert check.holds
    assert check.detail == "It takes every request that the champion one takes."


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (
            feature(nullable=True),
            feature(),
            "'x' may not be missing any more, as it is in no row this time. Promise that it may be: set "
            "contract.columns.x.nullable to true.",
        ),
        (
            feature(),
            feature(kind="integer"),
            "'x' was a number and is a whole number now. Promise what it was: set contract.columns.x.type to `number`.",
        ),
        (
            feature(),
            feature("z"),
            "The column 'z' is new: requests without it are refused. To do without, name it in",
        ),
        (feature(kind="category"), feature(kind="integer"), "'x' was a text and is a whole number now. Convert it in"),
        (
            feature(kind="timestamp", zoned=True),
            feature(kind="timestamp", zoned=False),
            "'x' had times with a zone and has times without a zone now. Convert it in the query.",
        ),
        (
            feature(kind="category", categories=["2138"]),
            feature(kind="category", categories=["02138"]),
            "'x' has codes with leading zeros now, such as '02138': a number in its place is refused.",
        ),
    ],
)
def test_what_takes_less_is_named_with_what_to_do(before: Feature, after: Feature, found: str) -> None:
    check = check_requests(schema(before), schema(after), "one")
    assert not check.holds
    assert check.value == 1
    assert found in check.detail
    assert check.detail.endswith("Where clients are ready for it, set gate.same_requests to false.")


def test_many_columns_are_cut_short() -> None:
    new = check_requests(schema(), schema(*(feature(f"c{i}") for i in range(7))), "one")
    assert new.value == 7
    assert "'c4' is new" in new.detail
    assert "'c5'" not in new.detail
    assert "And 2 more columns." in new.detail
