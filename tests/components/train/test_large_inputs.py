"""Tests of a category with very many values and of very many columns, from rows to the served graph."""

import numpy as np
import pandas as pd

from components.shared.config import SearchConfig, TrainConfig
from components.shared.families import make_pipeline
from components.shared.frames import Part
from components.shared.package.schema import Feature, Schema
from components.train.onnx_export import export
from components.train.parity import check


def agreement(features: list[Feature], part: Part):
    """Fit a linear model on a part, and compare it with its graph on the same."""
    schema = Schema(task="binary", target="y", classes=[0, 1], features=features)
    pipeline = make_pipeline("linear", {}, schema, search=SearchConfig(), training=TrainConfig())
    pipeline.fit(part.frame, part.target)
    return check(export(pipeline, schema), pipeline, schema, part=part, settings=TrainConfig(parity_share=1.0))


def test_a_category_of_a_hundred_thousand_values():
    values = np.array([f"customer é {number}" for number in range(100_000)], dtype=object)
    target = np.arange(100_000) % 2
    feature = Feature(name="customer", kind="category", nullable=False, cardinality=100_000)
    assert agreement([feature], Part(pd.DataFrame({"customer": values}), target)).share == 1


def test_ten_thousand_columns():
    random = np.random.default_rng(0)
    numbers = random.normal(size=(120, 10_000)).astype(np.float32)
    frame = pd.DataFrame(numbers, columns=[f"column {index}" for index in range(10_000)])
    features = [Feature(name=name, kind="number", nullable=False) for name in frame.columns]
    assert agreement(features, Part(frame, (numbers[:, 0] > 0).astype(np.int64))).share == 1
