"""Whether clients of the champion would be refused by a candidate."""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gate.requests import check_requests
from components.shared.errors import InputError
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import parse_rows
from images.predictor.messages import ProtocolError
from images.predictor.protocols.v1 import V1
from images.predictor.protocols.v2 import V2

KINDS = ("number", "integer", "boolean", "category", "timestamp")
VALUES = [
    None,
    0,
    1,
    7,
    -7,
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


def schema(*features: Feature, **changes: Any) -> Schema:
    return Schema(task="regression", target="y", features=list(features), **changes)


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


CODES = st.lists(st.sampled_from(["red", "7", "-7", "007", "2138", "02138"]), unique=True)


@given(CODES, CODES)
def test_a_candidate_that_holds_takes_the_numbers_that_the_champion_takes_for_codes(
    before: list[str], after: list[str]
) -> None:
    champion, candidate = (schema(feature(kind="category", categories=codes)) for codes in (before, after))
    if check_requests(champion, candidate, "one").holds:
        for value in (7, -7, 2138, 10001):
            assert takes({"x": value}, candidate) or not takes({"x": value}, champion), value


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Some columns in any order; `id` is a key, or nothing."""
    kept = draw(st.sampled_from([2, 2, 2, 1]))
    names = draw(st.permutations(["a", "b"]))[:kept]
    plain = draw(st.booleans())  # lest most are refused for their kinds
    found = [feature(name, "number", nullable=True) if plain else draw(features(name)) for name in names]
    return schema(*found, keys=draw(st.sampled_from([["id"], []])))


class Endpoint:
    """How a server of a model reads requests: values by column, or None where it refuses."""

    def __init__(self, expected: Schema) -> None:
        self._columns = expected.columns
        scorer: Any = SimpleNamespace(schema=expected)
        self._v1 = V1(scorer, extra="refuse", rows=9)
        self._v2 = V2("demo", scorer, extra="refuse", rows=9)

    def rows(self, row: object) -> dict[str, str] | None:
        """A row of the V1 protocol."""
        return self._read(lambda: self._v1.read(json.dumps({"instances": [row]}).encode()))

    def tensor(self, row: Sequence[object]) -> dict[str, str] | None:
        """A row as the V2 protocol's one tensor for all columns."""
        tensor = {"name": "rows", "shape": [1, len(row)], "datatype": "FP64", "data": [*row]}
        return self._read(lambda: self._v2.read(json.dumps({"inputs": [tensor]}).encode(), b""))

    def _read(self, read: Any) -> dict[str, str] | None:
        try:
            query = read()
        except (InputError, ProtocolError):
            return None
        if query.inputs is None:
            values = [*query.records[0]][: len(self._columns)]
        else:
            values = [*query.inputs.numbers[0], *query.inputs.categories[0], *query.inputs.times[0]]
        # Written as texts, since NaN is not itself; a whole number and the same number are one.
        return {name: str(float(v) if type(v) is int else v) for name, v in zip(self._columns, values, strict=True)}


SENT = [None, 7, 0.5, "red", "2013-06-30T17:45:00Z"]  # at each place


@settings(max_examples=60)
@given(schemas(), schemas())
def test_a_candidate_that_holds_reads_rows_of_each_form_as_the_champion_does(before: Schema, after: Schema) -> None:
    """The protocols are the judge, where columns that are not known are refused."""
    if not check_requests(before, after, "one").holds:
        return
    champion, candidate = Endpoint(before), Endpoint(after)
    names = [one.name for one in before.features]
    for values in itertools.product(SENT, repeat=len(names)):
        row = [*values]
        named = dict(zip(names, row, strict=True))
        for sent in (row, named, {**named, "id": "x"}):
            known = champion.rows(sent)
            assert known is None or candidate.rows(sent) == known, (sent, before.features, after.features)
        known = champion.tensor(row)
        assert known is None or candidate.tensor(row) == known, (row, before.features, after.features)


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
    check = check_requests(schema(before, keys=["id"]), schema(after, keys=["id"], time_column="t"), "one")
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
            "The column 'z' is new: requests without it are refused. To do without, name it in problem.ignore, and "
            "not in problem.features.",
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
        (
            feature(kind="category", categories=["02138", "100"]),
            feature(kind="category", categories=["02138", "10001"]),
            "'x' does not know the code 100 any more, and codes such as '02138' have leading zeros: the number 100 is "
            "refused. Widen the data window until it occurs.",
        ),
        (feature(), feature(kind="category"), "'x' was a number and is a text now. Convert it in the query."),
    ],
)
def test_what_takes_less_is_named_with_what_to_do(before: Feature, after: Feature, found: str) -> None:
    check = check_requests(schema(before), schema(*{before.name: before, after.name: after}.values()), "one")
    assert not check.holds
    assert check.value == 1
    assert found in check.detail
    assert check.detail.endswith("Where clients are ready for it, set gate.same_requests to false.")


STAY = "Columns that problem.features names stay where they are named, even constant ones: "


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (
            ["age", "income"],
            "The model does without 'month' now: rows as lists or one tensor are refused, and with "
            f'serving.extra_columns `refuse` all rows. {STAY}set it to ["age", "income", "month"].',
        ),
        (
            ["age", "month", "income"],
            "The columns stand in another order from 'income' on: rows as lists or one tensor are misread. "
            f'{STAY}set it to ["age", "income", "month"].',
        ),
    ],
)
def test_columns_that_are_gone_or_stand_elsewhere_are_told_with_what_keeps_them(names: list[str], found: str) -> None:
    champion = schema(*map(feature, ["age", "income", "month"]))
    check = check_requests(champion, schema(*map(feature, names)), "one")
    assert (check.holds, check.value) == (False, 1)
    assert check.detail == (
        f"Requests that the champion one takes would be refused or misread. {found} Where clients are ready for it, "
        "set gate.same_requests to false."
    )


def test_the_columns_of_a_wide_table_are_not_listed() -> None:
    wide = [feature(f"c{place}") for place in range(60)]
    detail = check_requests(schema(*wide), schema(*wide[7:]), "one").detail
    assert "without 'c0', 'c1', 'c2', 'c3', 'c4' and 2 more now" in detail
    assert "set it to the 60 features of the schema.json of one, in their order." in detail


def test_keys_that_rows_may_no_longer_carry_are_named() -> None:
    check = check_requests(schema(feature(), keys=["id"]), schema(feature()), "one")
    assert not check.holds
    assert "Rows may no longer carry 'id'" in check.detail


def test_many_columns_are_cut_short() -> None:
    new = check_requests(schema(), schema(*(feature(f"c{i}") for i in range(7))), "one")
    assert new.value == 7
    assert "'c4' is new" in new.detail
    assert "'c5'" not in new.detail
    assert "And 2 more columns." in new.detail
