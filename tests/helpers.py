"""Small real data sets and model packages for tests of several folders."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.shared import frames
from components.shared.config import TaskName
from components.shared.files import file_hash
from components.shared.package import model_package
from components.shared.package.model_package import GoldenRequest, Lineage, Manifest
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import Scorer, parse_rows
from components.shared.store import Store
from components.shared.tasks import TASKS

COLOURS = ("röt", "blue 青", "green")
LINEAGE = Lineage(
    rows=600, columns=8, content_hash="0" * 64, window_start="2024-01-01T00:00:00", window_end="2024-01-25T23:00:00"
)
# Of a wide table: above what stages decide by (2,000). `make bench-columns` runs the same tests with 10,000 columns,
# of which planning the engine's queries takes ten times as long.
MANY_COLUMNS = int(os.environ.get("FULLCIRCLE_COLUMNS", "3000"))
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def classes_of(task: TaskName) -> list[bool | int | str]:
    """Class labels of a kind of problem; none for numbers."""
    if not TASKS[task].has_classes:
        return []
    return [False, True] if TASKS[task].has_positive_class else ["ja", "näh", "我"]


def make_schema(task: TaskName = "binary") -> Schema:
    """Five features of every kind, one a number with missing values."""
    return Schema(
        task=task,
        target="target",
        classes=classes_of(task),
        features=[
            Feature(name="amount", kind="number", nullable=True, minimum=-5, maximum=5),
            Feature(name="visits", kind="integer", nullable=False, minimum=0, maximum=9),
            Feature(name="member", kind="boolean", nullable=False, minimum=0, maximum=1),
            Feature(name="colour", kind="category", nullable=True, cardinality=3, categories=list(COLOURS)),
            Feature(name="opened at", kind="timestamp", nullable=True, minimum=1.7e9, maximum=1.8e9),
        ],
        time_column="opened at",
        keys=["id"],
    )


def make_table(task: TaskName = "binary", *, rows: int = 600, seed: int = 0) -> pa.Table:
    """Rows in order of time whose target depends on `amount`, `member` and `colour`."""
    random = np.random.default_rng(seed)
    amount, member = random.normal(size=rows), random.random(rows) < 0.4
    colour = random.integers(0, 3, rows)
    signal = 2.5 * amount + 2.0 * member + 1.0 * (colour == 1) + random.normal(size=rows)
    return pa.table(
        {
            "id": np.arange(rows),
            "amount": pa.array(np.where(random.random(rows) < 0.05, np.nan, amount), from_pandas=True),
            "visits": random.integers(0, 10, rows),
            "member": member,
            "colour": pa.array([None if random.random() < 0.03 else COLOURS[index] for index in colour]),
            "opened at": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "target": _target(task, signal),
        }
    )


def _target(task: TaskName, signal: Any) -> Any:
    if not TASKS[task].has_classes:
        return signal + 10.0
    edges = [1.2] if TASKS[task].has_positive_class else [-0.5, 2.5]
    return pa.array([classes_of(task)[index] for index in np.digitize(signal, edges)])


def make_splits(folder: Path, *, task: TaskName = "binary", rows: int = 600, seed: int = 0) -> Path:
    """The folder that prepare writes."""
    folder.mkdir(parents=True, exist_ok=True)
    table, start = make_table(task, rows=rows, seed=seed), 0
    for part, share in SHARES.items():
        count = round(rows * share)
        pq.write_table(table.slice(start, count), frames.part_path(folder, part))
        start += count
    make_schema(task).write(folder)
    summary = {"method": "chronological", "rows": {part: round(rows * share) for part, share in SHARES.items()}}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def make_package(folder: Path, *, task: TaskName = "binary", splits: Path | None = None, noise: float = 0.0) -> Path:
    """The folder that train writes, with a small linear model.

    Args:
        folder: Where to; made when missing.
        task: What is predicted.
        splits: The folder that prepare writes; by default, one is made beside the package.
        noise: Share of training labels replaced by others, for a worse model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = splits or make_splits(folder.with_name(f"{folder.name}-splits"), task=task)
    schema = Schema.read(splits)
    part = frames.load_part(splits, "train", schema)
    model, graph = _fitted(part.frame.to_json(), task, tuple(_noisy(part.target, noise)))
    (folder / "model.onnx").write_bytes(graph)
    (folder / model_package.SKOPS).write_bytes(model)
    schema.write(folder)
    rows = pq.read_table(frames.part_path(splits, "test")).slice(0, 100)
    pq.write_table(rows, folder / model_package.REFERENCE)
    _write_json(folder / model_package.TRAINING, _training(task, noise))
    _write_json(folder / model_package.GOLDEN, [item.model_dump(mode="json") for item in _golden(folder, rows)])
    statistics = {"part": "test", "of": 120, "rows": 100, "columns": _statistics(folder, rows)}
    _write_json(folder / model_package.REFERENCE_STATISTICS, statistics)
    return folder


def make_manifest(folder: Path, *, name: str = "demo") -> Manifest:
    """Complete a package of `make_package` and write its manifest."""
    for file in (model_package.METRICS, model_package.CARD):
        if not (folder / file).exists():
            (folder / file).write_text("{}", encoding="utf-8")
    files = {file: file_hash(folder / file) for file in sorted(model_package.FILES)}
    manifest = Manifest(
        format=model_package.FORMAT,
        name=name,
        version=model_package.version_of(files),
        created="2024-02-01T00:00:00+00:00",
        git_commit="",
        libraries={},
        lineage=LINEAGE,
        files=files,
    )
    model_package.write_manifest(folder, manifest)
    return manifest


def _noisy(target: Any, noise: float) -> list[float]:
    random = np.random.default_rng(1)
    replaced = random.random(len(target)) < noise
    return [float(value) for value in np.where(replaced, random.permutation(target), target)]


@cache
def _fitted(frame_json: str, task: TaskName, target: tuple[float, ...]) -> tuple[bytes, bytes]:
    """A fitted pipeline as skops and as ONNX; kept, because converting takes longer than the tests themselves."""
    import io

    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.read_json(io.StringIO(frame_json), convert_dates=False)
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), [0, 1, 2]),
            ("colour", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [3]),
        ]
    )
    model = LogisticRegression(max_iter=1000) if TASKS[task].has_classes else Ridge()
    pipeline = Pipeline([("columns", columns), ("model", model)])
    kinds = {**dict.fromkeys(frame.columns[:3], "float32"), frame.columns[3]: object}
    pipeline.fit(frame.astype(kinds), np.array(target, dtype=np.int64 if TASKS[task].has_classes else np.float64))
    return skops.io.dumps(pipeline), _graph(pipeline, task)


def _graph(pipeline: Any, task: TaskName) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    types = [
        ("numbers", FloatTensorType([None, 3])),
        ("categories", StringTensorType([None, 1])),
        ("times", Int64TensorType([None, 1])),
    ]
    options = {id(pipeline): {"zipmap": False}} if TASKS[task].has_classes else None
    graph = convert_sklearn(pipeline, initial_types=types, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    if not TASKS[task].has_classes:
        _rename_output(graph, "variable", "values")
    return bytes(graph.SerializeToString())


def _rename_output(graph: Any, old: str, new: str) -> None:
    for node in graph.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for output in graph.graph.output:
        output.name = new if output.name == old else output.name


def _training(task: TaskName, noise: float) -> dict[str, Any]:
    return {
        "family": "linear",
        "parameters": {"noise": noise},
        "metric": TASKS[task].default_metric,
        "seed": 0,
        "lineage": LINEAGE.model_dump(),
        "libraries": {"scikit-learn": "1.9.1"},
        "git_commit": "",
    }


def _statistics(folder: Path, rows: pa.Table) -> dict[str, Any]:
    """What is told of the prediction, the last column of the reference window; of classes, as text."""
    scorer = Scorer.load(folder)
    scores = scorer.score(parse_rows(rows.select(scorer.schema.columns).to_pylist(), scorer.schema))
    if not TASKS[scorer.schema.task].is_one_number:
        return {"prediction": {"kind": "text", "null_share": 0.0}}
    values = scores[:, 1] if TASKS[scorer.schema.task].has_classes else scores
    quantiles = {str(share): float(np.quantile(values, share)) for share in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)}
    return {"prediction": {"kind": "number", "null_share": 0.0, "quantiles": quantiles}}


def _golden(folder: Path, rows: pa.Table) -> list[GoldenRequest]:
    scorer = Scorer.load(folder)
    asked = rows.select(scorer.schema.columns).slice(0, 5).to_pylist()
    answers = scorer.answers(scorer.score(parse_rows(asked, scorer.schema)))
    return [GoldenRequest(row=row, answer=answer) for row, answer in zip(asked, answers, strict=True)]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, default=str), encoding="utf-8")


def put_folder(store: Store, prefix: str, folder: Path) -> None:
    """Upload the files of a folder below a prefix, where the stage that publishes one would put them."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.put_file(f"{prefix.strip('/')}/{path.relative_to(folder).as_posix()}".lstrip("/"), path)
