"""Whether a candidate takes every request that the champion takes.

A schema says what the rows that a version learned from were like. A version that was retrained on few weeks may have
seen no missing value where the champion has, or whole numbers only: once it serves, clients that changed nothing are
refused. So the two schemas are compared before it does.
"""

from collections.abc import Iterator

from components.gate.verdict import Check
from components.shared.package.schema import Feature, FeatureKind, Schema

_SHOWN = 5
_KINDS: dict[FeatureKind, str] = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "timestamp": "a time",
}
_ON_PURPOSE = "Where clients are ready for it, set gate.same_requests to false."


def check_requests(champion: Schema, candidate: Schema, version: str) -> Check:
    """Compare what the two take, column by column.

    Args:
        champion: What the serving version takes.
        candidate: What the new version takes.
        version: The champion's id.

    Returns:
        The check `requests`; its value is the number of columns in which the candidate takes less.
    """
    before = {feature.name: feature for feature in champion.features}
    refused = [
        problem
        for feature in candidate.features
        if (problem := next(_narrower(before.get(feature.name), feature), None)) is not None
    ]
    if not refused:
        detail = f"It takes every request that the champion {version} takes."
        return Check(name="requests", value=0, limit=0, holds=True, detail=detail)
    more = f" And {len(refused) - _SHOWN} more columns." if len(refused) > _SHOWN else ""
    detail = f"Requests that the champion {version} takes would be refused. {' '.join(refused[:_SHOWN])}{more}"
    return Check(name="requests", value=len(refused), limit=0, holds=False, detail=f"{detail} {_ON_PURPOSE}")


def _narrower(before: Feature | None, after: Feature) -> Iterator[str]:
    """In which respects a feature takes less than it did, each with what to do."""
    name = after.name
    if before is None:
        yield f"The column {name!r} is new: requests without it are refused. To do without, name it in problem.ignore."
        return
    if before.kind != after.kind and (before.kind, after.kind) != ("integer", "number"):
        yield f"{name!r} was {_KINDS[before.kind]} and is {_KINDS[after.kind]} now. {_same_type(before)}"
    if before.nullable and not after.nullable:
        yield (
            f"{name!r} may not be missing any more, as it is in no row this time. Promise that it may be: set "
            f"contract.columns.{name}.nullable to true."
        )
    if after.zoned is not None and before.zoned != after.zoned:
        kinds = {True: "times with a zone", False: "times without a zone", None: "times with and without a zone"}
        yield f"{name!r} had {kinds[before.zoned]} and has {kinds[after.zoned]} now. Convert it in the query."
    if after.code_width > before.code_width:
        code = after.padded_code
        yield f"{name!r} has codes with leading zeros now, such as {code!r}: a number in its place is refused."


def _same_type(before: Feature) -> str:
    """How a column gets the type that it had."""
    if before.kind == "number":
        return f"Promise what it was: set contract.columns.{before.name}.type to `number`."
    return "Convert it in the query."
