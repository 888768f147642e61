"""Numbers, dates and nulls in other spellings: read by settings, and named in a warning that says which."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.columns import read_column
from components.ingest.values import as_tried
from components.shared.config import TableConfig
from components.shared.spelling import Spelling


def warnings_of(table: pa.Table) -> list[str]:
    warnings: list[str] = json.loads(table.schema.metadata[b"lineage"])["warnings"]
    return warnings


def column(values, name: str = "v") -> str:
    """A CSV file of one column in question and one of numbers."""
    return f"{name};k\n" + "".join(f"{value};{number}\n" for number, value in enumerate(values))


NUMBERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "European": ([f"{n}.{n:03},{n:02}" for n in range(10, 99)], {"decimal": ",", "thousands": "."}),
    "decimal comma": ([f"{n},5" for n in range(100)], {"decimal": ","}),
    "dollars": ([f"${n},{n + 100}" for n in range(1, 99)], {"thousands": ",", "symbols": ["$"]}),
    "percent": ([f"{n} %" for n in range(100)], {"symbols": ["%"]}),
    "unit": ([f"{n}.5 kg" for n in range(100)], {"symbols": ["kg"]}),
    "Swiss": ([f"1'{n:03}.5" for n in range(100)], {"thousands": "'"}),
    "French": ([f"{n + 1}\u202f{n:03},5 €" for n in range(100)], {"decimal": ",", "thousands": " ", "symbols": ["€"]}),
    "negative": ([f"-${n}.5" for n in range(100)], {"symbols": ["$"]}),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_in_another_spelling_are_read_by_settings_and_named_without(write, run, name):
    values, spelled = NUMBERS[name]
    path = write("t.csv", column(values))
    without = run(path, delimiter=";")
    assert without["v"].type == pa.string()
    (warning,) = warnings_of(without)
    assert f"Table 't': the column 'v' is text, though {len(values)} of its {len(values)} values are numbers" in warning
    table = run(path, delimiter=";", **spelled)
    assert table["v"].type in (pa.int64(), pa.float64())
    assert table["v"].null_count == 0
    assert warnings_of(table) == []
    assert run(path, delimiter=";", **advised(warning))["v"].equals(table["v"])


def advised(warning: str) -> dict[str, object]:
    """The settings that a warning proposes, as YAML reads them."""
    found: dict[str, object] = {}
    for setting in re.findall(r"`([^`]+: \{.*?\})`", warning):
        found |= yaml.safe_load(setting)
    return found


@pytest.mark.parametrize(
    ("odd", "usual"),
    [
        ("#N/A", [str(n) for n in range(200)]),
        ("-", [f"{n}.25" for n in range(200)]),
        ("?", [f"{n},25" for n in range(200)]),
        ("0000-00-00", [f"2024-01-{n % 28 + 1:02}" for n in range(200)]),
        ("n/a", [f"{n % 28 + 1:02}/01/2024" for n in range(200)]),
    ],
)
def test_one_odd_value_among_many_is_named_with_a_remedy_that_works(write, run, odd, usual):
    values = [*usual[:57], odd, *usual[57:]]
    path = write("t.csv", column(values))
    without = run(path, delimiter=";")
    assert without["v"].type == pa.string()
    (warning,) = warnings_of(without)
    assert f"200 of its 201 values are {'dates' if '2024' in usual[0] else 'numbers'}" in warning
    assert f"the first that is none is {odd!r}" in warning
    table = run(path, delimiter=";", **advised(warning))
    assert table["v"].null_count == 1
    assert table["v"].type != pa.string()


def test_many_odd_values_are_named_without_a_list(write, run):
    values = [str(n) for n in range(200)] + [f"about {n}" for n in range(15)]
    (warning,) = warnings_of(run(write("t.csv", column(values)), delimiter=";"))
    assert "200 of its 215 values are numbers; the first that is none is 'about 0'" in warning
    assert "Correct the others in the data or the query" in warning


@pytest.mark.parametrize(
    "values",
    [["a", "b"] * 50, [f"{n} Main Street" for n in range(100)], ["1", "x"] * 50, [f"p{n}" for n in range(100)]],
)
def test_texts_are_not_remarked_upon(write, run, values):
    assert warnings_of(run(write("t.csv", column(values)), delimiter=";")) == []


@pytest.mark.parametrize(
    ("values", "date_format"),
    [
        ([f"{n % 28 + 1:02}/12/2020" for n in range(60)], "%d/%m/%Y"),
        ([f"12/{n % 28 + 1:02}/2020" for n in range(60)], "%m/%d/%Y"),
        ([f"{n % 28 + 1:02}.03.2020 06:{n:02}" for n in range(60)], "%d.%m.%Y %H:%M"),
        ([f"{n % 28 + 1} Mar 2020" for n in range(60)], "%d %b %Y"),
    ],
)
def test_dates_in_another_spelling_are_named_with_their_format(write, run, values, date_format):
    path = write("t.csv", column(values))
    (warning,) = warnings_of(run(path, delimiter=";"))
    assert f"60 of its 60 values are dates ({values[0]!r})" in warning
    assert f'`columns: {{"v": {{date_format: "{date_format}"}}}}`' in warning
    table = run(path, delimiter=";", **advised(warning))
    assert pa.types.is_temporal(table["v"].type)
    assert table["v"].null_count == 0


def test_dates_that_may_be_read_two_ways_say_so(write, run):
    (warning,) = warnings_of(run(write("t.csv", column([f"0{n % 9 + 1}/05/2020" for n in range(60)])), delimiter=";"))
    assert "%d/%m/%Y" in warning
    assert "%m/%d/%Y" in warning


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2012/01/31", "2012/2/1"], pa.date32()),
        (["2012/01/31 06:00", "2012/02/01 07:00:30"], pa.timestamp("us")),
    ],
)
def test_dates_with_the_year_first_are_dates(write, run, values, kind):
    table = run(write("t.csv", column(values)), delimiter=";")
    assert table["v"].type == kind
    assert table["v"][0].as_py().isoformat().startswith("2012-01-31")


def test_settings_of_a_column_leave_the_others_alone(write, run):
    path = write("t.csv", "a;b;c\n1,5;1.5;NA\n2,5;2.5;x\n-;1,0;-\n")
    table = run(path, delimiter=";", columns={"a": {"decimal": ",", "nulls": ["-"]}, "c": {"nulls": ["-"]}})
    assert table.to_pylist() == [
        {"a": 1.5, "b": "1.5", "c": "NA"},
        {"a": 2.5, "b": "2.5", "c": "x"},
        {"a": None, "b": "1,0", "c": None},
    ]


def test_a_column_that_does_not_exist_is_named(write, refuses):
    message = refuses(write("t.csv", "amount\n1\n"), columns={"amuont": {"decimal": ","}})
    assert "`columns` names the column 'amuont'" in message
    assert "Did you mean 'amount'?" in message


def test_declared_numbers_in_another_spelling(write, run, refuses):
    path = write("t.csv", column(["1.234,5", "x"]))
    assert "which is no number with the decimal sign ',' and '.' between thousands" in refuses(
        path, delimiter=";", decimal=",", thousands=".", types={"v": "number"}
    )
    table = run(path, delimiter=";", decimal=",", thousands=".", types={"v": "number"}, nulls=["x"])
    assert table["v"].to_pylist() == [1234.5, None]


def test_two_signs_have_to_differ():
    with pytest.raises(ValueError, match="`decimal` and `thousands` are both ','"):
        TableConfig(path="t.csv", decimal=",", thousands=",")
    with pytest.raises(ValueError, match="columns.v: `decimal` and `thousands` are both"):
        TableConfig.model_validate({"path": "t.csv", "thousands": ",", "columns": {"v": {"decimal": ","}}})
    with pytest.raises(ValueError, match="give one of them"):
        TableConfig.model_validate({"path": "t.csv", "columns": {"v": {"unit": "s", "date_format": "%Y"}}})


# Words taken for no value


def test_words_taken_for_no_value_in_texts_are_told_with_counts(write, run):
    path = write("t.csv", "x,y\n" + "1.5,None\n2.5,Insomnia\n3.5,Apnea\nNA,NA\n4,\n" * 10)
    (warning,) = warnings_of(run(path))
    assert "the text column 'y' holds 'NA' (10 of 50 rows), 'None' (10 of 50 rows), which were taken for no value" in (
        warning
    )
    table = run(path, columns={"y": {"nulls": [""]}})
    assert set(table["y"].to_pylist()) == {"None", "Insomnia", "Apnea", "NA", None}
    assert table["x"].null_count == 10
    assert warnings_of(table) == []
    kept = run(path, columns={"y": {"nulls": ["", "None", "NA"]}})
    assert kept["y"].null_count == 30
    assert warnings_of(kept) == []


def test_words_of_parquet_and_partitions_are_told_too(run, tmp_path):
    pq.write_table(pa.table({"c": ["NA", "DE", None] * 4, "x": range(12)}), tmp_path / "t.parquet")
    (warning,) = warnings_of(run(tmp_path / "t.parquet"))
    assert "the text column 'c' holds 'NA' (4 of 12 rows)" in warning


def test_words_of_columns_that_are_ignored_or_not_in_the_result_are_not_told(write, run):
    path = write("t.csv", "x,y\n1,None\n2,a\n")
    assert warnings_of(run(path, "SELECT x, length(y) AS y FROM t")) == []
    assert len(warnings_of(run(path, "SELECT y FROM t"))) == 1


def test_texts_of_typed_files_that_are_numbers_are_named(run, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"v": [f"{n}.5" for n in range(100)], "c": ["1", "0"] * 50}), path)
    (warning,) = warnings_of(run(path))
    assert "the column 'v' is text, though 100 of its 100 values are numbers" in warning
    assert run(path, **advised(warning))["v"].type == pa.float64()


# The same in Python and in SQL


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from("0123456789.,'’ \u00a0$%kg+-eE_"), min_size=1, max_size=9),
    decimal=st.sampled_from(".,"),
    thousands=st.sampled_from(["", ".", ",", " ", "'"]),
    symbols=st.sampled_from([(), ("$",), ("kg", "%")]),
)
def test_python_and_the_engine_read_the_same_numbers(text, decimal, thousands, symbols) -> None:
    if decimal == thousands:
        return
    spelling = Spelling(decimal=decimal, thousands=thousands, symbols=symbols)
    table = TableConfig(path="t", types={"v": "number"}, decimal=decimal, thousands=thousands, symbols=list(symbols))
    select = f"SELECT {as_tried(read_column('v', [text], table.model_copy(update={'nulls': []})), 'number')}"
    ((found,),) = duckdb.execute(f"{select} FROM (SELECT $text AS v)", {"text": text}).fetchall()
    plain = spelling.plain_number(text)
    if not spelling.is_plain:  # plain numbers are the engine's to read
        assert found == (None if plain is None else pytest.approx(float(plain)))


@settings(max_examples=40, deadline=None)
@given(value=st.decimals(-(10**9), 10**9, places=2))
def test_every_number_is_itself_in_european_spelling(value) -> None:
    text = f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    assert Spelling(decimal=",", thousands=".").plain_number(text) == f"{value:.2f}"


def test_spellings_are_documented_in_the_configuration() -> None:
    assert TableConfig(path=str(Path("t.csv"))).spelling("v") == Spelling(nulls=tuple(TableConfig(path="t").nulls))
    assert dt.datetime(2024, 1, 1) == Spelling(unit="s").moment("1704067200")
