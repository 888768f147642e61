"""The model families: one file each, one class each, one table.

A family (`base.Family`) says which estimator it is, where its search starts and may go, how it is fitted, what of it
ONNX can hold, and what skops may load of it. To add one, write `families/<name>.py` with a class and its instance
`FAMILY`, and add its name to `components.shared.names.FamilyName`: the table, the configuration's schema, what tasks
load ahead and what a package is trusted with follow from there.

Nothing here imports scikit-learn or a booster before a family is asked for its estimator.
"""

from components.shared.families.base import Family, Parameters, Rows, Search, Space, best_rounds
from components.shared.families.building import MODEL, PREPROCESS, make_estimator, make_pipeline
from components.shared.families.spaces import default_parameters, extremes, search_space
from components.shared.families.table import FAMILIES, family_of
from components.shared.tasks.base import Value

__all__ = [
    "FAMILIES",
    "MODEL",
    "PREPROCESS",
    "Family",
    "Parameters",
    "Rows",
    "Search",
    "Space",
    "Value",
    "best_rounds",
    "default_parameters",
    "extremes",
    "family_of",
    "make_estimator",
    "make_pipeline",
    "search_space",
]
