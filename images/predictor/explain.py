"""Explanations of single predictions: what each feature adds to what the model answers on average.

An explanation costs hundreds of scorings a row, and a client must not be able to stop the server with one request: the
rows that may be asked for follow from the number of features. The background is a few rows of the package's reference,
chosen by rank of their prediction, so that the base is near the mean prediction although it is made of so few.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.package.model_package import REFERENCE
from components.shared.package.scoring import Inputs, Scorer, parse_columns
from components.shared.shapley import affordable_scorings, background_rows, outputs, shap_values
from images.predictor.messages import ProtocolError, Reason

MOST_ROWS = 100  # of a request that asks for explanations
_BACKGROUND_ROWS = (4, 16)  # fewest, for models of many features, and most
_SAMPLED_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Explanation:
    """SHAP values of the rows of a request: base and contributions add up to the prediction.

    Attributes:
        features: Names of the features.
        outputs: What is explained: the positive class, each class, or `value`.
        base: The mean prediction of the background, shape (rows, outputs).
        values: Contributions, shape (rows, features, outputs).
    """

    features: list[str]
    outputs: list[str]
    base: NDArray[np.float64]
    values: NDArray[np.float64]

    def of_row(self, row: int) -> dict[str, Any]:
        """One row's explanation as JSON: for each output its base and the contribution of each feature."""
        found = {
            name: {
                "base": float(self.base[row, place]),
                "contributions": dict(zip(self.features, self.values[row, :, place].tolist(), strict=True)),
            }
            for place, name in enumerate(self.outputs)
        }
        return {"of": self.outputs[0], **found[self.outputs[0]]} if len(found) == 1 else {"of": found}


# Example: of a model with 20 features 100 rows may be asked for, with 16 background rows; with 1,000 features 6 rows.
class Explainer:
    """Explains predictions with rows of the package's reference window as background; loaded when first asked.

    Args:
        scorer: The model.
        package: The folder of its package.
    """

    def __init__(self, scorer: Scorer, package: Path) -> None:
        self.scorer = scorer
        self.package = package
        self._background: Inputs | None = None
        features = len(scorer.schema.features)
        affordable = affordable_scorings(features) // max(1, 2 * features)  # rows times background rows
        fewest, most = _BACKGROUND_ROWS
        self.background_rows = min(most, max(fewest, affordable))
        self.most_rows = min(MOST_ROWS, affordable // self.background_rows)

    def explain(self, inputs: Inputs, *, is_stopped: Callable[[], bool] = lambda: False) -> Explanation:
        """Estimate SHAP values of rows; seeded, so that the same request gets the same answer.

        Args:
            inputs: The rows.
            is_stopped: Asked now and then; once it is true, the estimate is given up.

        Raises:
            ProtocolError: 413, there are too many rows for the features that each of them has.
            StoppedError: The estimate was given up.
        """
        self._check_work(len(inputs))
        schema = self.scorer.schema
        found = shap_values(
            self.scorer,
            inputs,
            background=self._rows(),
            features=np.arange(len(schema.features)),
            seed=0,
            is_stopped=is_stopped,
        )
        return Explanation(schema.columns, self.scorer.answer.explained(schema), found.base, found.values)

    def _check_work(self, rows: int) -> None:
        """Refuse what would keep a core busy for minutes: the work grows with rows and with features."""
        if rows <= self.most_rows:
            return
        features = len(self.scorer.schema.features)
        if not self.most_rows:
            raise ProtocolError(
                Reason.TOO_LARGE,
                f"The model has {features:,} features, too many to explain even one row: leave out the explanations.",
            )
        raise ProtocolError(
            Reason.TOO_LARGE,
            f"The request asks to explain {rows:,} rows; at most {self.most_rows} are allowed for a model of "
            f"{features:,} features: send them in parts, or leave out the explanations.",
        )

    def _rows(self) -> Inputs:
        if self._background is None:
            sampled = self._sample()
            chosen = background_rows(outputs(self.scorer, sampled), self.background_rows)
            self._background = sampled.rows(chosen)
        return self._background

    def _sample(self) -> Inputs:
        import pyarrow.parquet as pq

        schema = self.scorer.schema
        table = pq.read_table(self.package / REFERENCE, columns=schema.columns)
        some = np.linspace(0, table.num_rows - 1, min(table.num_rows, _SAMPLED_ROWS)).round().astype(np.int64)
        return parse_columns(table.take(some).to_pydict(), schema)
