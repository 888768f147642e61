"""Evidence of windows, as a monitor would find it: one window a day, good unless said otherwise."""

from datetime import UTC, datetime, timedelta
from typing import Any

from components.shared.config import PolicyConfig
from components.shared.decisions.evidence import Drifted, Estimate, Evidence, Problem, Quality
from components.shared.decisions.records import Decided, Ended, Record, Result

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ON = PolicyConfig(mode="on")
BAD_ROWS = Problem(kind="range", column="delay", value=0.4, severe=True, message="delay holds seconds, not minutes")
FEW_ROWS = Problem(kind="volume", value=0.3, message="30% of the usual rows")


def window(day: int, *, version: str = "v1", known: float = 1.0, **given: Any) -> Evidence:
    """A day's window, known some days after its begin."""
    start = FIRST + day * DAY
    made = FIRST + (day + known) * DAY
    return Evidence(
        model="demo", version=version, start=start, end=start + DAY, made=made, **{"rows": 1000, **given}
    )  # fmt: skip


def measured(value: float, *, half: float = 0.01, mature: bool = True, **more: Any) -> Quality:
    """Measured quality, with half the width of its interval; the reference has 0.80."""
    estimate = Estimate(value=value, low=value - half, high=value + half)
    return _quality(measured=estimate, labelled=0.9, mature=mature, **more)


def estimated(value: float, *, half: float = 0.01) -> Quality:
    """Quality that is estimated only."""
    return _quality(estimated=Estimate(value=value, low=value - half, high=value + half))


def drifted(importance: float, column: str = "delay") -> Drifted:
    """A drifted column."""
    return Drifted(column=column, value=0.3, threshold=0.1, importance=importance)


def dropped(day: int, **given: Any) -> Evidence:
    """A window whose measured quality has dropped."""
    return window(day, quality=measured(0.70), **given)


def log(*records: Record) -> list[Record]:
    """An audit log: each record with its number."""
    return [record.model_copy(update={"number": number}) for number, record in enumerate(records, 1)]


def ended(about: Decided, result: Result, *, hours: float = 1.0, cpu_hours: float = 1.0) -> Ended:
    """The end of a decision's retraining, some hours after it."""
    when = about.when + timedelta(hours=hours)
    version = "v2" if result == "promoted" else ""
    return Ended(when=when, about=about.number, result=result, cpu_hours=cpu_hours, version=version)


def _quality(**given: Any) -> Quality:
    return Quality(**{"metric": "roc_auc", "higher_is_better": True, "reference": 0.80, **given})
