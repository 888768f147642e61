"""The table of families, by name: each name of the configuration is a file beside this one."""

from importlib import import_module
from typing import get_args

from components.shared.config import FamilyName
from components.shared.families.base import Family

FAMILIES: dict[FamilyName, Family] = {
    name: import_module(f"components.shared.families.{name}").FAMILY for name in get_args(FamilyName)
}


def family_of(estimator: object) -> Family:
    """The family that an estimator is of.

    Raises:
        KeyError: It is of none.
    """
    for family in FAMILIES.values():
        if any(type(estimator) is type(family.estimator(task)) for task in family.tasks):
            return family
    raise KeyError(f"{type(estimator).__name__} is the estimator of no family")
