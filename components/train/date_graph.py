"""`DateParts` as ONNX operations: moments in float64, the calendar in whole numbers.

ONNX knows no calendar, and a model server should need nothing but the graph. So the arithmetic of `dates.Days` is built
here from Add, Sub, Mul, Div and Mod on int64, operation by operation: every method of `_Days` below has its counterpart
there, with a worked example. The parity check of train compares the two on real rows.

ONNX's Div rounds towards zero and Python's `//` rounds down. They agree as long as nothing is negative, which is why
all counts begin in the year 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from components.shared.dates import (
    DAY,
    ERA,
    FIRST_SECOND,
    HOUR,
    JANUARY,
    MINUTE,
    DateParts,
    calendar_parts,
    cycles,
    cyclic_parts,
    date_pairs,
)
from components.shared.package.scoring import MISSING_TIME
from components.train.graph import Graph

# Parts that need no calendar: (seconds + a) // b % c. Day 0 was a Wednesday, so adding two days makes Monday 0.
# Example: 2013-01-01 07:30 is 735,174 days and 27,000 seconds after 0000-03-01. (735,174 + 2) % 7 is 1, a Tuesday; the
# hour is 27,000 // 3,600 = 7, as whole days leave no rest, and the minute 27,000 // 60 % 60 = 30.
_PLAIN = {"weekday": (2 * DAY, DAY, 7), "hour": (0, HOUR, 24), "minute": (0, MINUTE, 60)}


def add_date_parts(graph: Graph, name: str, tensor: str, transformer: DateParts) -> str:
    """`DateParts`; intermediate tensors are made once, and only those that the parts need."""
    makers = [_add_elapsed] if "elapsed" in transformer.parts else []
    makers += [_add_calendar] if calendar_parts(transformer.parts) else []
    if len(makers) == 1:
        return makers[0](graph, name, tensor, transformer)
    blocks = [maker(graph, f"{name}.{number}", tensor, transformer) for number, maker in enumerate(makers)]
    return graph.add("Concat", blocks, name, axis=1)


def _add_elapsed(graph: Graph, name: str, tensor: str, transformer: DateParts) -> str:
    """Days since the origins, and between timestamps, of shape (rows, columns + pairs); NaN where one is missing."""
    builder = _Builder(graph, name)
    missing = builder.operation("missing", "Equal", tensor, np.int64(MISSING_TIME))
    # as floats, because ONNX Runtime's Max of int64 errs where the upper halves are equal
    seconds = builder.operation("first", "Max", builder.cast("seconds", tensor, np.float64), np.float64(FIRST_SECOND))
    nan = graph.constant(f"{name}.nan", np.asarray(np.nan))
    known = graph.add("Where", [missing, nan, seconds], f"{name}.known")
    spans = builder.operation("since", "Sub", known, transformer.origin_.astype(np.float64))
    if pairs := date_pairs(transformer.parts, transformer.n_features_in_):
        earlier = builder.gather("earlier", known, [first for first, _ in pairs], axis=1)
        later = builder.gather("later", known, [second for _, second in pairs], axis=1)
        spans = graph.add(
            "Concat", [spans, builder.operation("between", "Sub", later, earlier)], f"{name}.spans", axis=1
        )
    return graph.add("Cast", [builder.operation("days", "Div", spans, np.float64(DAY))], name, to=TensorProto.FLOAT)


def _add_calendar(graph: Graph, name: str, tensor: str, transformer: DateParts) -> str:
    """Calendar parts, and their cycles, of shape (rows, columns × parts); NaN where a timestamp is missing."""
    columns = transformer.n_features_in_
    builder = _Moments(graph, name)
    source = tensor if columns == 1 else builder.shaped(tensor, "column", [-1, columns, 1])
    builder.read(source)
    whole = builder.join("whole", builder.runs(calendar_parts(transformer.parts)))
    values = builder.cast("floats", whole, np.float32)
    width = len(calendar_parts(transformer.parts))
    if transformer.cyclic and (known := cyclic_parts(transformer.parts)):
        values = builder.join("values", [values, _add_cycles(builder, whole, transformer)])
        width += 2 * len(known)
    missing = builder.operation("missing", "Equal", source, np.int64(MISSING_TIME))
    nan = graph.constant(f"{name}.nan", np.asarray(np.nan, dtype=np.float32))
    if columns == 1:
        return graph.add("Where", [missing, nan, values], name)
    known_values = graph.add("Where", [missing, nan, values], f"{name}.known")
    return builder.shaped(known_values, "flat", [-1, columns * width], output=name)


def _add_cycles(builder: "_Builder", whole: str, transformer: DateParts) -> str:
    around = cycles(transformer.parts)
    chosen = builder.gather("chosen", whole, around.chosen, axis=-1)
    places = builder.operation("places", "Add", chosen, around.offsets)
    table = builder.graph.constant(f"{builder.name}.table", around.table)
    return builder.graph.add("Gather", [table, places], f"{builder.name}.cycles", axis=0)


class _Builder:
    """Operations on a tensor whose names begin alike, each made once."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name
        self.made: dict[str, str] = {}

    def operation(
        self, key: str, operation: str, left: str, right: "str | NDArray[np.generic] | np.generic | int"
    ) -> str:
        """An operation with another tensor or a constant, a plain number being a whole one."""
        if key not in self.made:
            if not isinstance(right, str):
                value = np.asarray(right, dtype=np.int64) if isinstance(right, int) else np.asarray(right)
                right = self.graph.constant(f"{self.name}.{key}.by", np.atleast_1d(value))
            self.made[key] = self.graph.add(operation, [left, right], f"{self.name}.{key}")
        return self.made[key]

    def cast(self, key: str, tensor: str, kind: type[np.float32] | type[np.float64]) -> str:
        """A tensor as floats."""
        to = TensorProto.FLOAT if kind is np.float32 else TensorProto.DOUBLE
        return self.graph.add("Cast", [tensor], f"{self.name}.{key}", to=to)

    def gather(self, key: str, tensor: str, places: object, *, axis: int) -> str:
        """Some columns of a tensor."""
        chosen = self.graph.constant(f"{self.name}.{key}.places", np.asarray(places, dtype=np.int64))
        return self.graph.add("Gather", [tensor, chosen], f"{self.name}.{key}", axis=axis)

    def join(self, key: str, tensors: list[str]) -> str:
        """Tensors side by side."""
        return tensors[0] if len(tensors) == 1 else self.graph.add("Concat", tensors, f"{self.name}.{key}", axis=-1)

    def shaped(self, tensor: str, key: str, shape: list[int], *, output: str = "") -> str:
        """A tensor in another shape."""
        constant = self.graph.constant(f"{self.name}.{key}.shape", np.asarray(shape))
        return self.graph.add("Reshape", [tensor, constant], output or f"{self.name}.{key}")


class _Days(_Builder):
    """`dates.Days`: the calendar of a tensor of days since 0000-03-01."""

    def __init__(self, graph: Graph, name: str, days: str = "") -> None:
        super().__init__(graph, name)
        self.source = days

    def days(self) -> str:
        return self.source

    def day_of_era(self) -> str:
        return self.operation("day_of_era", "Mod", self.days(), ERA)

    def year_of_era(self) -> str:
        day = self.day_of_era()
        corrected = self.operation("leap4", "Sub", day, self.operation("day/1460", "Div", day, 1460))
        corrected = self.operation("leap100", "Add", corrected, self.operation("day/36524", "Div", day, 36_524))
        corrected = self.operation("leap400", "Sub", corrected, self.operation("day/146096", "Div", day, 146_096))
        return self.operation("year_of_era", "Div", corrected, 365)

    def march_day(self) -> str:
        year = self.year_of_era()
        start = self.operation("start365", "Mul", year, 365)
        start = self.operation("start4", "Add", start, self.operation("year/4", "Div", year, 4))
        start = self.operation("start100", "Sub", start, self.operation("year/100", "Div", year, 100))
        return self.operation("march_day", "Sub", self.day_of_era(), start)

    def march_month(self) -> str:
        scaled = self.operation("scaled", "Add", self.operation("fifths", "Mul", self.march_day(), 5), 2)
        return self.operation("march_month", "Div", scaled, 153)

    def month(self) -> str:
        turned = self.operation("turned", "Mod", self.operation("moved_month", "Add", self.march_month(), 2), 12)
        return self.operation("month", "Add", turned, 1)

    def day(self) -> str:
        scaled = self.operation("month_days", "Add", self.operation("month_fifths", "Mul", self.march_month(), 153), 2)
        before = self.operation("days_before", "Div", scaled, 5)
        return self.operation("day", "Add", self.operation("day_index", "Sub", self.march_day(), before), 1)

    def year(self) -> str:
        years = self.operation("era_years", "Mul", self.operation("era", "Div", self.days(), ERA), 400)
        # March is month 0 of a year here, so January and February (10, 11) belong to the next
        turn = self.operation("turn", "Div", self.march_month(), 10)
        return self.operation("year", "Add", self.operation("march_year", "Add", self.year_of_era(), years), turn)

    def quarter(self) -> str:
        return self.operation("quarter", "Div", self.operation("quarter_month", "Add", self.month(), 2), 3)

    def day_of_year(self) -> str:
        march = self.operation("before", "Add", self.year(), 399)
        start = self.operation("before365", "Mul", march, 365)
        for years, change in ((4, "Add"), (100, "Sub"), (400, "Add")):
            leaps = self.operation(f"before/{years}", "Div", march, years)
            start = self.operation(f"before{years}", change, start, leaps)
        since = self.operation("since_march", "Sub", self.days(), start)
        return self.operation("day_of_year", "Add", since, ERA - JANUARY + 1)


class _Moments(_Days):
    """`dates.Moments`: the calendar of a tensor of seconds since 1970."""

    def read(self, seconds: str) -> None:
        """Name the tensor."""
        self.source = seconds

    def runs(self, parts: list[Any]) -> list[str]:
        """The parts in order; neighbours that need no calendar share their operations."""
        tensors: list[str] = []
        run: list[str] = []
        for part in [*parts, ""]:
            if part in _PLAIN:
                run.append(part)
                continue
            if run:
                tensors.append(self._plain(run))
                run = []
            if part:
                tensors.append(getattr(self, part)())
        return tensors

    def _plain(self, parts: list[str]) -> str:
        shifts, divisors, moduli = (
            np.asarray(values, dtype=np.int64) for values in zip(*(_PLAIN[part] for part in parts), strict=True)
        )
        key = "+".join(parts)
        moved = self.operation(f"{key}.moved", "Add", self.seconds(), shifts) if shifts.any() else self.seconds()
        whole = self.operation(f"{key}.whole", "Div", moved, divisors)
        return self.operation(key, "Mod", whole, moduli)

    def seconds(self) -> str:
        """Seconds since 0000-03-01, never negative: integer division rounds towards zero here."""
        return self.operation("seconds", "Max", self.operation("shifted", "Add", self.source, -FIRST_SECOND), 0)

    def days(self) -> str:
        return self.operation("days", "Div", self.seconds(), DAY)

    def week(self) -> str:
        monday = self.operation("of_week", "Mod", self.operation("from_monday", "Add", self.days(), 2), 7)
        thursday = self.operation("thursday", "Sub", self.operation("in_3_days", "Add", self.days(), 3), monday)
        day = _Days(self.graph, f"{self.name}.thursday", thursday).day_of_year()
        return self.operation("week", "Div", self.operation("week_days", "Add", day, 6), 7)
