"""Comparing answers with the golden requests of a model package."""

import math
from collections.abc import Sequence
from typing import Any

from components.shared.package.model_package import GoldenRequest

TOLERANCE = 1e-4  # between machines: float32 arithmetic in another order


def differences(golden: Sequence[GoldenRequest], answers: Sequence[object]) -> list[str]:
    """What is wrong with the answers to golden requests; empty when nothing is.

    Args:
        golden: Requests with the expected answers.
        answers: The answers given, one a request.
    """
    if len(golden) != len(answers):
        return [f"{len(answers)} answers to {len(golden)} requests"]
    return [
        f"request {index}: expected {request.answer}, got {answer}"
        for index, (request, answer) in enumerate(zip(golden, answers, strict=True))
        if not _same(request.answer, answer)
    ]


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and expected.keys() == found.keys()
            and all(_same(expected[key], found[key]) for key in expected)
        )
    if isinstance(expected, float):
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        return is_number and math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(expected == found and type(expected) is type(found))
