import pytest

from components.shared.package.golden import TOLERANCE, differences
from components.shared.package.model_package import GoldenRequest

ANSWER = {"label": True, "probabilities": {"false": 0.25, "true": 0.75}}


def golden(*answers) -> list[GoldenRequest]:
    return [GoldenRequest(row={"x": 1}, answer=answer) for answer in answers]


def test_the_same_answers_have_no_differences():
    assert differences(golden(ANSWER, {"value": 1.5}), [ANSWER, {"value": 1.5}]) == []
    assert differences([], []) == []


def test_rounding_between_machines_is_no_difference():
    close = {"label": True, "probabilities": {"false": 0.25 + TOLERANCE / 2, "true": 0.75 - TOLERANCE / 2}}
    assert differences(golden(ANSWER), [close]) == []
    assert differences(golden({"value": 1e6}), [{"value": 1e6 + 50}]) == []  # relative, for large values
    assert differences(golden({"value": 1.0}), [{"value": 1}]) == []  # JSON may drop the fraction


@pytest.mark.parametrize(
    "answer",
    [
        {"label": False, "probabilities": {"false": 0.25, "true": 0.75}},
        {"label": 1, "probabilities": {"false": 0.25, "true": 0.75}},
        {"label": "True", "probabilities": {"false": 0.25, "true": 0.75}},
        {"label": True, "probabilities": {"false": 0.24, "true": 0.76}},
        {"label": True, "probabilities": {"false": 0.25}},
        {"label": True, "probabilities": [0.25, 0.75]},
        {"label": True, "probabilities": {"false": 0.25, "true": None}},
        {"label": True},
        {},
        None,
        "text",
    ],
)
def test_what_is_different_is_shown(answer):
    (difference,) = differences(golden(ANSWER), [answer])
    assert difference == f"request 0: expected {ANSWER}, got {answer}"


def test_a_truth_is_no_number():
    assert differences(golden({"value": 1.0}), [{"value": True}])
    assert differences(golden({"value": 0.5}), [{"value": float("nan")}])


def test_every_request_is_answered_once():
    assert differences(golden(ANSWER, ANSWER), [ANSWER]) == ["1 answers to 2 requests"]
