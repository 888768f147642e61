"""ROC AUC: of the positive class, or the mean of one class versus the rest."""

from components.shared.metrics.areas import areas_of_curves
from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def roc_auc(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Share of the pairs of a row of the class and another that are in the right order; ties count half."""
    return areas_of_curves(target, answers, weights)["roc_auc"]


METRIC = Metric("roc_auc", "ROC AUC", roc_auc, margin=0.005)
