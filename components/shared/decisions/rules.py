"""The rules of a policy: which kinds of evidence there are, and which are found in enough of the last windows.

A window counts for a rule only where the rule can be answered: quality is measured days after a window, when its labels
have come, so that the last windows of that rule are the last mature ones. Windows whose rows cannot be trusted count
for nothing but the rule about the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot

from components.shared.config.monitoring_policy import EvidenceRule, PolicyConfig
from components.shared.decisions.evidence import Estimate, Evidence, Quality
from components.shared.decisions.records import Finding, Kind
from components.shared.formatting import format_number

_COLUMNS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of evidence.

    Attributes:
        kind: Its name in the configuration.
        is_known: Whether the evidence of a window can answer it.
        found: What is found in such a window, in words; empty for nothing.
    """

    kind: Kind
    is_known: Callable[[Evidence], bool]
    found: Callable[[Evidence, PolicyConfig], str]

    def settings(self, policy: PolicyConfig) -> EvidenceRule:
        """What the configuration says of it."""
        setting: EvidenceRule = getattr(policy.rules, self.kind)
        return setting

    def seen(self, windows: Sequence[Evidence], policy: PolicyConfig) -> list[Evidence]:
        """The windows that it looks at: the last of those that can answer it.

        Args:
            windows: Of one version, the oldest first.
            policy: Says how many.
        """
        return [window for window in windows if self.is_known(window)][-self.settings(policy).of_last :]

    # Example, with 2 of the last 3 windows: found, not found, found asks for something; found, found, not found does
    # not, as it is over.
    def finding(self, windows: Sequence[Evidence], policy: PolicyConfig) -> Finding | None:
        """What it finds in enough of the last windows and in the latest; None for nothing."""
        setting, seen = self.settings(policy), self.seen(windows, policy)
        found = [text for window in seen if (text := self.found(window, policy))]
        if len(found) < setting.windows or not self.found(seen[-1], policy):
            return None
        often = f" ({len(found)} of the last {len(seen)} windows)" if setting.of_last > 1 else ""
        return Finding(kind=self.kind, action=setting.action, latest=seen[-1].start, message=found[-1] + often)


def is_severe(window: Evidence) -> bool:
    """Whether the rows of a window cannot be trusted."""
    return any(problem.severe for problem in window.problems)


def windows_of(evidence: Sequence[Evidence], version: str) -> list[Evidence]:
    """The windows that count for a version, the oldest first, each as it was known last.

    They are those that it answered, whatever another version answered of them. A window that nobody answered counts
    for the version that it was noted for, and for any when it came after all that were answered: requests that stop
    with a promotion are no fault of the version before.

    Args:
        evidence: Of the windows of one model, in any order.
        version: The version.
    """
    known = {(one.start, one.end, one.version): one for one in sorted(evidence, key=lambda one: one.made)}
    answered = {(start, end) for (start, end, _), one in known.items() if one.rows}
    last = max((end for _, end in answered), default=None)

    def counts(one: Evidence) -> bool:
        own = one.version == version
        if one.rows:
            return own
        return (one.start, one.end) not in answered and (own or last is None or one.end > last)

    # A window without answers may have a record for each version: the wanted version's own comes last and is kept.
    ordered = sorted(known.values(), key=lambda one: (one.version == version, one.version))
    found = {(one.start, one.end): one for one in ordered if counts(one)}
    return sorted(found.values(), key=lambda one: (one.end, one.start))


def _measured_drop(window: Evidence, policy: PolicyConfig) -> str:
    quality = window.quality
    return _drop(quality, quality.measured, policy, how="measured") if quality else ""


def _estimated_drop(window: Evidence, policy: PolicyConfig) -> str:
    quality = window.quality
    return _drop(quality, quality.estimated, policy, how="estimated") if quality else ""


def _drop(quality: Quality, value: Estimate | None, policy: PolicyConfig, *, how: str) -> str:
    """A sentence about a drop in quality whose whole interval is beyond the allowed drop; empty for no such drop."""
    if value is None or _smallest_drop(quality, value) <= policy.allowed_drop * abs(quality.reference):
        return ""
    return (
        f"{quality.metric} is {how} as {format_number(value.value)} ({format_number(value.low)} to "
        f"{format_number(value.high)}), and was {format_number(quality.reference)}"
    )


def _smallest_drop(quality: Quality, value: Estimate) -> float:
    """The lower end of the confidence interval of a drop in quality; the reference value is uncertain, too.

    The interval of a difference of two independent values follows from their own intervals: the distances from value to
    end are added as squares (MOVER; Zou and Donner, Statistics in Medicine 27, 2008, equation 3). Example: a reference
    of 0.80 (0.76 to 0.83) and a window of 0.72 (0.70 to 0.75) are a drop of 0.08, and of at least
    0.08 - sqrt(0.04² + 0.03²) = 0.03.
    """
    if quality.higher_is_better:
        drop, to_better = quality.reference - value.value, value.high - value.value
        reference_end = quality.reference_low
    else:
        drop, to_better = value.value - quality.reference, value.value - value.low
        reference_end = quality.reference_high
    lucky = 0.0 if reference_end is None else abs(quality.reference - reference_end)
    return drop - hypot(lucky, to_better)


def _relation_changed(window: Evidence, policy: PolicyConfig) -> str:
    del policy
    quality = window.quality
    if quality is None or not quality.relation_changed:
        return ""
    return f"measured and estimated {quality.metric} part: features and target are related in another way"


def _feature_drift(window: Evidence, policy: PolicyConfig) -> str:
    importance = sum(column.importance for column in window.drifted)
    if not window.drifted or importance < policy.drifted_importance:
        return ""
    named = ", ".join(column.column for column in window.drifted[:_COLUMNS_NAMED])
    more = f" and {len(window.drifted) - _COLUMNS_NAMED} more" if len(window.drifted) > _COLUMNS_NAMED else ""
    return f"{named}{more} drifted, with {importance:.0%} of the model's importance"


def _prediction_drift(window: Evidence, policy: PolicyConfig) -> str:
    del policy
    drift = window.prediction
    if drift is None or not drift.drifted:
        return ""
    value, threshold = format_number(drift.value), format_number(drift.threshold)
    if drift.value < drift.threshold:  # drift with a value below its threshold is that of a p-value
        return f"the predictions drifted: their p-value is {value}, and below {threshold} it counts"
    return f"the predictions drifted by {value}, from {threshold} on it counts"


def _rows(window: Evidence, policy: PolicyConfig) -> str:
    del policy
    return "; ".join(problem.message for problem in window.problems)


def _always(window: Evidence) -> bool:
    del window
    return True


def _is_trusted(window: Evidence) -> bool:
    return window.rows > 0 and not is_severe(window)


def _trusted(known: Callable[[Evidence], bool]) -> Callable[[Evidence], bool]:
    return lambda window: _is_trusted(window) and known(window)


def _is_measured(window: Evidence) -> bool:
    return window.quality is not None and window.quality.mature and window.quality.measured is not None


def _is_estimated_only(window: Evidence) -> bool:
    """Whether only estimated quality is known of a window; a measured value takes precedence."""
    return window.quality is not None and window.quality.estimated is not None and not _is_measured(window)


def _is_measured_and_estimated(window: Evidence) -> bool:
    return _is_measured(window) and window.quality is not None and window.quality.estimated is not None


RULES: tuple[Rule, ...] = (
    Rule("measured_drop", _trusted(_is_measured), _measured_drop),
    Rule("estimated_drop", _trusted(_is_estimated_only), _estimated_drop),
    Rule("relation_changed", _trusted(_is_measured_and_estimated), _relation_changed),
    Rule("feature_drift", _is_trusted, _feature_drift),
    Rule("prediction_drift", _trusted(lambda window: window.prediction is not None), _prediction_drift),
    Rule("rows", _always, _rows),
)
