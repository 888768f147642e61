"""The fitted preprocessing as ONNX operations: a few a group of columns, not a few a column.

All categories go through one look-up into one vocabulary, and each encoding reads the columns it needs from that.
Every step keeps its own tensor, named `group/step`, so that parity can say which one differs.
"""

import numpy as np
from onnx import TensorProto
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer

from components.shared.package.schema import Schema
from components.shared.preprocessing import UNSEEN_ORDINAL
from components.train.date_graph import add_date_parts
from components.train.graph import FEATURES, ML, Graph

_CATEGORICAL = ("one_hot", "ordinal", "target_mean")  # groups whose first step is an encoder


def add_preprocessing(graph: Graph, preprocessor: ColumnTransformer, schema: Schema) -> None:
    """Add the operations from the inputs to `features`, float32 of shape (rows, `output_width`)."""
    first_category = len(schema.numbers)
    vocabulary = _add_vocabulary(graph, preprocessor)
    outputs = []
    for group, steps, columns in _groups(preprocessor):
        if group == "numbers":
            tensor = "numbers"
        elif group == "dates":
            tensor = "times"
        else:
            tensor = _encode(
                graph,
                group,
                steps,
                [column - first_category for column in columns],
                vocabulary=vocabulary,
                width=len(schema.categories),
            )
        for name, transformer in steps[group in _CATEGORICAL :]:
            tensor = _ADDERS[name](graph, f"{group}/{name}", tensor, transformer)
        outputs.append(tensor)
    graph.add("Concat", outputs, FEATURES, axis=1)


def _groups(preprocessor: ColumnTransformer) -> list[tuple[str, list[tuple[str, BaseEstimator]], list[int]]]:
    """Name, fitted steps and columns of each group, in the order of the transformer's output."""
    return [
        (name, pipeline.steps, list(columns))
        for name, pipeline, columns in preprocessor.transformers_
        if name != "remainder"
    ]


def output_width(preprocessor: ColumnTransformer) -> int:
    """Columns that the preprocessing makes."""
    return max(int(part.stop) for part in preprocessor.output_indices_.values())


def _add_clip(graph: Graph, name: str, tensor: str, transformer: BaseEstimator) -> str:
    lower = graph.constant(f"{name}.lower", transformer.lower_)
    upper = graph.constant(f"{name}.upper", transformer.upper_)
    return graph.add("Min", [graph.add("Max", [tensor, lower], f"{name}.max"), upper], name)


def _add_impute(graph: Graph, name: str, tensor: str, transformer: BaseEstimator) -> str:
    values = transformer.statistics_
    indicated = transformer.indicated_
    filled = f"{name}.filled" if indicated.size else name
    if np.isnan(values).all():
        graph.add("Identity", [tensor], filled)
    else:
        graph.add(
            "Imputer",
            [tensor],
            filled,
            domain=ML,
            imputed_value_floats=values.tolist(),
            replaced_value_float=float("nan"),
        )
    if not indicated.size:
        return name
    chosen = graph.add("Gather", [tensor, graph.constant(f"{name}.columns", indicated)], f"{name}.chosen", axis=1)
    missing = graph.add(
        "Cast", [graph.add("IsNaN", [chosen], f"{name}.isnan")], f"{name}.missing", to=TensorProto.FLOAT
    )
    return graph.add("Concat", [filled, missing], name, axis=1)


def _add_scale(graph: Graph, name: str, tensor: str, transformer: BaseEstimator) -> str:
    return graph.add(
        "Scaler",
        [tensor],
        name,
        domain=ML,
        offset=transformer.mean_.astype(np.float32).tolist(),
        scale=(1 / transformer.scale_).astype(np.float32).tolist(),
    )


# Categories


def _add_vocabulary(graph: Graph, preprocessor: ColumnTransformer) -> dict[str, int]:
    """One code a category, whatever its column: `categories` becomes `codes`, int64 of its shape, -1 if unknown."""
    values = sorted(
        {
            str(value)
            for _, steps, _ in _groups(preprocessor)
            if steps[0][0] == "encode"
            for column in steps[0][1].categories_
            for value in column
        }
    )
    vocabulary = {value: code for code, value in enumerate(values)}
    if values:
        graph.add(
            "LabelEncoder",
            ["categories"],
            "codes",
            domain=ML,
            keys_strings=values,
            values_int64s=range(len(values)),
            default_int64=-1,
        )
    return vocabulary


def _encode(
    graph: Graph,
    group: str,
    steps: list[tuple[str, BaseEstimator]],
    columns: list[int],
    *,
    vocabulary: dict[str, int],
    width: int,
) -> str:
    """The first step of a group of categorical columns."""
    encoder = steps[0][1]
    name = f"{group}/encode"
    codes = [[vocabulary[str(value)] for value in values] for values in encoder.categories_]
    if group == "one_hot":
        return _add_one_hot(graph, name, codes, columns)
    chosen = (
        "codes"
        if columns == list(range(width))
        else graph.add(
            "Gather", ["codes", graph.constant(f"{name}.columns", np.asarray(columns))], f"{name}.chosen", axis=1
        )
    )
    keys, pairs = _pair(graph, name, chosen, codes, size=len(vocabulary))
    if group == "ordinal":
        ordinals = [float(index) for values in codes for index in range(len(values))]
        return graph.add(
            "LabelEncoder",
            [pairs],
            name,
            domain=ML,
            keys_int64s=keys,
            values_floats=ordinals,
            default_float=float(UNSEEN_ORDINAL),
        )
    return _add_means(graph, name, pairs, keys, encoder=encoder)


# Example: column 0 has the codes 0 and 1, column 1 the code 2. Outputs belong to the columns 0, 0, 1 and expect 0, 1,
# 2. A row of the codes 1, 2 holds 1, 1, 2 there, so it becomes 0, 1, 1.
def _add_one_hot(graph: Graph, name: str, codes: list[list[int]], columns: list[int]) -> str:
    """One output a category: whether the column it belongs to contains its code."""
    owners = np.repeat(columns, [len(values) for values in codes])
    expected = np.concatenate([np.asarray(values, dtype=np.int64) for values in codes])
    held = graph.add("Gather", ["codes", graph.constant(f"{name}.columns", owners)], f"{name}.held", axis=1)
    equal = graph.add("Equal", [held, graph.constant(f"{name}.expected", expected)], f"{name}.equal")
    return graph.add("Cast", [equal], name, to=TensorProto.FLOAT)


# Example: three codes, 0 to 2, so the step is 4. Code 2 of column 0 stays 2, of column 1 it is 6. An unknown -1 of
# column 1 is 3, which is no code of column 0.
def _pair(graph: Graph, name: str, codes_tensor: str, codes: list[list[int]], *, size: int) -> tuple[list[int], str]:
    """Column and code as one number, so that one look-up serves all columns: the known ones, and their tensor."""
    step = size + 1  # one more than there are codes: the unknown -1 of a column is no code of the one before
    offsets = np.arange(len(codes), dtype=np.int64) * step
    keys = [int(offset) + code for offset, values in zip(offsets, codes, strict=True) for code in values]
    if len(codes) == 1:
        return keys, codes_tensor
    return keys, graph.add("Add", [codes_tensor, graph.constant(f"{name}.offsets", offsets)], f"{name}.pairs")


def _add_means(graph: Graph, name: str, pairs: str, keys: list[int], *, encoder: BaseEstimator) -> str:
    """The target's mean a category: one number, or one a class when there are more than two."""
    columns = encoder.n_features_in_
    classes = len(encoder.classes_) if encoder.target_type_ == "multiclass" else 1
    if classes == 1:
        means = np.concatenate(encoder.encodings_).astype(np.float32)
        mean = float(np.float32(encoder.target_mean_))
        return graph.add(
            "LabelEncoder", [pairs], name, domain=ML, keys_int64s=keys, values_floats=means.tolist(), default_float=mean
        )
    rows = [
        np.stack(encoder.encodings_[column * classes : (column + 1) * classes], axis=1) for column in range(columns)
    ]
    table = np.concatenate([*rows, encoder.target_mean_.reshape(1, -1)]).astype(np.float32)
    row = graph.add(
        "LabelEncoder",
        [pairs],
        f"{name}.row",
        domain=ML,
        keys_int64s=keys,
        values_int64s=range(len(keys)),
        default_int64=len(keys),
    )
    means_tensor = graph.add("Gather", [graph.constant(f"{name}.table", table), row], f"{name}.means", axis=0)
    return graph.add(
        "Reshape", [means_tensor, graph.constant(f"{name}.shape", np.asarray([-1, columns * classes]))], name
    )


_ADDERS = {"clip": _add_clip, "impute": _add_impute, "scale": _add_scale, "parts": add_date_parts}
