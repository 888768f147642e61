"""What the gate decided and why: the verdict artifact that publish reads and people do.

A candidate that is not good enough is no failure of the run: the gate ends well, with a verdict that says no, and the
stages behind it do not run. Each check carries its reason and its remedy as a sentence, so that pages and stages behind
the gate repeat it and need not know the checks.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from components.shared.evaluation import Number
from components.shared.files import write_text


class Check(BaseModel):
    """One condition of promotion and what came of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        description="Such as `threshold:roc_auc`, `baseline`, `champion`, `requests`, `slice_floor`, `latency`."
    )
    value: Number = Field(description="What was found; None when it is not known.")
    limit: Number = Field(description="What it was held against; None when there is no number.")
    holds: bool
    detail: str = Field(description="The outcome in a sentence, with what to do when it does not hold.")
    unsure: bool = Field(default=False, description="Whether the test rows are too few to tell.")


class Verdict(BaseModel):
    """The decision about a candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    promoted: bool = Field(description="Whether the candidate goes on to be published and served.")
    forced: bool = Field(description="Whether it does so only because promotion was forced.")
    warned: bool = Field(description="Whether it does so only because the gate is set to warn instead of block.")
    waits: bool = Field(
        default=False, description="Whether it is published only, and serves when a person has approved it."
    )
    reasons: list[str] = Field(description="Why it should not be promoted; empty when every check holds.")
    warnings: list[str] = Field(default=[], description="What holds although the test rows cannot tell.")
    checks: list[Check]
    champion: str | None = Field(description="The version it was compared with; None for the first model.")
    candidate: str = Field(description="The version the candidate would be published as.")

    def write(self, path: Path) -> None:
        """Write it as JSON; the file appears only when complete."""
        write_text(path, self.model_dump_json(indent=2) + "\n")


def decide(
    checks: list[Check], *, champion: str | None, candidate: str, force: bool, warn: bool, approval: bool = False
) -> Verdict:
    """Promote when every check holds, when promotion is forced, or when the gate only warns.

    Args:
        checks: Every condition.
        champion: The version it was compared with; None for the first model.
        candidate: The version it would be published as.
        force: Whether promotion is forced.
        warn: Whether the gate only warns.
        approval: Whether a person has to approve what is promoted before it serves.
    """
    reasons = [check.detail for check in checks if not check.holds]
    promoted = not reasons or force or warn
    return Verdict(
        promoted=promoted,
        waits=promoted and approval,
        forced=bool(reasons) and force,
        warned=bool(reasons) and warn and not force,
        reasons=reasons,
        warnings=[check.detail for check in checks if check.holds and check.unsure],
        checks=checks,
        champion=champion,
        candidate=candidate,
    )
