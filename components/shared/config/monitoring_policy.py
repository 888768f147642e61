"""`monitoring.policy`: what is done about what the monitor finds. It travels with the version, as `monitoring` does.

A single window proves little, so each rule says in how many of the last ones it has to be found; by default a loss of
quality asks for a retraining and drift of features for a warning, as it often costs no quality. By default nothing is
done but written down (`dry_run`): a policy should be seen to decide well before it spends anything. Cool-down, budget
and giving up bound what a wrong rule can cost.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import Section, Share

PolicyAction = Literal["nothing", "warn", "retrain"]
PolicyMode = Literal["off", "dry_run", "on"]


class EvidenceRule(Section):
    """What one kind of evidence leads to: in so many of the last windows, the latest of them included."""

    action: PolicyAction = Field(description="What it leads to.")
    windows: int = Field(default=1, ge=1, description="In how many windows it has to be found, the latest included.")
    of_last: int = Field(default=1, ge=1, description="Of how many windows, counted back from the latest.")

    @model_validator(mode="after")
    def _not_more_than_there_are(self) -> Self:
        if self.windows > self.of_last:
            raise ValueError(f"`windows` is {self.windows}, which is more than `of_last`, {self.of_last}")
        return self


def _rule(action: PolicyAction, windows: int, of_last: int) -> EvidenceRule:
    return EvidenceRule(action=action, windows=windows, of_last=of_last)


class EvidenceRules(Section):
    """One rule for each kind of evidence."""

    measured_drop: EvidenceRule = Field(
        default=_rule("retrain", 2, 3),
        description="The quality on labelled rows is worse than on the reference rows by more than `allowed_drop`, "
        "the whole interval of the difference included. Only mature windows count.",
    )
    estimated_drop: EvidenceRule = Field(
        default=_rule("retrain", 3, 4),
        description="The same of the quality that is estimated without labels, for windows that are not mature.",
    )
    relation_changed: EvidenceRule = Field(
        default=_rule("retrain", 2, 3),
        description="Measured and estimated quality part by more than the estimates were off before: features and "
        "target are related in another way.",
    )
    feature_drift: EvidenceRule = Field(
        default=_rule("warn", 2, 3),
        description="The drifted columns hold at least `drifted_importance` of the model's importance.",
    )
    prediction_drift: EvidenceRule = Field(
        default=_rule("warn", 2, 3), description="The predictions drifted beyond their threshold."
    )
    rows: EvidenceRule = Field(
        default=_rule("warn", 1, 1),
        description="Something is wrong with the rows: volume, schema, missing values, ranges, damaged files. What is "
        "severe stops retraining, whatever the other rules say.",
    )


class RetrainingBudget(Section):
    """The most that retrainings may take in seven days."""

    runs: int = Field(default=2, ge=0, description="Retrainings.")
    cpu_hours: float = Field(default=24, ge=0, description="Hours that tasks ran, each counted as one core.")


class PolicyConfig(Section):
    """When to warn, when to retrain, and when not to."""

    mode: PolicyMode = Field(
        default="dry_run",
        description="`off` decides nothing; `dry_run` decides and writes the decision down, and does not retrain; `on` "
        "retrains.",
    )
    rules: EvidenceRules = Field(default=EvidenceRules(), description="What each kind of evidence leads to.")
    new_objects: list[Annotated[str, Field(pattern="^s3://[^/]+/.+")]] = Field(
        default=[],
        description="Places in an object store, such as `s3://bucket/flights/*.parquet`, whose new or changed objects "
        "ask for a retraining, one for each set of them; what is there at the first look asks for none.",
    )
    allowed_drop: Share = Field(
        default=0.02, description="Share of the reference's metric that may be lost before quality counts as dropped."
    )
    drifted_importance: Share = Field(
        default=0.2, description="Share of the model's importance from which drifted columns count."
    )
    cool_down_hours: float = Field(
        default=24, ge=0, description="Hours after a retraining, also a failed one, in which there is no other."
    )
    budget: RetrainingBudget = Field(default=RetrainingBudget(), description="The most of seven days.")
    give_up_after: int = Field(
        default=3,
        ge=1,
        description="After so many retrainings in a row that did not help there is no other until a person says so "
        "(`make resume`).",
    )
    longest_hours: float = Field(
        default=24, gt=0, description="Hours after which a retraining that has not ended counts as failed."
    )
