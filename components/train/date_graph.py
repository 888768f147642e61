"""`DateParts` as ONNX operations on whole numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from components.shared.package.scoring import MISSING_TIME
from components.shared.preprocessing import DAY, EPOCH_DAY, ERA, HOUR, MINUTE
from components.train.graph import Graph

_PLAIN = {"weekday": (2 * DAY, DAY, 7), "hour": (0, HOUR, 24), "minute": (0, MINUTE, 60)}  # (seconds + a) // b % c


def add_date_parts(graph: Graph, name: str, tensor: str, transformer: Any) -> str:
    """`DateParts` in integer operations; parts that do not need the calendar take three operations together."""
    calendar = _Calendar(graph, name, tensor, columns=transformer.n_features_in_)
    return calendar.add(list(transformer.parts))


class _Calendar:
    """Builds the date arithmetic of `preprocessing.DateParts`, each intermediate tensor once."""

    def __init__(self, graph: Graph, name: str, tensor: str, *, columns: int) -> None:
        self.graph = graph
        self.name = name
        self.columns = columns
        self.source = tensor if columns == 1 else self._shaped(tensor, "column", [-1, columns, 1])
        self.made: dict[str, str] = {}

    def add(self, parts: list[str]) -> str:
        """Float tensor of shape (rows, columns × parts)."""
        tensors = self._runs(parts)
        joined = tensors[0] if len(tensors) == 1 else self.graph.add("Concat", tensors, f"{self.name}.joined", axis=-1)
        floats = self.graph.add("Cast", [joined], f"{self.name}.floats", to=TensorProto.FLOAT)
        missing = self._operation("missing", "Equal", self.source, MISSING_TIME)
        nan = self.graph.constant(f"{self.name}.nan", np.asarray(np.nan, dtype=np.float32))
        if self.columns == 1:
            return self.graph.add("Where", [missing, nan, floats], self.name)
        known = self.graph.add("Where", [missing, nan, floats], f"{self.name}.known")
        return self._shaped(known, "flat", [-1, self.columns * len(parts)], output=self.name)

    def _runs(self, parts: list[str]) -> list[str]:
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
                tensors.append(getattr(self, f"_{part}")())
        return tensors

    def _plain(self, parts: list[str]) -> str:
        shifts, divisors, moduli = (
            np.asarray(values, dtype=np.int64) for values in zip(*(_PLAIN[part] for part in parts), strict=True)
        )
        key = "+".join(parts)
        moved = self._operation(f"{key}.moved", "Add", self._seconds(), shifts) if shifts.any() else self._seconds()
        whole = self._operation(f"{key}.whole", "Div", moved, divisors)
        return self._operation(key, "Mod", whole, moduli)

    def _seconds(self) -> str:
        """Seconds since 0000-03-01, never negative: integer division rounds towards zero here."""
        return self._operation("seconds", "Max", self._operation("shifted", "Add", self.source, EPOCH_DAY * DAY), 0)

    def _days(self) -> str:
        return self._operation("days", "Div", self._seconds(), DAY)

    def _day_of_era(self) -> str:
        return self._operation("day_of_era", "Mod", self._days(), ERA)

    def _year_of_era(self) -> str:
        day = self._day_of_era()
        corrected = self._operation("leap4", "Sub", day, self._operation("day/1460", "Div", day, 1460))
        corrected = self._operation("leap100", "Add", corrected, self._operation("day/36524", "Div", day, 36_524))
        corrected = self._operation("leap400", "Sub", corrected, self._operation("day/146096", "Div", day, 146_096))
        return self._operation("year_of_era", "Div", corrected, 365)

    def _day_of_year(self) -> str:
        year = self._year_of_era()
        start = self._operation("start365", "Mul", year, 365)
        start = self._operation("start4", "Add", start, self._operation("year/4", "Div", year, 4))
        start = self._operation("start100", "Sub", start, self._operation("year/100", "Div", year, 100))
        return self._operation("day_of_year", "Sub", self._day_of_era(), start)

    def _march_month(self) -> str:
        scaled = self._operation("scaled", "Add", self._operation("fifths", "Mul", self._day_of_year(), 5), 2)
        return self._operation("march_month", "Div", scaled, 153)

    def _month(self) -> str:
        turned = self._operation("turned", "Mod", self._operation("moved_month", "Add", self._march_month(), 2), 12)
        return self._operation("month", "Add", turned, 1)

    def _day(self) -> str:
        scaled = self._operation(
            "month_days", "Add", self._operation("month_fifths", "Mul", self._march_month(), 153), 2
        )
        before = self._operation("days_before", "Div", scaled, 5)
        return self._operation("day", "Add", self._operation("day_index", "Sub", self._day_of_year(), before), 1)

    def _year(self) -> str:
        years = self._operation("era_years", "Mul", self._operation("era", "Div", self._days(), ERA), 400)
        # March is month 0 of a year here, so January and February (10, 11) belong to the next
        turn = self._operation("turn", "Div", self._march_month(), 10)
        return self._operation("year", "Add", self._operation("march_year", "Add", self._year_of_era(), years), turn)

    def _operation(self, key: str, operation: str, left: str, right: "str | int | NDArray[np.int64]") -> str:
        if key not in self.made:
            if not isinstance(right, str):
                right = self.graph.constant(f"{self.name}.{key}.by", np.atleast_1d(np.asarray(right, dtype=np.int64)))
            self.made[key] = self.graph.add(operation, [left, right], f"{self.name}.{key}")
        return self.made[key]

    def _shaped(self, tensor: str, key: str, shape: list[int], *, output: str = "") -> str:
        constant = self.graph.constant(f"{self.name}.{key}.shape", np.asarray(shape))
        return self.graph.add("Reshape", [tensor, constant], output or f"{self.name}.{key}")
