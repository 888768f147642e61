"""The EDA report as a page, and the stage's adapter."""

import json

import numpy as np
import pytest
from kfp import dsl

from components.profile.component import profile as component
from components.profile.figures import Category, ColumnProfile
from components.profile.page import build
from components.profile.statistics import profile
from components.shared.config import ProfileConfig
from tests.components.profile.test_statistics import BINARY, DATA, KINDS, NOISE, N, X


def page(folder, **settings):
    return build(*profile(folder, ProfileConfig(**settings))).render()


def test_a_page_has_all_sections(splits):
    html = page(splits(DATA, KINDS, **BINARY))
    for heading in (
        "Overview",
        "The target: y",
        "Columns",
        "Distributions",
        "y by category",
        "Correlations",
        "Principal components",
    ):
        assert f">{heading}</h2>" in html
    assert "The target by day" in html
    assert "Rows, coloured by y" in html
    assert "x and twice say nearly the same" in html
    assert "come from a sample" not in html


@pytest.mark.parametrize(
    ("y", "schema", "expected"),
    [
        (X * 3 + NOISE, {"task": "regression"}, "Mean y among the rows of each"),
        (
            np.array(["a <b>", "c", "d"])[np.arange(N) % 3],
            {"task": "multiclass", "classes": ["a <b>", "c", "d"]},
            "a &lt;b&gt;",
        ),
    ],
)
def test_other_tasks(splits, y, schema, expected):
    html = page(splits({**DATA, "y": y}, KINDS, **schema))
    assert expected in html
    assert "<b>" not in html


def test_what_is_left_out_is_said(splits):
    data = (
        {f"n{i:03}": X + i * NOISE for i in range(80)} | {f"c{i:02}": DATA["c"] for i in range(15)} | {"y": DATA["y"]}
    )
    kinds = {name: "number" if name.startswith("n") else "category" for name in data if name != "y"}
    html = page(splits(data, kinds, classes=[False, True]), rows=100)
    assert "The first 60 of 95 columns are drawn" in html
    assert "3 more columns are in the JSON summary" in html
    assert "57 more numeric columns are left out" in html
    assert "come from a sample of 100 rows" in html


def test_columns_and_remarks_beyond_the_limits_are_counted(splits):
    found, points = profile(splits(DATA, KINDS, **BINARY), ProfileConfig())
    crowded = found.model_copy(update={"left_out": 9_500, "warnings": ["look"] * 70})
    html = build(crowded, points).render()
    assert "9,500 columns beyond the first 500 are not described" in html
    assert "10 more remarks are in the JSON summary" in html


def test_a_page_without_features_to_draw(splits):
    html = page(splits({"t": DATA["t"], "y": DATA["y"]}, {"t": "timestamp"}, classes=[False, True]))
    assert "Distributions" not in html


def test_a_category_whose_target_is_unknown(splits):
    found, points = profile(splits(DATA, KINDS, **BINARY), ProfileConfig())
    odd = ColumnProfile(
        name="odd", type="VARCHAR", kind="category", role="feature", nulls=0, null_share=0, distinct=2,
        categories=[Category(value="p", rows=1, target=[None]), Category(value="q", rows=2, target=[0.5])],
    )  # fmt: skip
    assert "odd" in build(found.model_copy(update={"columns": [*found.columns, odd]}), points).render()


def test_the_adapter(splits, tmp_path, capsys):
    outputs = {
        "profile_page": dsl.HTML(uri=str(tmp_path / "page.html")),
        "summary": dsl.Artifact(uri=str(tmp_path / "summary.json")),
    }
    folder = splits(DATA, KINDS, **BINARY)
    component.python_func(settings=ProfileConfig().model_dump_json(), splits=dsl.Dataset(uri=str(folder)), **outputs)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["rows"] == N
    assert (tmp_path / "page.html").read_text().lstrip().startswith("<!DOCTYPE html>")
    assert capsys.readouterr().out == "▸ 400 rows, 9 columns described; 1 remark\n"
