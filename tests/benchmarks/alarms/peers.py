"""Evidently and nannyml on the same windows, each with its defaults.

Evidently's `DataDriftPreset` says for each window whether the table drifted, which is when half of its columns did;
what an alarm at any drifted column would be is counted, too. nannyml has several ways to look (`peers/nannyml_alarms`).
"""

import json
import os
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.shared.tracking import no_tracking
from tests.benchmarks.alarms.sequences import Injected, Seed
from tests.benchmarks.alarms.tables import AlarmTable
from tests.benchmarks.alarms.watching import Window, answered

PYTHON = Path("build", "peers", "nannyml", "bin", "python")
PROGRAM = Path(__file__).parents[1] / "peers" / "nannyml_alarms.py"
NANNYML = ("estimated", "measured", "multivariate", "univariate")
_METRICS = {"binary": ["roc_auc"], "regression": ["rmse"]}
_FIRST_DAY = pd.Timestamp("1990-01-01")
_PREDICTION = "prediction"

Flags = list[bool]  # one a window


# Evidently


class Evidently:
    """The default preset with one reference.

    Args:
        seed: Has the reference.
    """

    def __init__(self, seed: Seed) -> None:
        no_tracking()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently import DataDefinition

        frame = seed.reference.frame
        texts = [name for name in frame if frame[name].dtype == object]
        self._definition = DataDefinition(
            numerical_columns=[*(name for name in frame if name not in texts), _PREDICTION], categorical_columns=texts
        )
        self._reference = self._dataset(answered(0, seed.reference, seed.monitor.scorer))

    def look(self, window: Window) -> tuple[bool, bool]:
        """Whether the table drifted, and whether any column did."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently import Report
            from evidently.presets import DataDriftPreset

            found = Report([DataDriftPreset()]).run(self._dataset(window), self._reference).dict()
        counted: dict[str, Any] = next(
            metric["value"] for metric in found["metrics"] if isinstance(metric["value"], dict)
        )
        return counted["share"] >= 0.5, counted["count"] > 0

    def _dataset(self, window: Window) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently import Dataset

            frame = window.rows.frame.assign(**{_PREDICTION: _prediction(window)})
            return Dataset.from_pandas(frame, data_definition=self._definition)


def _prediction(window: Window) -> Any:
    scores = window.answers.scores
    return np.asarray(scores if scores.ndim == 1 else scores[:, -1], dtype=np.float64)


# nannyml


def nannyml(table: AlarmTable, seed: Seed, sequences: Sequence[Injected], folder: Path) -> dict[str, list[Flags]]:
    """The alarms of nannyml, by way to look: of the clean windows, and then of each sequence.

    Args:
        table: The table.
        seed: Its reference and windows.
        sequences: Windows with changes.
        folder: An empty one, for what its program reads.
    """
    parts: list[Sequence[Window]] = [seed.clean, *(sequence.windows for sequence in sequences)]
    whole = [window for part in parts for window in part]
    reference = answered(0, seed.reference, seed.monitor.scorer)
    days = np.arange(len(seed.reference)) // table.size
    _frame(reference, days).to_parquet(folder / "reference.parquet")
    first = int(days[-1]) + 1
    frames = (_frame(window, np.full(len(window.rows), first + place)) for place, window in enumerate(whole))
    pd.concat(frames, ignore_index=True).to_parquet(folder / "windows.parquet")
    problem = "regression" if table.task == "regression" else "classification_binary"
    spec = {"problem": problem, "metrics": _METRICS[table.task], "features": list(seed.reference.frame)}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    environment = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
    subprocess.run([PYTHON, PROGRAM, folder], check=True, env=environment, stdout=subprocess.DEVNULL)
    alarms = json.loads((folder / "nannyml.json").read_bytes())
    return {way: _cut([_day(first + place) in alarms[way] for place in range(len(whole))], parts) for way in NANNYML}


def _cut(flags: Flags, parts: Sequence[Sequence[Window]]) -> list[Flags]:
    ends = np.cumsum([len(part) for part in parts])
    return [flags[end - len(part) : end] for end, part in zip(ends, parts, strict=True)]


def _frame(window: Window, days: Any) -> pd.DataFrame:
    """Features, answers, labels and a moment of each row."""
    scores, chosen = window.answers.scores, _prediction(window)
    answers = {"y_pred": chosen} if scores.ndim == 1 else {"y_pred": window.answers.chosen, "y_pred_proba": chosen}
    moments = _FIRST_DAY + pd.to_timedelta(days, unit="D")
    frame = window.rows.frame[sorted(window.rows.frame)]
    return frame.assign(**answers, y_true=window.rows.target, moment=moments)


def _day(number: int) -> str:
    return str((_FIRST_DAY + pd.Timedelta(days=number)).date())
