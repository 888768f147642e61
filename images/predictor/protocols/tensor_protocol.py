"""What the protocols whose inputs are tensors have in common: V2 over HTTP and over gRPC."""

from components.shared.config import ExtraColumns
from components.shared.package.scoring import Scorer
from images.predictor.protocols.columns import Columns
from images.predictor.protocols.outputs import Outputs


class TensorProtocol:
    """The columns and outputs of one model as tensors.

    Args:
        name: Name of the model.
        scorer: The model.
        extra: What to do with columns it does not know.
        rows: Most rows of a request.
    """

    def __init__(self, name: str, scorer: Scorer, *, extra: ExtraColumns, rows: int) -> None:
        self.name = name
        self.scorer = scorer
        self.columns = Columns(scorer.schema, extra=extra, rows=rows)
        self.outputs = Outputs(scorer)
