"""The evaluate stage: how good the candidate is on rows it has never seen."""

from kfp import dsl

from components.shared.component import stage


@stage
def evaluate(
    name: str,
    evaluation: str,
    splits: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    validation: dsl.Input[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    evaluate_report: dsl.Output[dsl.Artifact],
    card: dsl.Output[dsl.HTML],
) -> None:
    """Judge the candidate on the test part: metrics with intervals, slices, importance, SHAP, and the model card.

    Args:
        name: Name of the model.
        evaluation: The `evaluation` section of the configuration, as JSON.
        splits: Folder of the prepared parts.
        model: Folder that train wrote.
        validation: The validation's report, JSON.
        metrics: Each metric of the test part, for the KFP UI.
        curves: ROC curve (several classes: of all of them, each versus the rest) and confusion matrix, for the KFP UI;
            empty for regression.
        evaluate_report: Folder with `metrics.json` and `card.html`, both part of the model package.
        card: The model card.
    """
    from pathlib import Path

    from components.evaluate import report as logic
    from components.shared.config import EvaluationConfig
    from components.shared.progress import announce

    paths = logic.Paths(*(Path(item.path) for item in (splits, model, validation, evaluate_report, card)))
    found = logic.write_report(name, EvaluationConfig.model_validate_json(evaluation), paths)
    logic.log_metrics(found, metrics)
    logic.log_curves(found, curves)
    announce(logic.headline(found))
