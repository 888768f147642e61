"""The rows of the inference log: what the endpoint writes and monitor reads.

A file holds the features as received, the schema's keys and time column where they are no features, and columns about
the request and its answer. A file says in its metadata which columns were left out of it by configuration.

A candidate that is sent copies of requests has a log of its own, below another root, with the same request ids. Its
files hold the columns about the request and its answer alone; the log of the version that serves has the features.
"""

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from components.shared.package.schema import FeatureKind, Schema, unique_name
from components.shared.tasks import TASKS

if TYPE_CHECKING:
    import pyarrow as pa

LOG_ROOT = "inference/"
SHADOW_ROOT = "shadow/"
REQUEST_ID = "request_id"
REQUEST_ROW = "request_row"
RECEIVED = "received"
MODEL_VERSION = "model_version"
LATENCY = "latency_ms"
PREDICTION = "prediction"
PROBABILITY = "probability_"

_LEFT_OUT = b"left_out"
_RECEIVED_NAME = b"received"


def log_prefix(model: str, root: str = LOG_ROOT) -> str:
    """What the keys of a model's log begin with."""
    return f"{root}{model}/"


def logged_name(name: str, schema: Schema) -> str:
    """The column of something about a request or its answer: its name, after a `_` for each time that is taken.

    Args:
        name: One of this module's names.
        schema: The model's columns; they keep their names, logged or not.
    """
    return unique_name(name, {*schema.columns, *schema.identifiers})


def probability_names(schema: Schema) -> list[str]:
    """The columns of the classes' probabilities, in the order of `Schema.classes`; none for regression."""
    return [logged_name(f"{PROBABILITY}{label}", schema) for label in schema.labels]


def log_schema(schema: Schema, leave_out: Collection[str]) -> "pa.Schema":
    """The Arrow schema of the log of a model.

    Args:
        schema: The model's columns and classes.
        leave_out: Features, keys or the time column that are not logged; other names have no effect.
    """
    import pyarrow as pa

    kinds = _kinds()
    # Local times stay what they are; the received moment and those with a zone are in UTC.
    received = {
        feature.name: pa.timestamp("s") if feature.zoned is False else kinds[feature.kind]
        for feature in schema.features
    }
    columns = received | dict.fromkeys(schema.extras, pa.string())
    left_out = sorted(columns.keys() & set(leave_out))
    about = {
        REQUEST_ID: pa.string(),
        REQUEST_ROW: pa.int32(),
        RECEIVED: pa.timestamp("us", tz="UTC"),
        MODEL_VERSION: pa.string(),
        LATENCY: pa.float32(),
        PREDICTION: TASKS[schema.task].answer.logged_type(),
    }
    fields = {name: kind for name, kind in columns.items() if name not in left_out}
    fields |= {logged_name(name, schema): kind for name, kind in about.items()}
    fields |= dict.fromkeys(probability_names(schema), pa.float32())
    metadata = {_LEFT_OUT: json.dumps(left_out), _RECEIVED_NAME: logged_name(RECEIVED, schema)}
    return pa.schema(list(fields.items()), metadata=metadata)


def received_name(schema: "pa.Schema") -> str:
    """The column of the server time in rows of `log_schema`."""
    return _metadata(schema).get(_RECEIVED_NAME, RECEIVED.encode()).decode()


def left_out(schema: "pa.Schema") -> frozenset[str]:
    """The columns that a file lacks because the configuration says so; none when it does not say."""
    return frozenset(json.loads(_metadata(schema).get(_LEFT_OUT, b"[]")))


def _metadata(schema: "pa.Schema") -> Mapping[bytes, bytes]:
    return schema.metadata or {}


def _kinds() -> "Mapping[FeatureKind, pa.DataType]":
    import pyarrow as pa

    return {
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "category": pa.string(),
        "timestamp": pa.timestamp("s", tz="UTC"),
    }
