"""What a model of a kind of problem answers: a value, or the probabilities of classes.

Everything that has to agree on the form of an answer asks here: the ONNX graph, the endpoint and its description, batch
prediction, the inference log, the drift report, and the comparison of two versions.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from components.shared.package.schema import Schema

if TYPE_CHECKING:  # the configuration loads without them
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Watched = NDArray[np.float32] | NDArray[np.object_]


Object = dict[str, Any]  # as JSON has it


class Answer(ABC):
    """The form of a model's answers. `scores` are what the graph answers: float32, one row a row.

    Attributes:
        output: Name of the graph's output.
        outputs: Names of what the Open Inference Protocol answers, the graph's output first.
        method: What scikit-learn's pipelines call it.
    """

    output: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    method: ClassVar[str]

    # The graph

    @abstractmethod
    def width(self, schema: Schema) -> int:
        """Numbers that the graph answers a row."""

    @abstractmethod
    def scores(self, answered: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Scores of what the graph answered, which has the shape (rows, width)."""

    # The endpoint

    @abstractmethod
    def rows(self, scores: "NDArray[np.float32]", schema: Schema, labels: Sequence[str]) -> list[Object]:
        """Each row's answer as JSON has it; `labels` are the schema's, which are not made anew for each request."""

    @abstractmethod
    def about(self, schema: Schema) -> str:
        """What is answered, in some words for the endpoint's description."""

    @abstractmethod
    def json_schema(self, schema: Schema) -> Object:
        """The JSON schema of a row's answer."""

    @abstractmethod
    def metadata(self, schema: Schema) -> list[Object]:
        """The outputs as the Open Inference Protocol describes a model's."""

    @abstractmethod
    def explained(self, schema: Schema) -> list[str]:
        """What the columns of SHAP values explain."""

    @abstractmethod
    def unit(self, target: str) -> str:
        """What SHAP values are measured in: `in the unit of …`."""

    # The inference log and the drift report

    @abstractmethod
    def logged_type(self) -> "pa.DataType":
        """The type of the log's column of predictions."""

    @abstractmethod
    def logged(self, scores: "NDArray[np.float32]", schema: Schema) -> "pa.Array | NDArray[np.float32]":
        """The log's column of predictions: values, or the labels answered."""

    @abstractmethod
    def watched(self, scores: "NDArray[np.float32]", names: Sequence[object]) -> "Watched":
        """What drift is looked for in, one a row: a value, the positive class's probability, or a class.

        Args:
            scores: Of shape (rows,) or (rows, classes).
            names: What the classes are called.
        """

    # Two versions

    @abstractmethod
    def distance(self, before: "NDArray[np.float32]", now: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """How far two versions' answers to the same rows are apart, shape (rows,)."""


class Values(Answer):
    """One number a row, in the target's unit; scores have the shape (rows,)."""

    output = "values"
    outputs = ("values",)
    method = "predict"

    def width(self, schema: Schema) -> int:  # noqa: ARG002, the interface
        """One."""
        return 1

    def scores(self, answered: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Without the axis of the columns."""
        return answered.reshape(-1)

    def rows(self, scores: "NDArray[np.float32]", schema: Schema, labels: Sequence[str]) -> list[Object]:  # noqa: ARG002
        """`{"value": …}`."""
        return [{"value": float(value)} for value in scores]

    def about(self, schema: Schema) -> str:
        """A number."""
        return f"Predicts `{schema.target}`: a number."

    def json_schema(self, schema: Schema) -> Object:  # noqa: ARG002
        """An object with `value`."""
        return {"type": "object", "required": ["value"], "properties": {"value": {"type": "number"}}}

    def metadata(self, schema: Schema) -> list[Object]:
        """One tensor of values."""
        return [{"name": self.output, "datatype": "FP32", "shape": [-1], "parameters": {"target": schema.target}}]

    def explained(self, schema: Schema) -> list[str]:  # noqa: ARG002
        """The value."""
        return ["value"]

    def unit(self, target: str) -> str:
        """The target's."""
        return f"in the unit of {target}"

    def logged_type(self) -> "pa.DataType":
        """As the graph answers."""
        import pyarrow as pa

        return pa.float32()

    def logged(self, scores: "NDArray[np.float32]", schema: Schema) -> "NDArray[np.float32]":  # noqa: ARG002
        """The values."""
        return scores

    def watched(self, scores: "NDArray[np.float32]", names: Sequence[object]) -> "Watched":  # noqa: ARG002
        """The values."""
        return scores

    def distance(self, before: "NDArray[np.float32]", now: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """In the target's unit."""
        import numpy as np

        return np.abs(now.astype(np.float64) - before)


@dataclass(frozen=True)
class Probabilities(Answer):
    """The probability of each class, and the class answered; scores have the shape (rows, classes).

    Attributes:
        of_positive: Whether there are two classes, of which the last one's probability stands for both.
    """

    of_positive: bool

    output = "probabilities"
    outputs = ("probabilities", "label")
    method = "predict_proba"

    def width(self, schema: Schema) -> int:
        """One a class."""
        return len(schema.classes)

    def scores(self, answered: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """As they are."""
        return answered

    def rows(self, scores: "NDArray[np.float32]", schema: Schema, labels: Sequence[str]) -> list[Object]:
        """`{"label": …, "probabilities": {…}}`."""
        from components.shared.tasks.choosing import choose_classes

        chosen, classes = choose_classes(scores, threshold=schema.threshold), schema.classes
        return [
            {"label": classes[index], "probabilities": dict(zip(labels, row, strict=True))}
            for index, row in zip(chosen.tolist(), scores.tolist(), strict=True)
        ]

    def about(self, schema: Schema) -> str:
        """Which classes there are."""
        what = "two classes, with their" if self.of_positive else f"{len(schema.classes)} classes, with"
        return f"Predicts `{schema.target}`: one of {what} probabilities."

    def json_schema(self, schema: Schema) -> Object:
        """An object with `label` and `probabilities`."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        probabilities = {
            "type": "object",
            "required": schema.labels,
            "properties": dict.fromkeys(schema.labels, share),
        }
        return {
            "type": "object",
            "required": ["label", "probabilities"],
            "properties": {"label": {"enum": schema.classes}, "probabilities": probabilities},
        }

    def metadata(self, schema: Schema) -> list[Object]:
        """A tensor of probabilities and one of labels."""
        labels = schema.labels
        described: Object = {"target": schema.target, "classes": labels}
        if self.of_positive:
            described["threshold"] = schema.threshold
        return [
            {"name": self.output, "datatype": "FP32", "shape": [-1, len(labels)], "parameters": described},
            {"name": "label", "datatype": "BYTES", "shape": [-1], "parameters": {"target": schema.target}},
        ]

    def explained(self, schema: Schema) -> list[str]:
        """The positive class, or every one."""
        return schema.labels[-1:] if self.of_positive else schema.labels

    def unit(self, target: str) -> str:  # noqa: ARG002, the interface
        """Probability."""
        return "in probability"

    def logged_type(self) -> "pa.DataType":
        """Labels are texts."""
        import pyarrow as pa

        return pa.string()

    def logged(self, scores: "NDArray[np.float32]", schema: Schema) -> "pa.Array":
        """The labels answered."""
        import pyarrow as pa

        from components.shared.tasks.choosing import choose_classes

        chosen = choose_classes(scores, threshold=schema.threshold)
        return pa.array(schema.labels, pa.string()).take(pa.array(chosen))

    def watched(self, scores: "NDArray[np.float32]", names: Sequence[object]) -> "Watched":
        """The positive class's probability, or the most probable class."""
        import numpy as np

        from components.shared.tasks.choosing import choose_classes

        if self.of_positive:
            return scores[:, 1]
        return np.array(names, dtype=object)[choose_classes(scores)]

    def distance(self, before: "NDArray[np.float32]", now: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """The part of the probability that moved from one class to another, from 0 to 1."""
        import numpy as np

        return np.asarray(np.abs(now.astype(np.float64) - before).sum(axis=1) / 2, dtype=np.float64)
