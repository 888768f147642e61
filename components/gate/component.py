"""The gate stage: whether the candidate may serve."""

from kfp import dsl

from components.shared.component import stage


@stage
def gate(
    name: str,
    settings: str,
    search: str,
    evaluation: str,
    force: bool,
    splits: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluated: dsl.Input[dsl.Artifact],
    verdict: dsl.Output[dsl.Artifact],
    gate_page: dsl.Output[dsl.HTML],
) -> bool:
    """Check the candidate against thresholds, baseline, champion, slices, and budgets of size and time.

    Args:
        name: Name of the model.
        settings: The `gate` section of the configuration, as JSON.
        search: The `search` section of the configuration, as JSON; it names the metric.
        evaluation: The `evaluation` section of the configuration, as JSON.
        force: Promote even when a check does not hold; the verdict records it.
        splits: Folder of the prepared parts.
        model: Folder that train wrote.
        evaluated: Folder that evaluate wrote.
        verdict: JSON with the decision, every check and every reason.
        gate_page: The same for people.

    Returns:
        Whether the candidate is promoted.
    """
    from pathlib import Path

    from components.gate import gate as logic
    from components.gate.page import headline, verdict_page
    from components.shared.progress import announce
    from components.shared.store import Store

    rules = logic.Rules.from_json(gate=settings, search=search, evaluation=evaluation)
    candidate = logic.Candidate(name, Path(model.path), Path(evaluated.path), Path(splits.path))
    decision = logic.judge(candidate, rules, Store.connect(), force=force)
    decision.write(Path(verdict.path))
    verdict_page(name, decision).write(gate_page.path)
    announce("; ".join([headline(decision), *decision.reasons]))
    return decision.promoted
