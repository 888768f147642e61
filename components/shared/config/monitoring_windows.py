"""`monitoring.windows`: how the inference log, or a table in the object store, is cut into windows of time.

A window has to be a whole number of steps, because each step's rows are counted once and windows are sums of steps. In
a zone whose clocks change, a day is not always 24 hours: lengths in hours and in days are then never mixed.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from components.shared.config.base import Section

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """The length that a text such as `90m`, `6h`, `1d` or `2w` stands for."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone; expected a name such as UTC or America/New_York") from error
    return name


WindowLength = Annotated[str, Field(pattern=re.compile(r"^[1-9][0-9]{0,3}[hdw]$"))]
Delay = Annotated[str, Field(pattern=re.compile(r"^[0-9]{1,4}[mhdw]$"))]
Zone = Annotated[str, AfterValidator(_known_zone)]


class WindowsConfig(Section):
    """How requests are cut into windows of time, each of which gets statistics, evidence and a report."""

    size: WindowLength = Field(
        default="1d",
        description="Length of a window: hours (`6h`), or days or weeks of the calendar (`1d`, `2w`; weeks begin on "
        "Monday). Days have 23 or 25 hours where `zone` puts its clocks forward or back.",
    )
    step: WindowLength | None = Field(
        default=None,
        description="From the start of one window to that of the next; `size` is a whole multiple of it. By default "
        "`size`, so that windows do not overlap.",
    )
    time: Literal["server", "event"] = Field(
        default="server",
        description="Which time decides on a row's window: `server`, when the request came, or `event`, the time "
        "column of the model (`problem.time_column`).",
    )
    zone: Zone = Field(
        default="UTC",
        description="Time zone in which days begin, and in which event times without a zone are read.",
    )
    lateness: Delay = Field(
        default="15m",
        description="How long after its end a window, or an hour of the log, may still get rows; then it is read. Rows "
        "that come later make a new report of the window.",
    )
    look_back: Delay = Field(
        default="90d", description="How far back windows are looked at; what is kept of earlier ones stays as it is."
    )
    evidently: Literal["drift", "always", "never"] = Field(
        default="drift",
        description="Which windows get Evidently's page beside their report, from a sample of their rows: those in "
        "which something drifted, all, or none. It takes some seconds and 6 MB each.",
    )
    table: str = Field(
        default="",
        description="Prefix of Parquet files in the object store, such as `predictions/flights/`, that are watched in "
        "place of the inference log; needs `time: event`. Empty for the log.",
    )

    @property
    def advance(self) -> str:
        """The step, spelled out."""
        return self.step or self.size

    # Example: windows of 1d in steps of 6h are four steps each. Steps of 5h are refused, as no number of them is a day.
    @model_validator(mode="after")
    def _fit(self) -> Self:
        if duration(self.size) % duration(self.advance):
            raise ValueError(f"size ({self.size}) has to be a whole multiple of step ({self.advance})")
        if self.zone != "UTC" and (self.size[-1] == "h") != (self.advance[-1] == "h"):
            raise ValueError(
                f"size ({self.size}) and step ({self.advance}) have to be both in hours or both in days or weeks where "
                "zone is not UTC: days have 23 to 25 hours there"
            )
        if self.table and self.time != "event":
            raise ValueError("table: its rows have no server time, so time has to be `event`")
        return self
