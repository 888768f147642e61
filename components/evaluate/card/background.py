"""What the card shows besides the evaluation: records that earlier stages wrote.

The card is read away from everything else, so it says where the data came from and how the model was made; these are
records of other stages, read here as plain JSON, because a stage uses no code of another stage.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.shared.package.model_package import TRAINING
from components.shared.package.schema import Schema

Record = Mapping[str, Any]  # what an earlier stage wrote, as JSON
_SPLIT = "summary.json"


@dataclass(frozen=True, slots=True)
class Background:
    """What the card shows besides the evaluation.

    Attributes:
        schema: Columns and classes.
        training: The record of the training, `training.json`.
        validation: The validation's report.
        split: What prepare did, `summary.json`.
    """

    schema: Schema
    training: Record
    validation: Record
    split: Record

    @classmethod
    def read(cls, splits: Path, model: Path, *, validation: Path) -> "Background":
        """Read it from the folders of the earlier stages."""
        return cls(
            schema=Schema.read(model),
            training=_json(model / TRAINING),
            validation=_json(validation),
            split=_json(splits / _SPLIT),
        )


def _json(path: Path) -> Record:
    found: Record = json.loads(path.read_bytes())
    return found
