"""The trained files of a model package: written beside the folder they go to, then moved there at once.

What is written is proven at once, as a server or a person will read it: the pipeline is loaded back and asked, golden
rows are parsed as requests are. A fault found here costs one stage; the same fault found in the endpoint costs a
deployment. Reference and golden requests come from the test part, since on rows that the model has learned from its
answers are surer than they will ever be again.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from components.shared.config import TrainConfig
from components.shared.errors import PackageError
from components.shared.files import replacing
from components.shared.frames import Part, features, inputs, load_part, part_path
from components.shared.package.fitted_pipeline import dump_pipeline, load_pipeline
from components.shared.package.model_package import (
    GOLDEN,
    REFERENCE,
    REFERENCE_STATISTICS,
    SKOPS,
    TRAINING,
    GoldenRequest,
    ReferenceOrigin,
)
from components.shared.package.schema import Feature, Schema, label_name, unique_name
from components.shared.package.scoring import MISSING_TIME, MODEL_FILE, Scorer, parse_rows
from components.shared.tasks import TASKS
from components.train.parity import predict
from components.train.record import TrainingRecord

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_CATEGORIES = 100  # listed with their shares
_PROOF_ROWS = 200  # on which the written pipeline has to answer as the one in memory


def write_package(
    package: Path,
    pipeline: Pipeline,
    model: onnx.ModelProto,
    *,
    splits: Path,
    schema: Schema,
    settings: TrainConfig,
    record: TrainingRecord,
) -> None:
    """Write the trained files of a package; the folder appears only when they are complete.

    Args:
        package: The folder to make; what is there is replaced.
        pipeline: Fitted.
        model: The same as ONNX.
        splits: The folder that prepare writes.
        schema: As it is served, with the threshold chosen.
        settings: Rows of the reference and golden requests.
        record: What made the model.

    Raises:
        PackageError: The written pipeline does not answer as the one in memory.
    """
    with replacing(package) as partial:
        partial.mkdir()
        _write_files(partial, pipeline, model, splits=splits, schema=schema, settings=settings, record=record)
        shutil.rmtree(package, ignore_errors=True)


def _write_files(
    folder: Path,
    pipeline: Pipeline,
    model: onnx.ModelProto,
    *,
    splits: Path,
    schema: Schema,
    settings: TrainConfig,
    record: TrainingRecord,
) -> None:
    test = load_part(splits, "test", schema)
    (folder / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
    schema.write(folder)
    dump_pipeline(pipeline, folder / SKOPS)
    _prove(folder / SKOPS, pipeline, test.frame.head(_PROOF_ROWS), schema)
    scorer = Scorer.load(folder)
    reference, origin = sample_reference(splits, scorer, rows=settings.reference_rows, seed=record.seed)
    pq.write_table(reference, folder / REFERENCE, compression="zstd")
    about = {**origin.model_dump(), "rows": reference.num_rows, "columns": statistics(reference, schema)}
    _write_json(folder / REFERENCE_STATISTICS, about)
    _write_json(folder / TRAINING, record.model_dump(mode="json"))
    golden = golden_requests(test, scorer, count=settings.golden_requests)
    _write_json(folder / GOLDEN, [request.model_dump(mode="json") for request in golden])


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _prove(path: Path, pipeline: Pipeline, frame: pd.DataFrame, schema: Schema) -> None:
    """Read the pipeline back, trusting only the known types, and let it answer."""
    found, expected = (predict(one, frame, schema) for one in (load_pipeline(path), pipeline))
    if not np.allclose(found, expected, rtol=1e-9, atol=1e-12):  # forests add up in the order their threads end
        raise PackageError(f"{path.name} does not answer as the pipeline it was written from: it cannot be kept.")


# The reference window


def sample_reference(splits: Path, scorer: Scorer, *, rows: int, seed: int) -> tuple[pa.Table, ReferenceOrigin]:
    """A seeded sample of the test part in its order: the features as they were, the target, and the prediction.

    Not of the parts that the model was fitted on: its predictions there are surer than on any rows that come later, and
    would differ from theirs for that alone.

    The prediction is what drift is looked for in (`Answer.watched`); its column is called by `prediction_column`.
    """
    schema = scorer.schema
    table = pq.read_table(part_path(splits, "test"), columns=[*schema.columns, schema.target])
    total = table.num_rows
    if total > rows:
        chosen = np.random.default_rng(seed).choice(total, size=rows, replace=False)
        table = table.take(np.sort(chosen))
    scores = scorer.score(inputs(features(table, schema), schema))
    prediction = TASKS[schema.task].answer.watched(scores, schema.classes)
    table = table.append_column(prediction_column(schema), pa.array(prediction))
    return table, ReferenceOrigin(part="test", of=total, **_span(splits, schema))


def _span(splits: Path, schema: Schema) -> dict[str, str]:
    """The first and the last moment of the test part; nothing without a time column."""
    if not schema.time_column or schema.time_column not in pq.read_schema(part_path(splits, "test")).names:
        return {}
    times = pq.read_table(part_path(splits, "test"), columns=[schema.time_column]).column(0)
    found = pc.min_max(times).as_py()
    return {name: str(found[key]) for name, key in (("first", "min"), ("last", "max")) if found[key] is not None}


def prediction_column(schema: Schema) -> str:
    """`prediction`, or with as many underscores before it as keep it apart from the table's own columns."""
    return unique_name("prediction", (*schema.columns, schema.target))


def statistics(table: pa.Table, schema: Schema) -> dict[str, dict[str, Any]]:
    """By column: its share of nulls, and quantiles of numbers and moments or shares of categories."""
    kinds = {feature.name: feature.kind for feature in schema.features}
    frame = features(table, schema)
    result: dict[str, dict[str, Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        facts = {"null_share": column.null_count / max(1, len(column))}
        kind = kinds.get(
            name, "category" if TASKS[schema.task].has_classes and not pa.types.is_floating(column.type) else "number"
        )
        if kind in ("category", "boolean"):
            facts |= _shares(column)
        else:
            facts |= _quantiles(
                frame[name].to_numpy() if name in kinds else column.to_numpy(), times=kind == "timestamp"
            )
        result[name] = {"kind": kind, **facts}
    return result


def _shares(column: pa.ChunkedArray) -> dict[str, Any]:
    counts = column.drop_null().value_counts().to_pylist()
    counts.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
    total = sum(entry["counts"] for entry in counts) or 1
    return {
        "distinct": len(counts),
        "shares": {label_name(entry["values"]): entry["counts"] / total for entry in counts[:_CATEGORIES]},
    }


def _quantiles(values: NDArray[Any], *, times: bool) -> dict[str, Any]:
    known = values[values != MISSING_TIME] if times else values[~np.isnan(values.astype(np.float64))]
    if not known.size:
        return {"quantiles": {}}
    found = np.quantile(known.astype(np.float64), _QUANTILES, method="lower").tolist()
    return {
        "quantiles": {
            f"{share:g}": _moment(value) if times else value for share, value in zip(_QUANTILES, found, strict=True)
        }
    }


# Golden requests


def golden_requests(part: Part, scorer: Scorer, *, count: int) -> list[GoldenRequest]:
    """Varied rows with the answers of the served model: from the lowest to the highest prediction, and rows with nulls.

    Raises:
        PackageError: A row does not read back as the tensors it was made from.
    """
    schema = scorer.schema
    tensors = inputs(part.frame, schema)
    chosen = _varied(scorer.score(tensors), _nulls(part.frame, schema), count=count)
    expected = tensors.rows(chosen)
    rows = [_row(values, schema) for values in part.frame.iloc[chosen].itertuples(index=False, name=None)]
    found = parse_rows(rows, schema)
    same = (
        np.array_equal(found.numbers.astype(np.float32), expected.numbers, equal_nan=True)
        and np.array_equal(found.categories, expected.categories)
        and np.array_equal(found.times, expected.times)
    )
    if not same:
        raise PackageError("The golden rows do not read back as the rows they were made from: the package is not kept.")
    answers = scorer.answers(scorer.score(found))
    return [GoldenRequest(row=row, answer=answer) for row, answer in zip(rows, answers, strict=True)]


# Example: four of ten rows. One is the row with the most nulls, if it has any; the other nine are ranked by their
# prediction, and those at the places 0, 4 and 8 are taken: the lowest, the middle and the highest.
def _varied(scores: NDArray[np.float32], nulls: NDArray[np.int64], *, count: int) -> NDArray[np.int64]:
    """Positions of rows, ascending: spread over the predictions, a quarter of them those with the most nulls."""
    ranked = np.argsort(scores if scores.ndim == 1 else scores[:, -1], kind="stable")
    if len(ranked) <= count:
        return np.arange(len(ranked))
    incomplete = np.argsort(-nulls, kind="stable")[: count // 4]
    incomplete = incomplete[nulls[incomplete] > 0]
    others = ranked[~np.isin(ranked, incomplete)]
    spread = others[np.linspace(0, len(others) - 1, count - len(incomplete)).astype(int)]
    return np.sort(np.concatenate([incomplete, spread]))


def _nulls(frame: pd.DataFrame, schema: Schema) -> NDArray[np.int64]:
    """Missing values of each row."""
    tensors = inputs(frame, schema)
    missing = np.isnan(tensors.numbers).sum(axis=1) + (tensors.categories == "").sum(axis=1)
    return np.asarray(missing + (tensors.times == MISSING_TIME).sum(axis=1), dtype=np.int64)


def _row(values: tuple[Any, ...], schema: Schema) -> dict[str, Any]:
    """A row as a client would send it; numbers are the shortest that float32 reads back exactly."""
    ordered = (*schema.numbers, *schema.categories, *schema.timestamps)
    return {feature.name: _json(value, feature) for value, feature in zip(values, ordered, strict=True)}


def _json(value: Any, feature: Feature) -> bool | int | float | str | None:
    match feature.kind:
        case "category":
            return None if value == "" and feature.nullable else str(value)
        case "timestamp":
            return None if value == MISSING_TIME else _moment(value) + ("Z" if feature.zoned else "")
        case _ if np.isnan(value):
            return None
        case "boolean":
            return bool(value)
        case "integer":
            return int(value)
        case _:
            return float(str(np.float32(value)))  # the shortest decimal that float32 reads as the same number


def _moment(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, without a zone: in UTC, or by the clock of times that have none."""
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None).isoformat()
