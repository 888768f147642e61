"""Splits as prepare writes them, small, with every kind of column, for the tests of tune and train."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.config import FamilyName, SearchConfig, TaskName, TrainConfig
from components.shared.families import FAMILIES, Parameters, make_pipeline
from components.shared.frames import Part, load_part
from components.shared.package.model_package import Lineage
from components.shared.package.schema import Feature, Schema
from components.shared.tasks import TASKS

LINEAGE = Lineage(rows=600, columns=10, content_hash="abc")
TRAINING = TrainConfig(
    one_hot_limit=5,
    ordinal_limit=20,
    date_parts=["elapsed", "year", "month", "week", "day", "weekday", "hour", "minute"],
    reference_rows=100,
    golden_requests=12,
)
# Few rounds: what is tested does not depend on how good the model is.
_SMALL: dict[FamilyName, Parameters] = {
    "hist_gradient_boosting": {"max_leaf_nodes": 7},
    "lightgbm": {"num_leaves": 7, "min_child_samples": 5},
    "random_forest": {"max_depth": 5},
    "extra_trees": {"max_depth": 5},
}
QUICK: dict[FamilyName, Parameters] = {
    name: {**({family.rounds: 8} if family.rounds else {}), **_SMALL.get(name, {})} for name, family in FAMILIES.items()
}


def classes_of(task: TaskName) -> list[bool | int | str]:
    """Class labels of a kind of problem; none for numbers."""
    if not TASKS[task].has_classes:
        return []
    return [False, True] if TASKS[task].has_positive_class else ["kept", "lost", "nicht geklärt"]


KINDS = {
    "amount in €": "number",
    "größe": "number",
    "stops": "integer",
    "member": "boolean",
    "colour": "category",
    "town": "category",
    "shop": "category",
    "booked at": "timestamp",
    "paid": "timestamp",
}


def make_splits(
    folder: Path, task: TaskName = "binary", *, rows: int = 600, columns: list[str] | None = None, seed: int = 0
) -> Path:
    """Write the three parts and the schema; `columns` keeps only some features."""
    table = pa.table({**_features(rows, seed), "y": _target(task, rows, seed)})
    names = columns if columns is not None else list(KINDS)
    folder.mkdir(parents=True, exist_ok=True)
    bounds = [0, int(rows * 0.7), int(rows * 0.85), rows]
    for part, low, high in zip(("train", "validation", "test"), bounds, bounds[1:], strict=False):
        pq.write_table(table.slice(low, high - low), folder / f"{part}.parquet")
    train = table.slice(0, bounds[1])
    features = [_feature(train, name, nullable=table.column(name).null_count > 0) for name in names]
    (folder / "summary.json").write_text('{"method": "chronological"}', encoding="utf-8")
    Schema(task=task, target="y", classes=classes_of(task), features=features).write(folder)
    return folder


def _features(rows: int, seed: int) -> dict[str, pa.Array]:
    random = np.random.default_rng(seed)
    start = datetime(2019, 12, 30)

    def holes(values: list[object], share: float = 0.1) -> list[object]:
        return [None if hole else value for value, hole in zip(values, random.random(rows) < share, strict=True)]

    return {
        "amount in €": pa.array(holes(list(random.lognormal(3, 1, rows))), pa.float64()),
        "größe": pa.array(random.normal(2000, 0.5, rows)),
        "stops": pa.array(holes(random.integers(0, 9, rows).tolist()), pa.int32()),
        "member": pa.array(holes((random.random(rows) < 0.3).tolist()), pa.bool_()),
        "colour": pa.array(holes(random.choice(["red", "grün", "blau"], rows).tolist()), pa.string()),
        "town": pa.array(holes([f"town {n}" for n in random.integers(0, 15, rows)]), pa.string()),
        "shop": pa.array([f"shop {n}" for n in random.integers(0, 120, rows)], pa.string()),
        "booked at": pa.array([start + timedelta(minutes=317 * n) for n in range(rows)], pa.timestamp("us")),
        "paid": pa.array(
            holes([(start + timedelta(days=int(n))).date() for n in random.integers(0, 900, rows)]), pa.date32()
        ),
    }


def _target(task: TaskName, rows: int, seed: int) -> pa.Array:
    drawn = _features(rows, seed)
    random = np.random.default_rng(seed + 1)
    signal = np.nan_to_num(drawn["stops"].to_numpy(zero_copy_only=False).astype(float)) / 4 - 1
    signal += np.asarray([{"red": 1.0, "grün": -1.0}.get(value, 0.0) for value in drawn["colour"].to_pylist()])
    signal += random.normal(0, 0.5, rows)
    if not TASKS[task].has_classes:
        return pa.array(np.round(signal * 20) + 100)  # whole numbers that are no classes; some kinds take none below 0
    if TASKS[task].has_positive_class:
        return pa.array(signal > 0)
    return pa.array([classes_of(task)[int(level)] for level in np.digitize(signal, [-0.5, 0.7])])


def _feature(train: pa.Table, name: str, *, nullable: bool) -> Feature:
    values = train.column(name).drop_null().unique().to_pylist()
    kind = KINDS[name]
    if kind != "category":
        return Feature.model_validate({"name": name, "kind": kind, "nullable": nullable})
    return Feature(name=name, kind="category", nullable=nullable, cardinality=len(values), categories=sorted(values))


class Fitted:
    """A quick pipeline of a family, fitted on the training part of splits."""

    def __init__(self, splits: Path, family: FamilyName, training: TrainConfig = TRAINING) -> None:
        self.schema = Schema.read(splits)
        self.train: Part = load_part(splits, "train", self.schema)
        self.test: Part = load_part(splits, "test", self.schema)
        self.pipeline = make_pipeline(
            family,
            QUICK[family],
            self.schema,
            search=SearchConfig(),
            training=training,
        ).fit(self.train.frame, self.train.target)
