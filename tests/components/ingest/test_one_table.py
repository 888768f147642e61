"""A run that names one table in place of the configured ones."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.ingest import Window, ingest_table
from components.ingest.one_table import one_table
from components.shared.config import ProblemConfig, SourceConfig
from components.shared.errors import SourceError
from tests.components.ingest.test_formats import GERMAN, workbook

SOURCE = SourceConfig.model_validate(
    {
        "tables": {
            "a": {"path": "a.csv", "nulls": ["", "-"], "delimiter": ";", "date_format": "%d.%m.%Y"},
            "b": {"path": "b.csv", "nulls": ["?"], "delimiter": ";", "date_format": "%d.%m.%Y", "encoding": "latin-1"},
        },
        "query": "SELECT * FROM a JOIN b USING (id)",
    }
)
PROBLEM = ProblemConfig(target="label", task="binary", time_column="day", keys=["id"])


@pytest.fixture
def ingest(output):
    def ingest(path, window=None, **options):
        lineage = ingest_table(SOURCE, PROBLEM, output, window=window, data=str(path), **options)
        return pq.read_table(output), lineage

    return ingest


def test_what_all_tables_share_is_inherited_and_every_null():
    table = one_table(SOURCE, PROBLEM, "new.csv", Window()).tables["data"]

    assert (table.path, table.delimiter, table.encoding, table.date_format) == ("new.csv", ";", "utf-8", "%d.%m.%Y")
    assert table.nulls == ["", "-", "?"]
    assert not table.types


def test_a_table_without_label_and_time_is_read_as_text(write, ingest):
    table, lineage = ingest(write("new.csv", "id;zip;amount\n1;007;2.50\n2;-;?\n"))

    assert table.to_pylist() == [{"id": "1", "zip": "007", "amount": "2.50"}, {"id": "2", "zip": None, "amount": None}]
    assert (lineage.rows, lineage.window_start, list(lineage.sources)) == (2, "", ["data"])


def test_a_window_goes_by_the_time_column_in_its_format(write, ingest):
    path = write("new.csv", "id;day\n1;31.12.2023\n2;01.01.2024\n")

    table, lineage = ingest(path, Window.parse("2024-01-01", ""))

    assert table.column("id").to_pylist() == ["2"]
    assert lineage.window_start == "2024-01-01T00:00:00"


def test_a_window_without_its_column_is_refused(write, ingest):
    with pytest.raises(SourceError, match=r"Table 'data': .*'day'"):
        ingest(write("new.csv", "id;x\n1;2\n"), Window.parse("2024-01-01", ""))


def test_json_keeps_its_types_and_leaves_mixed_columns_text(write, ingest):
    lines = [{"id": 1, "seats": 4, "on": True}, {"id": 2, "seats": "two", "on": False}]

    table, _ = ingest(write("new.jsonl", "\n".join(map(json.dumps, lines))))

    assert table.to_pylist() == [{"id": 1, "seats": "4", "on": True}, {"id": 2, "seats": "two", "on": False}]


def test_data_and_paths_exclude_one_another(ingest):
    with pytest.raises(SourceError, match="takes the place of all tables"):
        ingest("new.csv", paths={"a": "other.csv"})


def test_formats_that_differ_are_not_inherited():
    tables = {name: {"path": "x.csv", "date_format": form} for name, form in (("a", "%Y"), ("b", ""))}
    source = SourceConfig.model_validate({"tables": tables, "query": "SELECT 1"})

    assert source.date_format == ""


def test_a_columns_own_spelling_goes_along(output, write):
    source = SourceConfig.model_validate(
        {
            "tables": {
                "a": {"path": "a.csv", "columns": {"c": {"nulls": [""]}, "day": {"unit": "s"}, "gone": {"nulls": []}}}
            }
        }
    )
    path = write("new.csv", "c,d,day\nNA,NA,1704067201\n")
    ingest_table(source, PROBLEM, output, data=str(path))
    assert pq.read_table(output).to_pylist() == [{"c": "NA", "d": None, "day": "1704067201"}]
    ingest_table(source, PROBLEM, output, data=str(path), window=Window.parse("2024-01-01", "2024-01-02"))
    assert pq.read_table(output)["day"][0].as_py().year == 2024
    assert set(source.spellings(["c", "d", "day"])) == {"day"}


@pytest.mark.parametrize(
    "settings", [GERMAN, {"columns": {"w": GERMAN}}, {"decimal": ",", "columns": {"w": {"thousands": "."}}}]
)
def test_number_cells_are_read_back_as_what_they_are(output, tmp_path, settings):
    """What is read by the columns' spellings afterwards, to be predicted or as a label, is written by them."""
    source = SourceConfig.model_validate({"tables": {"a": {"path": "a.csv", **settings}}})
    path = workbook(tmp_path / "new.xlsx", {"data": [["v", "w"], ["x", 1.234], ["y", "2.345,5"], ["z", 12.375]]})
    ingest_table(source, PROBLEM, output, data=str(path))
    spelling = source.spellings(["w"])["w"]
    numbers = [spelling.plain_number(text) for text in pq.read_table(output)["w"].to_pylist()]
    assert numbers == ["1.234", "2345.5", "12.375"]


@pytest.mark.parametrize("own", ["%d.%m.%Y", ""])
def test_days_of_cells_are_read_back_as_what_they_are(output, tmp_path, own):
    settings = {"date_format": "%m/%d/%Y", "columns": {"d": {"date_format": own}}}
    source = SourceConfig.model_validate({"tables": {"a": {"path": "a.csv", **settings}}})
    path = workbook(tmp_path / "new.xlsx", {"data": [["v", "d"], ["x", "date:45357"], ["y", "date:45357.5"]]})
    ingest_table(source, PROBLEM, output, data=str(path))
    day, moment = pq.read_table(output)["d"].to_pylist()
    assert (day, moment) == ("06.03.2024" if own else "2024-03-06", "2024-03-06T12:00:00")


def test_texts_of_a_typed_file_stay_texts(output, tmp_path):
    columns = {"w": {"decimal": ","}, "d": {"date_format": "%d.%m.%Y"}}
    source = SourceConfig.model_validate({"tables": {"a": {"path": "a.csv", "columns": columns}}})
    path = tmp_path / "new.parquet"
    pq.write_table(pa.table({"w": ["1,5"], "d": ["31.01.2024"], "e": ["31.01.2024"]}), path)
    ingest_table(source, PROBLEM, output, data=str(path))
    assert pq.read_table(output).to_pylist() == [{"w": "1,5", "d": "31.01.2024", "e": "31.01.2024"}]
