"""What a request asks, whichever protocol it came by.

The endpoint scores rows and must not care how they were written; protocols must not care how rows are scored. Between
them stands this. Rows of V1 stay records until the requests of one turn are made tensors together, which costs less
than one by one. Values of clients that stand in messages are cut short, so that nobody's megabyte ends in a log.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.shared.as_written import composed
from components.shared.config import ExtraColumns
from components.shared.errors import InputError
from components.shared.package.schema import Schema
from components.shared.package.scoring import Inputs
from images.predictor.messages import ProtocolError, Reason

_MANY = 10**15


@dataclass(slots=True)
class Query:
    """Rows to be scored.

    Attributes:
        inputs: The rows; numbers as they were received. None as long as they are records.
        records: The rows as the V1 protocol read them, to be made tensors together with those of other requests.
        explain: Whether each feature's contribution is asked for.
        extras: For each of the schema's keys and time column that are no features, its values as text, when they came
            along; they are logged, not scored.
        options: What else the protocol needs for its answer.
    """

    inputs: Inputs | None = None
    records: list[tuple[Any, ...]] = field(default_factory=list)
    explain: bool = False
    extras: dict[str, list[str | None]] = field(default_factory=dict)
    options: Any = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.records) if self.inputs is None else len(self.inputs)


def as_text(value: Any) -> str | None:
    """A value of a key as it is logged."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    # Halves of surrogate pairs, which JSON can spell, cannot be written as UTF-8.
    return composed(text.encode(errors="replace").decode()[:1000])


def short(value: Any) -> str:
    """A value of the client's in a message to it: as JSON spells it, cut short."""
    if isinstance(value, str):
        text = json.dumps(value[:60], ensure_ascii=False)
    elif isinstance(value, int | float | None):
        text = json.dumps(value)
    else:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"


def check_rows(rows: int, limit: int) -> None:
    """Refuse a request without rows, or with too many.

    Raises:
        ProtocolError: 400 or 413.
    """
    if rows == 0:
        raise ProtocolError(Reason.INVALID, "The request holds no rows; expected at least one.")
    if rows > limit:
        many = f"{rows:,}" if rows < _MANY else "very many"
        raise ProtocolError(
            Reason.TOO_LARGE, f"The request holds {many} rows; at most {limit:,} are allowed: send them in parts."
        )


def check_names(names: Sequence[str], schema: Schema, rule: ExtraColumns) -> None:
    """Refuse columns the model does not know when the configuration says so.

    Raises:
        InputError: There are some.
    """
    if rule == "ignore":
        return
    known = {*schema.columns, *schema.extras}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"Column {', '.join(map(short, unknown[:10]))}: not known to the model; expected "
            f"{', '.join(map(repr, schema.columns[:50]))}. Leave it out (serving.extra_columns is `refuse`)."
        )


def wants_explanation(parameters: Any) -> bool:
    """Read `parameters.explain`.

    Raises:
        ProtocolError: 400, the parameters are something else.
    """
    if parameters is None:
        return False
    if not isinstance(parameters, dict):
        raise ProtocolError(Reason.INVALID, f"parameters: found {type(parameters).__name__}; expected an object.")
    explain = parameters.get("explain", False)
    if not isinstance(explain, bool):
        raise ProtocolError(Reason.INVALID, f"parameters.explain: found {short(explain)}; expected true or false.")
    return explain
