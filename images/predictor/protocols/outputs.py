"""What is answered to requests whose inputs are tensors: scores, labels, and the contributions of features.

V2 says that there are outputs and not what they are called. Names, shapes and types are made here once, for JSON,
binary tensors and gRPC alike; a client may ask for some of them, which matters where labels are wanted and a thousand
probabilities are not.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes
from images.predictor.explain import Explanation
from images.predictor.messages import ProtocolError, Reason
from images.predictor.protocols.query import short


@dataclass(slots=True)
class Output:
    """An output before it is written."""

    datatype: str
    shape: list[int]
    values: NDArray[Any] | list[str]
    parameters: dict[str, Any] = field(default_factory=dict)


class Outputs:
    """The outputs of one model.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.schema = scorer.schema
        self.labels = self.schema.labels
        self.names = list(TASKS[self.schema.task].answer.outputs)

    def wanted(self, asked: list[str]) -> list[str]:
        """Names of the outputs that a request asks for, each once; all of them when it names none.

        Raises:
            ProtocolError: It names one that there is not.
        """
        unknown = [name for name in asked if name not in self.names]
        if unknown:
            raise ProtocolError(
                Reason.INVALID,
                f"outputs: {short(unknown[0])} is not known; expected {', '.join(map(repr, self.names))}.",
            )
        return list(dict.fromkeys(asked or self.names))

    def of(self, scores: NDArray[np.float32], explanation: Explanation | None, wanted: list[str]) -> dict[str, Output]:
        """The outputs that are wanted, by name, and those of an explanation."""
        found = self._all(scores, explanation)
        return {name: found[name] for name in [*wanted, *(name for name in found if name not in self.names)]}

    def _all(self, scores: NDArray[np.float32], explanation: Explanation | None) -> dict[str, Output]:
        columns = {self.scorer.output: Output("FP32", list(scores.shape), scores)}
        if TASKS[self.schema.task].has_classes:
            columns[self.scorer.output].parameters["classes"] = self.labels
            labels = [self.labels[index] for index in choose_classes(scores, threshold=self.schema.threshold).tolist()]
            columns["label"] = Output("BYTES", [len(labels)], labels)
        if explanation is not None:
            values = np.ascontiguousarray(explanation.values)
            columns["base"] = Output("FP64", list(explanation.base.shape), np.ascontiguousarray(explanation.base))
            columns["contributions"] = Output(
                "FP64", list(values.shape), values, {"features": explanation.features, "of": explanation.outputs}
            )
        return columns
