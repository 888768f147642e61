"""Accuracy: how often the class answered is right."""

from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def accuracy(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Share of the rows answered rightly."""
    return weights.sum(target == answers.chosen) / weights.sum()


METRIC = Metric("accuracy", "Accuracy", accuracy, margin=0.005, percent=True, threshold_by="accuracy")
