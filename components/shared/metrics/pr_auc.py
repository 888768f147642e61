"""PR AUC: of the positive class, or the mean of one class versus the rest."""

from components.shared.metrics.areas import areas_of_curves
from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def pr_auc(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Average precision: the mean over the rows of the class of the precision down to each."""
    return areas_of_curves(target, answers, weights)["pr_auc"]


METRIC = Metric("pr_auc", "PR AUC", pr_auc, margin=0.01)
