"""What one check of a cluster found, and how checks are shown.

`doctor` looks at many things, and its checks are made in several modules. Each is a value with its remedy, so that they
can be printed, given to programs as JSON, and held against expectations by tests.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

Status = Literal["ok", "warn", "fail"]

_MARKS: dict[Status, tuple[str, str]] = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
_WIDTH = 44


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        subject: What it belongs to, such as `secrets`.
        name: What was looked at.
        status: `fail` when a run or an endpoint would not work, `warn` when it would with a drawback.
        found: What was found, in a few words.
        remedy: What to do; empty when nothing.
    """

    subject: str
    name: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look.

    Attributes:
        namespace: Of endpoints, monitoring and, usually, the store.
        runs_in: Of the runs; empty for the same.
        kfp: Where Kubeflow Pipelines itself is installed.
        image: The stage image that runs will name; empty for that of the CronJob alone.
    """

    namespace: str
    runs_in: str = ""
    kfp: str = "kubeflow"
    image: str = ""

    @property
    def runs(self) -> str:
        """The namespace of the runs."""
        return self.runs_in or self.namespace


def as_json(checks: Sequence[Check]) -> str:
    """The checks as JSON."""
    return json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False)


def print_checks(checks: Iterable[Check], console: Console) -> None:
    """Write checks for a person, grouped, and how many there are of each kind."""
    counts: dict[Status, int] = dict.fromkeys(_MARKS, 0)
    subject = ""
    for check in checks:
        if check.subject != subject:
            subject = check.subject
            console.print(Text(f"\n {subject}", "bold"))
        counts[check.status] += 1
        mark, style = _MARKS[check.status]
        line = Text.assemble((f"  {mark} ", style), f"{check.name:<{_WIDTH}} ", check.found)
        console.print(line, soft_wrap=True)
        if check.remedy:
            console.print(Text.assemble(("    Remedy: ", "bold"), check.remedy), soft_wrap=True)
    total = f"\n {counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} to fix"
    console.print(Text(total, "bold"), soft_wrap=True)
