"""What holds for every protocol: the same rows are read the same, and refused for the same reasons.

How a request is spelled is the one thing that a new protocol adds to `PROTOCOLS`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from components.shared.errors import InputError
from components.shared.package.model_package import read_golden
from components.shared.package.scoring import Inputs, Scorer, parse_rows
from components.shared.tasks import TASKS
from images.predictor.messages import ProtocolError, Reason, Request
from images.predictor.protocols.base import Codec
from images.predictor.protocols.grpc_v2 import GrpcV2
from images.predictor.protocols.query import Query
from images.predictor.protocols.records import Records
from images.predictor.protocols.tensors import DATATYPES
from images.predictor.protocols.v1 import V1, V1Codec
from images.predictor.protocols.v2 import V2, V2Codec
from tests.images.predictor.protocols.test_v1 import same
from tests.images.predictor.transports.clients import grpc_request, json_request

Rows = Sequence[Mapping[str, Any]]
Parameters = dict[str, Any] | None
MOST_ROWS = 50


def v1_body(scorer: Scorer, rows: Rows, parameters: Parameters) -> bytes:
    return json.dumps({"instances": list(rows), "parameters": parameters}).encode()


def tensors(scorer: Scorer, rows: Rows) -> list[dict[str, Any]]:
    """A tensor for each column that the rows have."""
    kinds = {feature.name: DATATYPES[feature.kind] for feature in scorer.schema.features}
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(kinds)
    return [
        {"name": name, "datatype": kinds.get(name, "BYTES"), "shape": [len(rows)], "data": [row[name] for row in rows]}
        for name in names
    ]


def v2_body(scorer: Scorer, rows: Rows, parameters: Parameters) -> bytes:
    return json_request(tensors(scorer, rows), parameters)


def grpc_body(scorer: Scorer, rows: Rows, parameters: Parameters) -> bytes:
    return bytes(grpc_request(tensors(scorer, rows), parameters).SerializeToString())


@dataclass(frozen=True)
class Protocol:
    """A protocol under test: how its codec is made, and how a request of it is spelled."""

    codec: Callable[[Scorer, Any], Codec]
    body: Callable[[Scorer, Rows, Parameters], bytes]


PROTOCOLS = {
    "v1": Protocol(lambda scorer, extra: V1Codec(V1(scorer, extra=extra, rows=MOST_ROWS)), v1_body),
    "v2": Protocol(lambda scorer, extra: V2Codec(V2("demo", scorer, extra=extra, rows=MOST_ROWS)), v2_body),
    "grpc": Protocol(lambda scorer, extra: GrpcV2("demo", scorer, extra=extra, rows=MOST_ROWS), grpc_body),
}


@dataclass
class Spoken:
    """A protocol, spoken with a model."""

    protocol: Protocol
    scorer: Scorer
    rows: list[dict[str, Any]]

    def read(self, rows: Rows, *, explain: bool = False, extra: str = "ignore") -> Query:
        parameters = {"explain": True} if explain else None
        return self.codec(extra).read(Request(), self.protocol.body(self.scorer, rows, parameters))

    def codec(self, extra: str = "ignore") -> Codec:
        return self.protocol.codec(self.scorer, extra)


@pytest.fixture(params=TASKS)
def scorer(request, packages) -> tuple[Scorer, list[dict[str, Any]]]:
    package = packages(request.param)
    complete = [one.row for one in read_golden(package) if None not in one.row.values()]
    assert len(complete) > 1
    return Scorer.load(package, version="7"), complete


@pytest.fixture(params=PROTOCOLS)
def spoken(request, scorer) -> Spoken:
    return Spoken(PROTOCOLS[request.param], *scorer)


def inputs(spoken: Spoken, query: Query) -> Inputs:
    return Records(spoken.scorer.schema).tensors(query.records) if query.inputs is None else query.inputs


def test_rows_are_read_as_scoring_reads_them(spoken):
    query = spoken.read(spoken.rows)
    found, expected = inputs(spoken, query), parse_rows(spoken.rows, spoken.scorer.schema)
    assert len(query) == len(spoken.rows)
    assert same(found, expected)


def test_an_explanation_is_asked_for_by_the_parameter(spoken):
    assert not spoken.read(spoken.rows).explain
    assert spoken.read(spoken.rows, explain=True).explain


def test_keys_come_along_and_are_no_features(spoken):
    query = spoken.read([{**row, "id": f"k{number}"} for number, row in enumerate(spoken.rows)])
    assert query.extras == {"id": [f"k{number}" for number in range(len(spoken.rows))]}


def test_the_answer_is_of_every_row_and_names_the_version(spoken):
    query = spoken.read(spoken.rows)
    scores = spoken.scorer.score(inputs(spoken, query))
    response = spoken.codec().write(query, scores, None)
    assert response.error is None
    assert b"7" in response.body
    single = spoken.read(spoken.rows[:1])
    shorter = spoken.codec().write(single, scores[:1], None)
    assert len(shorter.body) < len(response.body)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"null", b"[]"])
def test_what_is_no_request_is_refused(spoken, body):
    with pytest.raises((ProtocolError, InputError)) as caught:
        spoken.codec().read(Request(), body)
    assert str(caught.value)


def test_no_rows_are_refused(spoken):
    with pytest.raises((ProtocolError, InputError), match="no rows|at least one"):
        spoken.read([])


def test_more_rows_than_a_request_may_have_are_refused(spoken):
    rows = [spoken.rows[0]] * MOST_ROWS
    assert len(spoken.read(rows)) == MOST_ROWS
    with pytest.raises(ProtocolError, match=f"51 rows; at most {MOST_ROWS} are allowed") as caught:
        spoken.read([*rows, spoken.rows[0]])
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_column_that_is_missing_is_named(spoken):
    with pytest.raises(InputError, match="visits"):
        spoken.read([{name: value for name, value in row.items() if name != "visits"} for row in spoken.rows])


def test_a_value_that_does_not_fit_is_named_with_its_row_and_column(spoken):
    rows = [dict(row) for row in spoken.rows]
    rows[1]["opened at"] = "the day after"
    with pytest.raises(InputError, match="Row 1, column .*opened at.*the day after"):
        spoken.read(rows)


def test_a_column_that_the_model_does_not_know_is_ignored_or_refused(spoken):
    rows = [{**row, "more": "of it"} for row in spoken.rows]
    assert len(spoken.read(rows)) == len(rows)
    with pytest.raises(InputError, match="more.*not known to the model"):
        spoken.read(rows, extra="refuse")
