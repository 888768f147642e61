"""Which columns are learned from, and what is said about them."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from components.shared.errors import DataError
from tests.helpers import MANY_COLUMNS

N = 60
X = list(range(N))
Y = [i // 3 % 2 for i in X]
UTC = dt.UTC


def test_kinds_follow_types(prepared):
    moments = [dt.datetime(2024, 1, 1, tzinfo=UTC) + dt.timedelta(hours=i) for i in X]
    data = {
        "whole": X,
        "real": [i / 7 for i in X],
        "money": [Decimal(i) / 4 for i in X],
        "text": [f"t{i % 5}" for i in X],
        "flag": [i % 7 == 0 for i in X],
        "day": [moment.date() for moment in moments],
        "moment": moments,
        "code": [i % 4 for i in X],
        "y": Y,
    }
    found = prepared(data, {"categorical": ["code"]})
    assert {feature.name: feature.kind for feature in found.schema.features} == {
        "whole": "integer",
        "real": "number",
        "money": "number",
        "text": "category",
        "flag": "boolean",
        "day": "timestamp",
        "moment": "timestamp",
        "code": "category",
    }
    types = {field.name: str(field.type) for field in found.parts["train"].schema}
    assert types["money"] == "double"
    assert types["day"] == types["moment"] == "timestamp[us]"


def test_the_schema_describes_the_training_part_alone(prepared):
    times = [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in X]
    data = {
        "t": times,
        "n": [None if i == 59 else float(i) for i in X],
        "c": ["new" if i > 55 else "ab"[i % 3 == 0] for i in X],
        "y": Y,
    }
    found = prepared(data, {"time_column": "t", "features": ["n", "c", "t"]})
    number, category, moment = found.schema.features
    assert (number.minimum, number.maximum, number.nullable) == (0, 41, True)  # the null stands in the test part
    assert (category.categories, category.cardinality, category.nullable) == (["a", "b"], 2, False)
    assert moment.minimum == times[0].replace(tzinfo=UTC).timestamp()


def test_columns_with_other_roles_are_no_features(prepared):
    data = {
        "id": X,
        "t": [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in X],
        "x": X,
        "z": X,
        "after": X,
        "y": Y,
    }
    found = prepared(data, {"keys": ["id"], "time_column": "t", "ignore": ["z"], "leaks": ["after"]})
    assert found.schema.columns == ["x"]
    assert found.parts["train"].column_names == ["id", "t", "x", "z", "y"]
    assert (found.schema.keys, found.schema.time_column) == (["id"], "t")


def test_constant_and_empty_features_are_dropped(prepared):
    data = {
        "x": X,
        "one": [1.0] * N,
        "word": ["a"] * N,
        "none": pa.nulls(N, pa.string()),
        "some": [1.0, None] * 30,
        "y": Y,
    }
    found = prepared(data)
    assert found.schema.columns == ["x", "some"]
    assert found.summary.dropped_features == {"one": "constant", "word": "constant", "none": "all null"}
    assert "The feature 'none' is all null in the training part and was dropped." in found.summary.warnings


def test_features_that_somebody_named_stay_in_their_order(prepared):
    """Clients of a version of a whole year send them to one of few weeks, too; lists say values by their place."""
    data = {"none": pa.nulls(N, pa.float64()), "x": X, "one": [1.0] * N, "word": ["a"] * N, "y": Y}
    names = ["word", "x", "none", "one"]
    found = prepared(data, {"features": names})
    assert [(feature.name, feature.nullable) for feature in found.schema.features] == [
        ("word", False),
        ("x", False),
        ("none", True),
        ("one", False),
    ]
    assert not found.summary.dropped_features
    because = "in the training part and stays because problem.features names it."
    for said in (f"'one' is constant {because}", f"'word' is constant {because}", f"'none' is all null {because}"):
        assert f"The feature {said}" in found.summary.warnings
    with pytest.raises(DataError, match="No feature can be learned from: 'one' is constant"):
        prepared(data, {"features": ["one", "none"]})


def test_a_table_of_constants_is_refused(prepared):
    with pytest.raises(DataError, match="No feature can be learned from: 'one' is constant in the training part"):
        prepared({"id": X, "one": [1] * N, "y": Y}, {"keys": ["id"]})


def test_a_table_without_features_is_refused(prepared):
    with pytest.raises(DataError, match="No column is left to learn from"):
        prepared({"id": X, "y": Y}, {"keys": ["id"]})


def test_lists_and_structs_are_refused_as_features(prepared):
    data = {"x": X, "list": [[1, 2]] * N, "struct": [{"a": 1}] * N, "clock": [dt.time(12)] * N, "y": Y}
    with pytest.raises(DataError, match=r"'list' \(BIGINT\[\]\), 'struct' \(STRUCT.*\), 'clock' \(TIME\)"):
        prepared(data)


def test_codes_may_be_stored_as_floats(prepared):
    code = pa.array([float(i % 3) if i % 5 else None for i in X])
    found = prepared({"code": code, "x": X, "y": Y}, {"categorical": ["code"]})
    assert sorted(found.schema.categories[0].categories) == ["0", "1", "2"]


def test_the_column_that_groups_the_split_is_no_feature_and_stays_in_the_parts(prepared):
    data = {"patient": [f"p{i // 3}" for i in X], "x": X, "y": [i % 2 for i in X]}
    found = prepared(data, split={"method": "grouped", "group": "patient"})
    assert found.schema.columns == ["x"]
    assert found.schema.group == "patient"
    assert all("patient" in table.column_names for table in found.parts.values())
    assert found.summary.remarks == [
        "'patient' groups the split (prepare.split.group) and is no feature: no patient of the test part was seen in "
        "training."
    ]


def test_the_group_is_a_feature_when_it_is_named_which_is_warned_of(prepared):
    data = {"patient": [f"p{i // 3}" for i in X], "x": X, "y": [i % 2 for i in X]}
    found = prepared(data, {"features": ["patient", "x"]}, split={"method": "grouped", "group": "patient"})
    assert set(found.schema.columns) == {"patient", "x"}
    warning = found.summary.warnings[0]
    assert "is also in problem.features: no patient of the validation and test part was seen" in warning


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0", "column_1", "rownames", "index", "row_number"])
@pytest.mark.parametrize("numbers", [[3 * i + 7 for i in X], [*reversed(X)]])
def test_row_numbers_are_no_features(prepared, name, numbers):
    found = prepared({name: numbers, "x": X, "y": Y})
    assert found.schema.columns == ["x"]
    (remark,) = found.summary.remarks
    assert repr(name) in remark
    assert "is no feature. Name it in problem.features to learn from it." in remark
    assert prepared({name: numbers, "x": X, "y": Y}, {"features": [name, "x"]}).schema.columns == [name, "x"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("day", X),  # a trend, perhaps, and no name of a row number
        ("index", [i * 7 % 11 for i in X]),
        ("column_1", [i / 2 for i in X]),
        ("rownames", [None, *X[1:]]),
    ],
)
def test_what_only_resembles_row_numbers_is_a_feature(prepared, name, values):
    assert prepared({name: values, "x": [i % 5 for i in X], "y": Y}).schema.columns == [name, "x"]


def test_free_text_is_no_feature_and_the_setting_keeps_it(prepared):
    review = [f"the {i}th stay was {'fine' if i % 2 else 'poor'}" for i in X]
    town = [f"town number {i % 7}" for i in X]
    ticket = [f"A{i}" for i in X]
    data = {"review": review, "town": town, "ticket": ticket, "x": X, "y": Y}
    found = prepared(data)
    assert found.schema.columns == ["x", "town", "ticket"]
    (remark,) = found.summary.remarks
    assert remark.startswith("'review' looks like free text (about ")
    assert "5 words each) and is no feature" in remark
    assert "problem.categorical" in remark
    assert "review" in prepared(data, {"categorical": ["review"]}).schema.columns
    assert "review" in prepared(data, {"features": ["review", "x"]}).schema.columns


def test_a_table_of_free_text_alone_is_refused_with_the_reason(prepared):
    data = {"review": [f"the {i}th stay was fine" for i in X], "y": Y}
    with pytest.raises(DataError, match="No column is left to learn from. 'review' looks like free text"):
        prepared(data)


def test_times_say_whether_they_have_a_zone(prepared):
    naive = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=i) for i in X]
    data = {
        "local": naive,
        "zoned": pa.array([moment.replace(tzinfo=UTC) for moment in naive], pa.timestamp("us", "UTC")),
        "day": [moment.date() for moment in naive],
        "text": [moment.isoformat() + "+02:00" for moment in naive],
        "y": Y,
    }
    problem = {"time_column": "zoned", "features": ["local", "zoned", "day", "text"]}
    found = prepared(data, problem, dates={"text": ["%Y-%m-%dT%H:%M:%S%z"]})
    assert {feature.name: feature.zoned for feature in found.schema.features} == {
        "local": False,
        "zoned": True,
        "day": False,
        "text": True,
    }
    assert found.schema.time_column_zoned is True
    assert found.values("zoned") == naive
    assert found.values("text") == [moment - dt.timedelta(hours=2) for moment in naive]


def test_real_numbers_are_no_codes(prepared):
    with pytest.raises(DataError, match=r"problem\.categorical names 'x' \(DOUBLE\)"):
        prepared({"x": [i / 2 for i in X], "y": Y}, {"categorical": ["x"]})


@pytest.mark.parametrize(
    ("value", "found"), [(math.inf, "an infinite value"), (-math.inf, "an infinite"), (1e39, r"1e\+39, beyond")]
)
def test_numbers_a_model_cannot_hold_are_refused(prepared, value, found):
    with pytest.raises(DataError, match=f"The feature 'x' holds {found}"):
        prepared({"x": [*(float(i) for i in X[1:]), value], "y": Y})


def test_unknown_names_are_listed_with_the_nearest(prepared):
    problem = {"target": "Y", "features": ["temprature"], "keys": ["idd"], "leaks": ["after"], "time_column": "when"}
    with pytest.raises(DataError) as refused:
        prepared({"id": X, "temperature": X, "y": Y}, problem, bounds={"temperatur": {"minimum": 0}})
    assert str(refused.value).splitlines() == [
        "The configuration names columns the table does not have:",
        "  problem.target: 'Y', did you mean 'y'?",
        "  problem.keys: 'idd', did you mean 'id'?",
        "  problem.features: 'temprature', did you mean 'temperature'?",
        "  problem.leaks: 'after'",
        "  prepare.bounds: 'temperatur', did you mean 'temperature'?",
        "  problem.time_column: 'when'",
        "The table has id, temperature, y.",
    ]


def test_a_missing_group_column_is_named(prepared):
    with pytest.raises(DataError, match=r"prepare\.split\.group: 'patient'"):
        prepared({"x": X, "y": Y}, split={"method": "grouped", "group": "patient"})


def test_a_time_column_of_text_is_refused(prepared):
    with pytest.raises(DataError, match=r"'t' is VARCHAR, no date or timestamp.*prepare\.dates\.t"):
        prepared({"t": ["2024-01-01"] * N, "x": X, "y": Y}, {"time_column": "t"})


def test_the_engines_own_column_name_is_refused(prepared):
    with pytest.raises(DataError, match="a column named 'file_row_number'"):
        prepared({"file_row_number": X, "y": Y})


def test_a_category_of_100_000_values(prepared):
    rows = 150_000
    values = np.char.add("v", (np.arange(rows) % 100_000).astype(str))
    found = prepared({"c": values, "x": np.arange(rows), "y": np.arange(rows) % 3 == 0})
    assert 80_000 < found.schema.categories[0].cardinality < 100_000
    assert len(found.schema.categories[0].categories) == 1_000


@pytest.mark.slow
def test_thousands_of_columns(prepared):
    random, half = np.random.default_rng(0), range(MANY_COLUMNS // 2)
    columns = {f"n{i}": random.normal(size=60) for i in half}
    columns |= {f"c{i}": pa.array(np.char.add("v", random.integers(0, 3, 60).astype(str))) for i in half}
    found = prepared({**columns, "y": Y})
    assert len(found.schema.features) == 2 * len(half)


def test_names_may_hold_anything(prepared):
    names = [
        'with "quotes"',
        "with spaces ",
        "größe",
        "名前",
        "it's",
        "SELECT",
        "rank",
        "part",
        "arrival",
        "a\nb",
        "100%",
    ]
    random = np.random.default_rng(1)
    data = {name: random.normal(size=N) for name in names} | {"label; --": ["ja", "nein"] * 30}
    problem = {"target": "label; --", "keys": ["rank"]}
    found = prepared(data, problem, bounds={"größe": {"minimum": -10}}, split={"method": "grouped", "group": "it's"})
    assert set(found.schema.columns) == set(names) - {"rank", "it's"}  # the key and the group


def test_the_contract_says_what_may_come_besides_what_is_there(prepared):
    """So that a version of few weeks takes what one of a year takes."""
    data = {"seen": [None, *map(float, X[1:])], "whole": X, "real": [i / 7 for i in X], "one": [1] * N, "y": Y}
    contract = {
        "columns": {
            "whole": {"type": "number", "nullable": True},
            "real": {"type": "number"},
            "one": {"nullable": True},
        }
    }
    found = prepared(data, contract=contract)
    assert [(feature.name, feature.kind, feature.nullable) for feature in found.schema.features] == [
        ("seen", "number", True),
        ("whole", "number", True),
        ("real", "number", False),
    ]
    assert found.summary.dropped_features == {"one": "constant"}  # a promise teaches nothing
    assert [(feature.name, feature.kind, feature.nullable) for feature in prepared(data).schema.features[:2]] == [
        ("seen", "number", True),
        ("whole", "integer", False),
    ]
