"""The audit log of a model: what was decided, on which evidence, by which rule, and what came of it.

Nothing in it is ever changed; what becomes known later is a record of its own, which names the decision it is about by
its number.

| kind | written | says |
|---|---|---|
| `decided` | for each new evidence, also when nothing is to be done | the windows, the rules that hold, what is done |
| `started` | before a retraining begins, at each attempt | the run, and the number of the lease it is done under |
| `ended` | when it has ended, however | the version it made, the time it took |
| `judged` | when enough windows of the new version are known | whether it helped |
| `resumed` | when a person lets retraining go on | who, and why |
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from components.shared.append_only import Numbered
from components.shared.config.monitoring_policy import PolicyAction, PolicyMode
from components.shared.decisions.evidence import Evidence

Kind = Literal[
    "measured_drop", "estimated_drop", "relation_changed", "feature_drift", "prediction_drift", "rows", "new_objects"
]  # as the fields of `monitoring.policy.rules`, and `monitoring.policy.new_objects`
HeldBack = Literal[
    "",
    "severe problems",  # the rows cannot be trusted
    "same evidence",  # a retraining has been decided on it before
    "open",  # one is under way
    "not helping",  # the last ones did not help: a person is asked
    "cool-down",
    "budget",
]
Result = Literal["promoted", "blocked", "pending", "rejected", "failed", "expired"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class WindowSeen(_Frozen):
    """A window that a decision is about.

    Attributes:
        start: Its first moment.
        end: The first moment after it.
        version: The version that answered.
        evidence: Digest of what was known of it, but for when that was found out.
    """

    start: datetime
    end: datetime
    version: str
    evidence: str

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """The window of some evidence."""
        content = evidence.model_dump_json(exclude={"made"})  # two monitors may find the same at two moments
        digest = hashlib.sha256(content.encode()).hexdigest()
        return cls(start=evidence.start, end=evidence.end, version=evidence.version, evidence=digest)


class Finding(_Frozen):
    """A rule that holds.

    Attributes:
        kind: Which.
        action: What it leads to.
        latest: Start of the latest window that it is found in.
        message: For people, with the numbers.
    """

    kind: Kind
    action: PolicyAction
    latest: datetime
    message: str


class Decision(_Frozen):
    """What is to be done.

    Attributes:
        model: Name of the model.
        version: The champion; in records of before the version that answered most of the latest window.
        window: Start and end of the champion's latest window; twice the moment of the decision where there is none yet.
        windows: Every window that the rules looked at, the oldest first.
        mode: Of the policy.
        policy: The whole rule, as the configuration has it.
        findings: The rules that hold.
        action: What is done; with mode `dry_run`, what would be.
        held_back: Why it is not to retrain although a rule asks for it.
        reason: Why, in words.
        objects: Digest of what is at the places of `new_objects`; empty where there are none.
    """

    model: str
    version: str
    window: tuple[datetime, datetime]
    windows: tuple[WindowSeen, ...]
    mode: PolicyMode
    policy: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    action: PolicyAction = "nothing"
    held_back: HeldBack = ""
    reason: str = ""
    objects: str = ""

    @property
    def retrains(self) -> bool:
        """Whether a retraining is to begin; False for a dry run."""
        return self.action == "retrain" and self.mode == "on"

    @property
    def asks_a_person(self) -> bool:
        """Whether nothing more happens until a person has looked."""
        return self.held_back == "not helping"

    def is_same(self, other: "Decision") -> bool:
        """Whether both are about the same evidence by the same rule, whatever was decided."""
        mine, others = ((one.version, one.windows, one.policy, one.objects) for one in (self, other))
        return mine == others


class _Record(Numbered):
    when: datetime = Field(description="UTC.")
    by: str = Field(default="", description="The run, pod or person that wrote it.")


class Decided(_Record):
    """A decision."""

    kind: Literal["decided"] = "decided"
    decision: Decision


class Started(_Record):
    """An attempt at the retraining that a decision asked for."""

    kind: Literal["started"] = "started"
    about: int = Field(description="Number of the decision.")
    attempt: int = Field(default=1, description="1, 2, …: after one that was cut short there is another.")
    lease: int = Field(description="Number of the lease that it is done under.")


class Ended(_Record):
    """What came of a retraining."""

    kind: Literal["ended"] = "ended"
    about: int = Field(description="Number of the decision.")
    result: Result
    run: str = Field(default="", description="The run; empty when none was started.")
    version: str = Field(default="", description="The version it made; empty for none.")
    cpu_hours: float = Field(default=0.0, description="Hours of one processor core.")
    message: str = Field(default="", description="For people.")


class Judged(_Record):
    """Whether a retraining helped, by the windows of the version that it made."""

    kind: Literal["judged"] = "judged"
    about: int = Field(description="Number of the decision.")
    helped: bool
    message: str = ""


class Resumed(_Record):
    """A person lets retraining go on after retrainings that did not help."""

    kind: Literal["resumed"] = "resumed"
    why: str = ""


Record = Decided | Started | Ended | Judged | Resumed
RECORDS: TypeAdapter[Any] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def decisions_of(records: Sequence[Record]) -> list[Decided]:
    """The decisions alone, the oldest first."""
    return [record for record in records if isinstance(record, Decided)]
