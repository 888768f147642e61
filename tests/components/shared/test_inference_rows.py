import pyarrow as pa
import pytest

from components.shared.inference_rows import left_out, log_prefix, log_schema, logged_name, received_name
from components.shared.package.schema import Feature, Schema
from tests.helpers import make_schema


def schema(*names: str, **changes: object) -> Schema:
    features = [Feature(name=name, kind="number", nullable=False) for name in names]
    return make_schema().model_copy(update={"features": features, "time_column": "", "keys": [], **changes})


def test_the_columns_of_a_classifier():
    found = log_schema(make_schema(), [])
    assert {field.name: str(field.type) for field in found} == {
        "amount": "double",
        "visits": "int64",
        "member": "bool",
        "colour": "string",
        "opened at": "timestamp[s, tz=UTC]",
        "id": "string",
        "request_id": "string",
        "request_row": "int32",
        "received": "timestamp[us, tz=UTC]",
        "model_version": "string",
        "latency_ms": "float",
        "prediction": "string",
        "probability_false": "float",
        "probability_true": "float",
    }
    assert left_out(found) == frozenset()


def test_a_regression_logs_numbers():
    found = log_schema(make_schema("regression"), [])
    assert found.field("prediction").type == pa.float32()
    assert not [name for name in found.names if name.startswith("probability_")]


def test_keys_and_times_that_are_features_stand_once():
    found = log_schema(schema("a", "when", time_column="when", keys=["a", "b"]), [])
    assert found.names[:4] == ["a", "when", "b", "request_id"]
    assert found.field("a").type == pa.float64()
    assert found.field("b").type == pa.string()


def test_columns_are_left_out_and_the_file_says_so():
    found = log_schema(make_schema(), ["colour", "id", "request_id", "no such"])
    assert {"colour", "id"}.isdisjoint(found.names)
    assert "request_id" in found.names
    assert left_out(found) == {"colour", "id"}


@pytest.mark.parametrize("leave_out", [[], ["received", "_received", "prediction", "probability_true"]])
def test_what_a_column_of_the_model_is_called_is_not_taken(leave_out):
    """Whether that column is logged or not: names do not depend on it."""
    model = schema("received", "_received", "probability_true", keys=["prediction"], time_column="request_row")
    found = log_schema(model, leave_out)
    assert {"__received", "_prediction", "_probability_true", "_request_row", "request_id"} <= set(found.names)
    assert len(set(found.names)) == len(found.names)
    assert received_name(found) == logged_name("received", model) == "__received"
    assert set(leave_out).isdisjoint(found.names)


def test_files_of_others_say_nothing():
    assert left_out(pa.schema([("a", pa.int8())])) == frozenset()
    assert received_name(pa.schema([("a", pa.int8())])) == "received"


def test_a_model_has_a_prefix_of_its_own():
    assert log_prefix("demo") == "inference/demo/"
    assert not log_prefix("demo-2").startswith(log_prefix("demo"))


@pytest.mark.parametrize(("zoned", "kind"), [(None, "UTC"), (True, "UTC"), (False, None)])
def test_times_are_logged_with_a_zone_where_the_model_expects_one(zoned, kind):
    feature = Feature(name="t", kind="timestamp", nullable=True, zoned=zoned)
    found = log_schema(Schema(task="regression", target="y", features=[feature]), ())
    assert found.field("t").type == pa.timestamp("s", kind)
    assert found.field("received").type == pa.timestamp("us", "UTC")
