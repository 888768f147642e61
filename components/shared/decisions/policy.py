"""What is to be done: a pure function of the evidence, the audit log, the rule, the champion and the clock.

So the same decision can be taken again at any time, and another rule's decisions on the same history can be looked at
before it is put in force (`pipelines.decisions.replay`). Only windows of the champion count: of a version that no
longer serves there is nothing to mend.

First the rules say what they ask for, each by itself (`rules`). The strongest of it is done, unless something holds a
retraining back; then it is a warning, which says what. In this order:

1. the rows of the latest window cannot be trusted: one would learn from a fault;
2. a retraining is open: there is never more than one;
3. a retraining was decided on the same evidence before, and did not fail;
4. the last ones did not help: a person is asked;
5. cool-down, and 6. the budget of the last seven days.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from components.shared.config.monitoring_policy import PolicyAction, PolicyConfig
from components.shared.decisions.arrivals import Objects
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.records import (
    Decided,
    Decision,
    Finding,
    HeldBack,
    Record,
    WindowSeen,
    decisions_of,
)
from components.shared.decisions.retrainings import Retraining, retrainings_of, without_help
from components.shared.decisions.rules import RULES, is_severe, windows_of
from components.shared.formatting import format_duration, format_number

_BUDGET_SPAN = timedelta(days=7)
_STRENGTH: dict[PolicyAction, int] = {"nothing": 0, "warn": 1, "retrain": 2}


def decide(
    evidence: Sequence[Evidence],
    past: Sequence[Record],
    policy: PolicyConfig,
    now: datetime,
    *,
    champion: str,
    objects: Objects | None = None,
) -> Decision:
    """Decide on the champion's latest window, and on what is new at the source.

    Args:
        evidence: What is known of the windows of one model; of a window known several times the newest counts. In any
            order. At least of one window that counts for the champion, unless there are objects.
        past: The audit log, the oldest record first.
        policy: The rule.
        now: UTC.
        champion: The version that serves.
        objects: What is at the places of `policy.new_objects`; None where there are none.

    Returns:
        The decision; an equal one for equal arguments.
    """
    windows = windows_of(evidence, champion)
    latest = windows[-1] if windows else None
    about = latest or objects
    if about is None:
        raise ValueError(f"expected evidence of a window of version {champion}, or objects")
    looked_at = {window.start: window for rule in RULES for window in rule.seen(windows, policy)}
    looked_at |= {latest.start: latest} if latest else {}
    findings = tuple(finding for rule in RULES if (finding := rule.finding(windows, policy)))
    if objects and objects.are_new(past, policy.mode):
        message = f"there is something new at {', '.join(objects.places)} ({objects.count} objects)"
        findings += (Finding(kind="new_objects", action="retrain", latest=now, message=message),)
    action: PolicyAction = max((finding.action for finding in findings), key=_STRENGTH.__getitem__, default="nothing")
    held_back, reason = _held_back(champion, latest, findings, past, policy, now) if action == "retrain" else ("", "")
    return Decision(
        model=about.model,
        version=champion,
        window=(latest.start, latest.end) if latest else (now, now),
        windows=tuple(WindowSeen.of(looked_at[start]) for start in sorted(looked_at)),
        mode=policy.mode,
        policy=policy.model_dump(mode="json"),
        findings=findings,
        action="warn" if held_back else action,
        held_back=held_back,
        reason=reason or _asked_for(action, findings),
        objects=objects.digest if objects else "",
    )


def next_record(
    evidence: Sequence[Evidence],
    past: Sequence[Record],
    policy: PolicyConfig,
    now: datetime,
    *,
    champion: str,
    objects: Objects | None = None,
) -> Decided | None:
    """The decision that is to be added to the audit log; None where the newest one stands, or there is none to take.

    The same evidence is decided once by the same rule. It is decided again only when it now leads to a retraining: what
    held it back is over, or the retraining that it led to has failed. Without a window of the champion and without
    objects at the source there is nothing to decide on.
    """
    if objects is None and not windows_of(evidence, champion):
        return None
    decision = decide(evidence, past, policy, now, champion=champion, objects=objects)
    known = any(one.decision.is_same(decision) for one in decisions_of(past))
    return None if known and decision.action != "retrain" else Decided(when=now, decision=decision)


# Example: a retraining was asked for by `measured_drop`, in 2 of the last 3 windows. Once three mature windows of the
# new version are known, it has helped if the drop is not found in two of them, the last included.
def judge(retraining: Retraining, evidence: Sequence[Evidence], policy: PolicyConfig) -> tuple[bool, str] | None:
    """Whether a promoted retraining helped: what asked for it is not found in the windows of the version it made.

    Args:
        retraining: One that ended with a promotion.
        evidence: Of the windows of the model.
        policy: The rule now.

    Returns:
        Whether it helped, and why in words; None while too few windows of the version are known.
    """
    version = retraining.ended.version if retraining.ended else ""
    windows = windows_of([one for one in evidence if one.version == version], version)
    asked = {finding.kind for finding in retraining.decided.decision.findings if finding.action == "retrain"}
    if asked == {"new_objects"}:
        return True, f"version {version} has learned from what was new at the source"
    rules = [rule for rule in RULES if rule.kind in asked]
    if any(len(rule.seen(windows, policy)) < rule.settings(policy).of_last for rule in rules):
        return None
    still = [finding.message for rule in rules if (finding := rule.finding(windows, policy))]
    if still:
        return False, f"what asked for it is found with version {version} too: {'; '.join(still)}"
    return True, f"what asked for it is not found with version {version} any more"


def _asked_for(action: PolicyAction, findings: Sequence[Finding]) -> str:
    messages = [finding.message for finding in findings if finding.action == action != "nothing"]
    return "; ".join(messages) or "no rule asks for anything"


def _held_back(
    champion: str,
    latest: Evidence | None,
    findings: Sequence[Finding],
    past: Sequence[Record],
    policy: PolicyConfig,
    now: datetime,
) -> tuple[HeldBack, str]:
    """Why there is to be no retraining although a rule asks for one; two empty texts for nothing."""
    before = retrainings_of(past, policy.mode)
    checks: list[tuple[HeldBack, Callable[[], str]]] = [
        ("severe problems", lambda: _severe_problems(latest)),
        ("open", lambda: _open(retrainings_of(past))),
        ("same evidence", lambda: _same_evidence(champion, findings, before)),
        ("not helping", lambda: _not_helping(before, past, policy)),
        ("cool-down", lambda: _cool_down(before, policy, now)),
        ("budget", lambda: _budget(before, policy, now)),
    ]
    return next(((name, reason) for name, check in checks if (reason := check())), ("", ""))


def _severe_problems(latest: Evidence | None) -> str:
    if latest is None or not is_severe(latest):
        return ""
    severe = "; ".join(problem.message for problem in latest.problems if problem.severe)
    return f"the rows cannot be trusted, so that nothing is learned from them: {severe}"


def _open(before: Sequence[Retraining]) -> str:
    number = next((one.number for one in before if one.is_open), None)
    return "" if number is None else f"the retraining of decision {number} has not ended yet"


# Example: drift in the window of 3 May led to a retraining, which the gate blocked. The same window does not lead to
# another one, whatever becomes known of it later; the same drift in the window of 4 May does. Had the retraining
# failed, the window of 3 May would lead to another one, too.
def _same_evidence(champion: str, findings: Sequence[Finding], before: Sequence[Retraining]) -> str:
    tried = {
        (one.decided.decision.version, finding.kind, finding.latest)
        for one in before
        if one.ended is None or one.ended.result != "failed"
        for finding in one.decided.decision.findings
    }
    asking = [finding for finding in findings if finding.action == "retrain"]
    # New objects belong to no window, and are new only once.
    if any(one.kind == "new_objects" or (champion, one.kind, one.latest) not in tried for one in asking):
        return ""
    return "a retraining has been decided on the same windows before"


def _not_helping(before: Sequence[Retraining], past: Sequence[Record], policy: PolicyConfig) -> str:
    count = without_help(before, past)
    if count < policy.give_up_after:
        return ""
    return (
        f"the last {count} retrainings did not help: somebody has to look at it, and let them go on with `make resume`"
    )


def _cool_down(before: Sequence[Retraining], policy: PolicyConfig, now: datetime) -> str:
    since = max((one.rests_since for one in before), default=None)
    left = since + timedelta(hours=policy.cool_down_hours) - now if since else timedelta()
    return f"cool-down for another {format_duration(left.total_seconds())}" if left > timedelta() else ""


# Example: a budget of two runs, and retrainings that ended on 1, 4 and 9 May. On 10 May the latter two are within seven
# days, so another one is held back until 11 May.
def _budget(before: Sequence[Retraining], policy: PolicyConfig, now: datetime) -> str:
    counted = [one for one in before if one.rests_since > now - _BUDGET_SPAN]
    hours = sum(one.cpu_hours for one in counted)
    return "; ".join(_overspent(len(counted), hours, policy))


def _overspent(runs: int, hours: float, policy: PolicyConfig) -> Iterator[str]:
    budget = policy.budget
    if runs >= budget.runs:
        yield f"{runs} retrainings in seven days, and the budget is {budget.runs}"
    if hours >= budget.cpu_hours:
        yield f"{format_number(hours)} CPU hours in seven days, and the budget is {format_number(budget.cpu_hours)}"
