"""How good the models are that a newcomer gets: twelve real tables, beside scikit-learn with its defaults.

`make bench-quality`. Each table goes through the stages from ingest to train with nothing configured but its target.
Beside it, three scikit-learn models learn from the same columns of the same rows (the training and the validation
part), with sensible encoding: histogram gradient boosting (categories as they are), a random forest and a linear model
(categories one-hot, missing numbers filled by the median, with an indicator). All answer the same test rows. The
difference to the best of the three is taken with its paired interval, by the same blocks as everywhere.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from components.ingest import ingest
from components.prepare.prepare import prepare
from components.shared.blocks import find_blocks
from components.shared.bootstrap import Draws, Estimate
from components.shared.config import Config, Metric, TaskName
from components.shared.frames import part_path
from components.shared.metrics import LABELS, Answers, gain
from components.shared.package.schema import Schema
from components.shared.package.scored import Scored, load_scorer, score_test
from components.shared.tasks import TASKS
from components.train.training import train_model
from components.tune.search import tune_family
from components.validate import validate
from pipelines.config_file import load_config
from tests.benchmarks.quality_tables import TABLES, QualityTable
from tests.benchmarks.report import Figure, at_least, at_most, report, show, told

FLIGHTS = Path("pipelines", "configs", "flights.yaml")
SECONDS = 15.0  # of the search, for each family
RESAMPLES = 1_000
CONFIDENCE = 0.95
_MOST_CATEGORIES = 255  # of scikit-learn's histogram gradient boosting
_PEERS = ("hist gradient boosting", "random forest", "linear")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found on one table.

    Attributes:
        name: Of the table.
        metric: What was measured.
        ours: The pipeline's value.
        peers: scikit-learn's values by model.
        loss: How much worse the pipeline is than the best of them, and its interval; negative is better.
        interval: The same.
        family: What the pipeline chose.
        seconds: What the stages took.
    """

    name: str
    metric: Metric
    ours: float
    peers: dict[str, float]
    loss: float
    interval: tuple[float, float]
    family: str
    seconds: float

    @property
    def rank(self) -> float:
        """The pipeline's place among all four, 1 is best; equals share the mean of their places."""
        return self.ranks["ours"]

    @property
    def ranks(self) -> dict[str, float]:
        """All four places."""
        values = {"ours": self.ours, **self.peers}
        worse = {name: -gain(self.metric, value, 0.0) for name, value in values.items()}
        return dict(pd.Series(worse).rank())


def configure(table: QualityTable, folder: Path, seconds: float) -> Config:
    """What a newcomer would write for a table."""
    path = folder / "table.csv"
    table.load().to_csv(path, index=False)
    return Config.model_validate(
        {
            "name": table.name,
            "source": {"tables": {"table": {"path": str(path)}}},
            "problem": {"target": table.target, "task": table.task, **table.problem},
            "search": {"budget": {"seconds": seconds, "trials": 30}},
        }
    )


def measure(config: Config, folder: Path) -> Outcome:
    """Run the stages of a configuration, and the peers on the same parts."""
    started = time.perf_counter()
    splits, package, family = run_stages(config, folder)
    seconds = time.perf_counter() - started
    ours = score_test(splits, load_scorer(package))
    metric = config.search.metric or TASKS[config.problem.task].default_metric
    found = {"ours": ours.scores, **dict(peer_scores(splits, ours))}
    estimates = _estimates(splits, ours, found, metric=metric)
    values = {name: estimate.value for name, estimate in estimates.items()}
    best = max(_PEERS, key=lambda name: gain(metric, values[name], 0.0))
    loss = (estimates[best] - estimates["ours"]).times(gain(metric, 1.0, 0.0))
    interval = loss.interval(CONFIDENCE)
    assert interval is not None, f"the test part of {config.name} cannot tell {LABELS[metric]}"
    peers = {name: values[name] for name in _PEERS}
    return Outcome(config.name, metric, values["ours"], peers, loss.value, interval, family, seconds)


def run_stages(config: Config, folder: Path) -> tuple[Path, Path, str]:
    """Ingest, validate, prepare, tune and train; the parts, the model's folder and the family chosen."""
    table, splits, package = folder / "table.parquet", folder / "splits", folder / "model"
    lineage = ingest.ingest_table(config.source, config.problem, table, window=ingest.Window.parse("", ""))
    outputs = validate.Outputs(*(folder / name for name in ("valid.parquet", "aside.parquet", "report.json", "a.html")))
    validate.validate(table, outputs, contract=config.contract, problem=config.problem)
    prepare(outputs.valid, splits, problem=config.problem, settings=config.prepare, contract=config.contract)
    trials = [
        tune_family(family, splits, search=config.search, training=config.train) for family in config.search.families
    ]
    trained = train_model(
        trials,
        splits,
        package,
        search=config.search,
        training=config.train,
        problem=config.problem,
        lineage=lineage,
    )
    return splits, package, trained.record.family


def _estimates(splits: Path, ours: Scored, found: dict[str, NDArray[Any]], *, metric: Metric) -> dict[str, Estimate]:
    """The metric of each model on the same resamples."""
    blocks = find_blocks(splits, "test", ours.schema)
    draws = Draws(blocks.of, RESAMPLES, run_length=blocks.run_length)
    task = ours.schema.task
    return {
        name: draws.estimates(task, ours.target, Answers(scores, 0.5), only=[metric])[metric]
        for name, scores in found.items()
    }


# scikit-learn


def peer_scores(splits: Path, ours: Scored) -> Iterator[tuple[str, NDArray[Any]]]:
    """What each peer answers to the test part, classes in the schema's order."""
    schema = ours.schema
    learned = pd.concat([_frame(splits, part, schema) for part in ("train", "validation")], ignore_index=True)
    asked = _frame(splits, "test", schema)
    target = learned.pop(schema.target)
    if TASKS[schema.task].has_classes:
        target = target.map(list(schema.classes).index)
    asked = asked.drop(columns=schema.target)
    for name, model in peers(learned, schema.task).items():
        categorical = name == "hist gradient boosting"
        rows, questions = (_as_categories(one, learned) if categorical else one for one in (learned, asked))
        model.fit(rows, target)
        yield name, model.predict(questions) if not TASKS[schema.task].has_classes else model.predict_proba(questions)


def _frame(splits: Path, part: str, schema: Schema) -> pd.DataFrame:
    """The features and the target of a part; a moment becomes numbers, as one would do by hand."""
    frame: pd.DataFrame = pq.read_table(part_path(splits, part), columns=[*schema.columns, schema.target]).to_pandas()
    for feature in schema.features:
        column = frame[feature.name]
        if feature.kind == "timestamp":
            moment = pd.to_datetime(column)
            parts = {"days": moment.astype("int64") / 8.64e13, "month": moment.dt.month}
            parts |= {"weekday": moment.dt.weekday, "minute": moment.dt.hour * 60 + moment.dt.minute}
            frame = frame.drop(columns=feature.name).assign(**{f"{feature.name} {n}": v for n, v in parts.items()})
        elif feature.kind == "category":
            frame[feature.name] = column.astype(object).where(column.notna(), "missing").astype(str)
        else:
            frame[feature.name] = pd.to_numeric(column).astype(float)
    return frame


def peers(frame: pd.DataFrame, task: TaskName) -> dict[str, Pipeline]:
    """The three models, by name."""
    texts = [name for name in frame if frame[name].dtype == object]
    numbers = [name for name in frame if name not in texts]
    regression = not TASKS[task].has_classes
    boosting = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    forest = RandomForestRegressor if regression else RandomForestClassifier
    linear = Ridge() if regression else LogisticRegression(max_iter=1000)
    many = [name for name in texts if frame[name].nunique() > _MOST_CATEGORIES]
    codes = ColumnTransformer(
        [("many", _one_hot(), many)], remainder="passthrough", sparse_threshold=0, verbose_feature_names_out=False
    ).set_output(transform="pandas")
    return {
        "hist gradient boosting": make_pipeline(codes, boosting(categorical_features="from_dtype", random_state=0)),
        "random forest": make_pipeline(_filled(numbers, texts), forest(n_jobs=-1, random_state=0)),
        "linear": make_pipeline(_filled(numbers, texts, scale=True), linear),
    }


def _filled(numbers: list[str], texts: list[str], *, scale: bool = False) -> ColumnTransformer:
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    steps = make_pipeline(impute, *([StandardScaler()] if scale else []))
    return ColumnTransformer([("numbers", steps, numbers), ("texts", _one_hot(), texts)], sparse_threshold=0)


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=100, sparse_output=False)


def _as_categories(frame: pd.DataFrame, learned: pd.DataFrame) -> pd.DataFrame:
    """Texts as pandas' categories, which histogram gradient boosting splits by sets; where there are not too many."""
    names = {name: sorted(learned[name].unique()) for name in learned if learned[name].dtype == object}
    kept = {name: pd.CategoricalDtype(found) for name, found in names.items() if len(found) <= _MOST_CATEGORIES}
    return frame.astype(kept)


# What is reported


def figures(found: list[Outcome]) -> list[Figure]:
    """Each table's difference with what was asked of it, and the mean rank."""
    made = [
        at_most(
            f"{one.name}: {LABELS[one.metric]} lost to the best of scikit-learn's, lower end of its interval",
            one.interval[0],
            0.0,
            unit=LABELS[one.metric],
            target="not worse by more than its own interval",
        )
        for one in found
    ]
    ranks = pd.DataFrame([one.ranks for one in found]).mean()
    made += [told(f"mean rank of {name}", ranks[name], unit="of 4") for name in _PEERS]
    ahead = float(ranks[list(_PEERS)].min() - ranks["ours"])
    made.append(told("mean rank of the pipeline", float(ranks["ours"]), unit="of 4"))
    made.append(at_least("ranks ahead of the next best", ahead, 0.0, unit="ranks", target="on the mean rank, best"))
    return made


def main() -> None:
    """Measure all tables, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="names of tables")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of the search for each family ({SECONDS:g})")
    options = parser.parse_args()
    only = options.only
    console, found = Console(), []
    for name in [table.name for table in TABLES] + ["flights"]:
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="fullcircle-quality-") as temporary:
            folder = Path(temporary)
            config = next(
                (configure(one, folder, options.seconds) for one in TABLES if one.name == name), None
            ) or load_config(FLIGHTS)
            one = measure(config, folder)
        found.append(one)
        console.print(f"{name}: {one.ours:.4g} ({one.family}), {one.peers}, {one.seconds:.0f} s", highlight=False)
    columns = ("table", "metric", "ours", *_PEERS, "lost to the best", "95 % interval", "rank", "family", "seconds")
    rows = [
        (
            one.name, LABELS[one.metric], f"{one.ours:.4g}", *(f"{one.peers[peer]:.4g}" for peer in _PEERS),
            f"{one.loss:+.3g}", f"{one.interval[0]:+.3g} to {one.interval[1]:+.3g}", one.rank, one.family, one.seconds,
        )
        for one in found
    ]  # fmt: skip
    show("Quality beside scikit-learn's defaults, on the same test rows", columns, rows, console=console)
    report("quality", figures(found), console=console)


if __name__ == "__main__":
    main()
