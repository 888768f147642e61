"""What Evidently's `DataDriftPreset` says with its defaults: the alarm that many retrain at, to be compared with.

Nothing of the product is decided by it.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.monitor.windows import numeric_columns, prediction_column, watched
from components.shared.frames import features
from components.shared.package.model_package import REFERENCE
from components.shared.package.scoring import Scorer
from components.shared.tracking import no_tracking

_SHARE = 0.5  # of drifted columns, from which the preset calls the data drifted


@dataclass(frozen=True, slots=True)
class PresetAlarm:
    """What the preset says.

    Attributes:
        drifted: How many columns it calls drifted.
        columns: How many there are.
    """

    drifted: int
    columns: int

    @property
    def rings(self) -> bool:
        """Whether it calls the data drifted."""
        return self.columns > 0 and self.drifted >= _SHARE * self.columns


def preset_alarm(package: Path, rows: pa.Table) -> PresetAlarm:
    """Hold rows against the reference of a model package, features alone, by Evidently's defaults.

    Args:
        package: Folder of the model.
        rows: With the model's input columns.
    """
    scorer = Scorer.load(package)
    reference = pq.read_table(package / REFERENCE, columns=scorer.schema.columns)
    prediction = prediction_column(scorer.schema)
    before, now = (
        watched(features(table, scorer.schema), scorer).drop(columns=prediction) for table in (reference, rows)
    )
    numeric = numeric_columns(scorer.schema)
    # Evidently refuses a column without any value.
    names = [name for name in before if not (before[name].isna().all() or now[name].isna().all())]
    return _run(before[names], now[names], [name for name in names if name in numeric])


def _run(before: pd.DataFrame, now: pd.DataFrame, numeric: list[str]) -> PresetAlarm:
    # Evidently's libraries warn of one another on import, and NumPy of constant columns, which are no drift.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        no_tracking()
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        others = [name for name in before if name not in numeric]
        definition = DataDefinition(numerical_columns=numeric, categorical_columns=others)
        windows = [Dataset.from_pandas(frame, data_definition=definition) for frame in (now, before)]
        found = Report([DataDriftPreset()]).run(*windows).dict()
    counted = next(one["value"] for one in found["metrics"] if isinstance(one["value"], dict))
    return PresetAlarm(drifted=int(counted["count"]), columns=len(before.columns))
