"""A person's table of labels, as her source spells it."""

import pyarrow as pa
import pytest

from components.shared.config import SourceConfig
from components.shared.labels.reading import Names, label_table
from components.shared.package.schema import Feature, Schema

SCHEMA = Schema(
    task="regression",
    target="price",
    features=[
        Feature(name="weight", kind="number", nullable=False),
        Feature(name="due", kind="timestamp", nullable=False),
        Feature(name="shop", kind="category", nullable=False),
    ],
    keys=["weight", "due", "shop"],
)
GIVEN = {"weight": ["0,5"], "due": ["31.01.2024"], "shop": ["UA"], "price": ["1.250"], "event_time": ["01.02.2024"]}
MEANT = {
    "weight": "0.5",
    "due": "2024-01-31T00:00:00",
    "shop": "UA",
    "label": "1250",
    "event_time": "2024-02-01T00:00:00",
}


def read(given: dict[str, list[str]], **spelled: object) -> dict[str, str]:
    source = SourceConfig.model_validate({"tables": {"sold": {"path": "sold.csv", **spelled}}})
    table = label_table(pa.table(given), SCHEMA, Names(), source.spellings(given))
    return {name: table[name][0].as_py() for name in table.column_names}


@pytest.mark.parametrize(("price", "meant"), [("1,5", "1.5"), ("1.250", "1250"), ("-1.234,75", "-1234.75")])
def test_numbers_are_read_where_the_table_has_a_date_format_too(price, meant):
    found = read(GIVEN | {"price": [price]}, decimal=",", thousands=".", date_format="%d.%m.%Y")
    assert found == MEANT | {"label": meant}


def test_numbers_are_no_dates_of_a_format_that_they_happen_to_fit():
    given = GIVEN | {"weight": ["201811"], "price": ["19991231"], "due": ["20240131"], "event_time": ["20240201"]}
    assert read(given, date_format="%Y%m%d") == MEANT | {"weight": "201811", "label": "19991231"}


def test_what_neither_fits_stays_as_it_is():
    given = GIVEN | {"price": ["free"], "due": ["soon"], "event_time": ["2024-02-01"]}
    found = read(given, decimal=",", date_format="%d.%m.%Y")
    assert (found["label"], found["due"], found["event_time"]) == ("free", "soon", "2024-02-01")


def test_moments_that_count_from_1970_are_no_numbers():
    columns = {"event_time": {"unit": "s"}}
    found = read(GIVEN | {"event_time": ["1706745600"]}, decimal=",", thousands=".", columns=columns)
    assert found["event_time"] == "2024-02-01T00:00:00"
