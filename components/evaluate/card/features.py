"""Section of the card: which features matter, and in which direction they move predictions.

Importance is the most misread part of a card, so what it is and is not stands above it in words. Two measures are
shown, because they answer different questions: what the metric loses without a feature, and how far a feature moves
single answers.
"""

from components.evaluate.card.words import rows_text
from components.shared.evaluation import Contribution, Evaluation, Shap, value_text
from components.shared.formatting import format_count, format_number
from components.shared.metrics import LABELS
from components.shared.pages import charts
from components.shared.pages.blocks import Chart
from components.shared.pages.reports import Page, Section
from components.shared.tasks import TASKS

_BARS = 20  # features in a chart


def draw_features(page: Page, evaluation: Evaluation) -> None:
    """Add the section on what the features contribute."""
    section = page.section(
        "What matters",
        "Asked of the served model. Importance is how much worse the metric gets when a feature's values are shuffled "
        "among the rows; features that say the same share theirs, so that each may seem unimportant. SHAP values say "
        "how much each feature moves single predictions. Neither is a cause.",
    )
    section.grid([*_importance_chart(evaluation), *_shap_chart(evaluation)])
    if evaluation.shap is not None:
        _directions(section, evaluation.shap)


def _importance_chart(evaluation: Evaluation) -> list[Chart]:
    leading = evaluation.importance[:_BARS]
    if not leading:
        return []
    return [
        charts.bars(
            [item.feature for item in leading],
            [item.drop for item in leading],
            errors=[item.deviation for item in leading],
            title=f"Permutation importance: loss of {LABELS[evaluation.metric]}",
        )
    ]


def _shap_chart(evaluation: Evaluation) -> list[Chart]:
    leading = [] if evaluation.shap is None else evaluation.shap.contributions[:_BARS]
    if not leading:
        return []
    unit = TASKS[evaluation.task].answer.unit(evaluation.target)
    return [
        charts.bars(
            [item.feature for item in leading],
            [item.mean_absolute for item in leading],
            title=f"Mean |SHAP|, {unit}",
        )
    ]


def _directions(section: Section, shap: Shap) -> None:
    rows = [(item.feature, item.mean_absolute, text) for item in shap.contributions if (text := _direction(item))]
    if rows:
        caption = (
            f"Direction, from {rows_text(shap.rows)} explained against {format_count(shap.background)} background rows"
        )
        section.table(["Feature", "Mean |SHAP|", "What moves the prediction"], rows[:_BARS], caption=caption)


def _direction(item: Contribution) -> str:
    """In words, what raises and lowers the prediction."""
    if not item.mean_absolute:
        return ""
    if item.raises is not None or item.lowers is not None:
        ends = {"raised most by": item.raises, "lowered most by": item.lowers}
        # To the model, a missing category is the empty one.
        return ", ".join(f"{word} {value_text(value or None)}" for word, value in ends.items() if value is not None)
    if item.direction is None:
        return ""
    correlation = f"rank correlation {format_number(item.direction, 2)}"
    if abs(item.direction) < 0.3:
        return f"no single direction ({correlation})"
    return f"{'raised' if item.direction > 0 else 'lowered'} by larger values ({correlation})"
