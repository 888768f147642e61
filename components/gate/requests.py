"""Whether a candidate takes every request that the champion takes.

A version accepts only rows like those it learned from, which its schema describes. A version that was retrained on few
weeks may have seen no missing value where the champion has, or whole numbers only. If it served, clients that have
changed nothing would be refused. Rows may also come as lists or as one tensor, where a value's position alone says
which column it belongs to: where a column is gone or has moved, such rows are refused or, worse, misread. So the two
schemas are compared before the candidate serves.
"""

import json
import re
from collections.abc import Iterator, Sequence

from components.gate.verdict import Check
from components.shared.package.schema import Feature, FeatureKind, Schema
from components.shared.package.scoring import is_cut_code

_SHOWN = 5
_LISTED = 50  # features that are spelled out to be copied
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_KINDS: dict[FeatureKind, str] = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "timestamp": "a time",
}
_ON_PURPOSE = "Where clients are ready for it, set gate.same_requests to false."


def check_requests(champion: Schema, candidate: Schema, version: str) -> Check:
    """Compare what the two take, column by column, and where the columns stand.

    Args:
        champion: What the serving version takes.
        candidate: What the new version takes.
        version: The champion's id.

    Returns:
        The check `requests`; its value is the number of problems: columns of which the candidate takes less, and lists
        of columns that are gone or stand elsewhere.
    """
    before = {feature.name: feature for feature in champion.features}
    narrower = (next(_narrower(before.get(feature.name), feature), None) for feature in candidate.features)
    problems = [*_misplaced(champion, candidate, version), *(problem for problem in narrower if problem is not None)]
    if not problems:
        detail = f"It takes every request that the champion {version} takes."
        return Check(name="requests", value=0, limit=0, holds=True, detail=detail)
    more = f" And {len(problems) - _SHOWN} more columns." if len(problems) > _SHOWN else ""
    detail = (
        f"Requests that the champion {version} takes would be refused or misread. {' '.join(problems[:_SHOWN])}{more}"
    )
    return Check(name="requests", value=len(problems), limit=0, holds=False, detail=f"{detail} {_ON_PURPOSE}")


def _misplaced(champion: Schema, candidate: Schema, version: str) -> Iterator[str]:
    """Sentences about columns that are gone or in another order, each with what to do."""
    names, after = ([feature.name for feature in schema.features] for schema in (champion, candidate))
    known = {*after, *candidate.extras}
    both = set(names) & set(after)
    stay = (
        f"Columns that problem.features names stay where they are named, even constant ones: {_named(names, version)}"
    )
    if gone := [name for name in names if name not in both]:
        yield (
            f"The model does without {_some(gone)} now: rows as lists or one tensor are refused, and with "
            f"serving.extra_columns `refuse` all rows. {stay}"
        )
    elif (kept := [name for name in after if name in both]) != names:
        moved = next(name for name, other in zip(names, kept, strict=True) if name != other)
        yield f"The columns stand in another order from {moved!r} on: rows as lists or one tensor are misread. {stay}"
    if unknown := [name for name in champion.extras if name not in known]:
        yield (
            f"Rows may no longer carry {_some(unknown)}: with serving.extra_columns `refuse` they are refused. Name it "
            "as before, in problem.keys or as problem.time_column."
        )


def _named(names: Sequence[str], version: str) -> str:
    """The end of a sentence that says which value of `problem.features` keeps the champion's columns."""
    if len(names) > _LISTED:
        return f"set it to the {len(names):,} features of the schema.json of {version}, in their order."
    return f"set it to {json.dumps(names, ensure_ascii=False)}."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _narrower(before: Feature | None, after: Feature) -> Iterator[str]:
    """Sentences about values or requests that a feature no longer accepts, each with what to do."""
    name = after.name
    if before is None:
        yield (
            f"The column {name!r} is new: requests without it are refused. To do without, name it in problem.ignore, "
            "and not in problem.features."
        )
        return
    if before.kind != after.kind and (before.kind, after.kind) != ("integer", "number"):
        yield f"{name!r} was {_KINDS[before.kind]} and is {_KINDS[after.kind]} now. {_same_type(before, after)}"
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
    elif gone := _refused_code(before, after):
        yield (
            f"{name!r} does not know the code {gone} any more, and codes such as {after.padded_code!r} have leading "
            f"zeros: the number {gone} is refused. Widen the data window until it occurs."
        )


def _refused_code(before: Feature, after: Feature) -> str:
    """A code that the champion accepts as a number, and that the candidate refuses; empty for none.

    The candidate does not know this code, and takes the number for a longer code that lost its leading zeros.
    """
    codes = (code for code in before.categories if len(code) < after.code_width and _WHOLE.fullmatch(code))
    return next((code for code in codes if is_cut_code(int(code), after)), "")


def _same_type(before: Feature, after: Feature) -> str:
    """What to do so that a column gets the champion's type again, as a sentence."""
    if (before.kind, after.kind) == ("number", "integer"):
        return f"Promise what it was: set contract.columns.{before.name}.type to `number`."
    return "Convert it in the query."
