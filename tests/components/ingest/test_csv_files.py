"""Reading CSV: typing by the whole file, dialects, and what is refused."""

import datetime as dt
import json
import math
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest import heads
from components.ingest.ingest import ingest_table
from components.shared.config import ProblemConfig, SourceConfig
from tests.helpers import MANY_COLUMNS

TYPES = {pa.int64(): "integer", pa.float64(): "number", pa.string(): "text", pa.bool_(): "boolean", pa.date32(): "date"}


def kinds(table: pa.Table) -> dict[str, str]:
    return {
        field.name: TYPES.get(field.type, "timestamp" if pa.types.is_timestamp(field.type) else "?")
        for field in table.schema
    }


@pytest.fixture
def small_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the first 64 bytes only, so that a small file has a rest that can differ from its head."""
    monkeypatch.setattr(heads, "_HEAD_BYTES", 64)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "NA", "-3"], "integer"),
        (["NA", "", "2.5"], "number"),
        (["1", "2.0"], "number"),
        (["1e400", "-inf", "3e38"], "number"),
        (["true", "False", "NA"], "boolean"),
        (["yes", "no"], "text"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["2024-01-31", "2024-02-01 06:00"], "timestamp"),
        (["2024-01-31T06:00:00Z", "NA"], "timestamp"),
        (["31/01/2024", "01/02/2024"], "text"),
        (["1", "x"], "text"),
        (["NA", ""], "text"),
        (["123456789012345678", "1"], "integer"),
        (["12345678901234567890", "1"], "text"),
    ],
)
def test_types_by_what_the_column_holds(write, run, values, kind):
    table = run(write("t.csv", "v,k\n" + "".join(f"{value},1\n" for value in values)))
    assert kinds(table) == {"v": kind, "k": "integer"}
    assert table.num_rows == len(values)


@pytest.mark.parametrize(
    ("head", "later", "kind", "last"),
    [
        ("1", "2.5", "number", 2.5),
        ("1", "x", "text", "x"),
        ("1.5", "x", "text", "x"),
        ("NA", "7", "integer", 7),
        ("NA", "7.5", "number", 7.5),
        ("NA", "2024-01-31", "date", dt.date(2024, 1, 31)),
        ("NA", "2024-01-31T06:00:00+02:00", "timestamp", dt.datetime(2024, 1, 31, 4, tzinfo=dt.UTC)),
        ("NA", "true", "boolean", True),
        ("NA", "x", "text", "x"),
        ("true", "perhaps", "text", "perhaps"),
        ("2024-01-31", "2024-01-31 06:00", "timestamp", dt.datetime(2024, 1, 31, 6)),
        ("2024-01-31", "soon", "text", "soon"),
        ("1", "9007199254740993", "integer", 9007199254740993),
        ("1", "inf", "number", math.inf),
    ],
)
def test_the_rest_of_the_file_decides(write, run, small_head, head, later, kind, last):
    path = write("t.csv", "v,other\n" + f"{head},1\n" * 200 + f"{later},2\n")
    table = run(path)
    assert kinds(table) == {"v": kind, "other": "integer"}
    assert table["v"][-1].as_py() == last
    assert table.num_rows == 201


def test_numbers_missing_in_most_rows_stay_numbers(write, run):
    table = run(write("t.csv", "v,k\n" + "NA,1\n" * 200_000 + "2.5,1\n"))
    assert kinds(table)["v"] == "number"
    assert table["v"].null_count == 200_000


def test_numbers_beyond_float32_and_infinities_are_kept(write, run):
    table = run(write("t.csv", "v,k\n1e300,1\ninf,2\n-inf,3\n9007199254740993.0,4\n"))
    assert table["v"].to_pylist()[:3] == [1e300, math.inf, -math.inf]


def test_a_column_with_a_zone_is_utc_and_stays_one_with_a_zone(write, run):
    table = run(write("t.csv", "v,k\n2024-01-31T06:00:00+02:00,1\n2024-01-31 06:00,2\n"))
    assert table["v"].type == pa.timestamp("us", "UTC")
    assert table["v"].to_pylist() == [dt.datetime(2024, 1, 31, hour, tzinfo=dt.UTC) for hour in (4, 6)]


@pytest.mark.parametrize("text", ["2024-01-31T06:00:00Z", "2024-01-31 06:00-05", "2024-01-31 06:00:00.5 UTC"])
@pytest.mark.parametrize("declared", [True, False])
def test_every_spelling_of_a_zone_is_seen(write, run, text, declared):
    table = run(write("t.csv", f"v,k\n{text},1\n,2\n"), types={"v": "timestamp"} if declared else {})
    assert table["v"].type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize("text", ["2024-01-31T06:00:00", "2024-01-31 06:00", "2024-01-31 06:00:00.5", "2024-01-31"])
def test_local_times_have_no_zone(write, run, text):
    table = run(write("t.csv", f"v,k\n{text},1\n,2\n"), types={"v": "timestamp"})
    assert table["v"].type == pa.timestamp("us")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "007", "007"),
        ("number", "7", 7.0),
        ("integer", "7.0", 7),
        ("integer", "9007199254740993", 9007199254740993),
        ("boolean", "yes", True),
        ("boolean", "0", False),
        ("date", "2024-01-31", dt.date(2024, 1, 31)),
        ("timestamp", "2024-01-31", dt.datetime(2024, 1, 31)),
    ],
)
def test_declared_types(write, run, kind, text, value):
    table = run(write("t.csv", f"v,k\n{text},1\nNA,2\n"), types={"v": kind})
    assert kinds(table)["v"] == kind
    assert table["v"].to_pylist() == [value, None]


AT_4_30 = dt.datetime(2024, 1, 31, 4, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("date_format", "text", "declared", "value"),
    [
        ("%d/%m/%Y", "31/01/2024", "date", dt.date(2024, 1, 31)),
        ("%d/%m/%Y", "31/01/2024", None, dt.date(2024, 1, 31)),
        ("%d.%m.%Y %H:%M", "31.01.2024 06:30", "timestamp", dt.datetime(2024, 1, 31, 6, 30)),
        ("%d.%m.%Y %H:%M", "31.01.2024 06:30", None, dt.datetime(2024, 1, 31, 6, 30)),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-31T06:30:00+0200", "timestamp", AT_4_30),
    ],
)
def test_date_format(write, run, date_format, text, declared, value):
    types = {"v": declared} if declared else {}
    table = run(write("t.csv", f"v,k\n{text},1\n,2\n"), types=types, date_format=date_format)
    assert table["v"].to_pylist() == [value, None]


def test_nulls_are_the_spellings_listed(write, run):
    path = write("t.csv", "a,b\n?,x\n1,NA\n")
    table = run(path, nulls=["?"])
    assert table.to_pylist() == [{"a": None, "b": "x"}, {"a": 1, "b": "NA"}]
    assert run(path, nulls=[])["a"].to_pylist() == ["?", "1"]


def test_dialects(write, run):
    expected = [{"a": 1, "b": "x, y"}, {"a": 2, "b": 'say "hi"\nthere'}]
    assert (
        run(
            write("t.csv", 'a;b\r\n1;"x, y"\r\n2;"say ""hi""\nthere"\r\n'.replace("\r\n", "\n")), delimiter=";"
        ).to_pylist()
        == expected
    )
    assert run(write("t.tsv", 'a\tb\n1\tx, y\n2\t"say ""hi""\nthere"\n')).to_pylist() == expected
    assert run(write("u.csv", "\ufeffa,b\r\n\r\n1,2\r\n")).to_pylist() == [{"a": 1, "b": 2}]
    assert run(
        write("v.csv", "made today\n# by us\n1,2\n3,4"), header=False, skip_lines=2, names=["a", "b"]
    ).to_pylist() == [
        {"a": 1, "b": 2},
        {"a": 3, "b": 4},
    ]
    assert run(write("w.csv", "x,1\n"), header=False).column_names == ["column_1", "column_2"]
    assert run(write("x.csv", ",a\n0,1\n")).column_names == ["column_1", "a"]


def test_names_with_unicode_spaces_and_quotes(write, run):
    path = write("t.csv", 'größe in m,"it\'s ""so""",日本,  \n1,2,3,4\n')
    table = run({"my table's": {"path": str(path)}})
    assert table.column_names == ["größe in m", 'it\'s "so"', "日本", "  "]
    assert table.to_pylist()[0]["日本"] == 3


def test_blank_lines_and_line_breaks_in_names(write, run):
    assert run(write("t.csv", '\n\n"a\nb",c\n\n1,2\n\n')).to_pylist() == [{"a\nb": 1, "c": 2}]
    assert run(write("u.csv", "made today\n\na,b\n1,2\n"), skip_lines=2).to_pylist() == [{"a": 1, "b": 2}]
    assert run(write("v.csv", "\n1,2\n"), header=False).to_pylist() == [{"column_1": 1, "column_2": 2}]
    assert run(write("w.csv", "made today\n\n\na,b\n1,2\n"), skip_lines=1).to_pylist() == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("above", "lines"),
    [
        ('"made by\nhand"\n\npage,1.5\n', 4), ('"made by\nhand",\n', 2), ('5" pipes\nof steel\n', 2),
        ('"a\nb\nc",x\nby "us"\n', 4), ("made by\r\nhand\r\n", 2),
    ],
)  # fmt: skip
def test_no_row_is_lost_below_skipped_lines_with_quoted_line_breaks(write, run, above, lines):
    end = "\r\n" if "\r" in above else "\n"
    path = write("t.csv", above + end.join(["v,w", "1,2", "3,4", ""]))
    assert run(path, skip_lines=lines).to_pylist() == [{"v": 1, "w": 2}, {"v": 3, "w": 4}]


def test_latin_1_when_declared(write, run):
    path = write("t.csv", "name,größe\ncafé,1\n".encode("latin-1"))
    assert run(path, encoding="latin-1").to_pylist() == [{"name": "café", "größe": 1}]
    wide = write("w.csv", "name,größe\ncafé,1\n".encode("utf-16"))
    assert run(wide, encoding="utf-16").to_pylist() == [{"name": "café", "größe": 1}]


def test_thousands_of_columns(write, run):
    names = ",".join(f"column number {number}" for number in range(MANY_COLUMNS))
    row = ",".join(str(number) if number % 2 else f"{number}.5" for number in range(MANY_COLUMNS))
    table = run(write("t.csv", f"{names}\n{row}\n{row}\n"))
    assert table.shape == (2, MANY_COLUMNS)
    assert table["column number 2998"].to_pylist() == [2998.5, 2998.5]


def test_files_with_columns_in_another_order(write, run, tmp_path):
    write("d/1.csv", "a,b\n1,x\n")
    write("d/2.csv", "b,a\ny,2\n")
    assert run(tmp_path / "d").to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_empty_file(write, refuses):
    assert "is empty" in refuses(write("t.csv", ""))
    assert "is empty" in refuses(write("u.csv", "\n\n"))


def test_header_only(write, refuses):
    assert "holds no rows below the line of column names" in refuses(write("t.csv", "a,b\n"))
    assert "holds no rows" in refuses(write("u.csv", "a,b"))


def test_one_row_is_enough_here(write, run):
    assert run(write("t.csv", "a,b\n1,2\n")).num_rows == 1


def test_duplicate_column_names(write, refuses):
    message = refuses(write("t.csv", "a,b,a\n1,2,3\n"))
    assert "'a' stands twice, at positions 1 and 3" in message
    assert "`skip_lines: 1`" in message


def test_mixed_types_in_a_declared_column(write, refuses, small_head):
    path = write("t.csv", "v,k\n" + "1,1\n" * 100 + "unknown,1\n2.5,1\nx,1\n")
    message = refuses(path, types={"v": "number"})
    assert "'v' is declared number, but row 101 holds 'unknown', which is no number; 2 rows hold such values" in message
    assert "row 101 holds 'unknown', which is no integer; 3 rows hold such values" in refuses(
        path, types={"v": "integer"}
    )
    assert "row 1 holds '1.5'" in refuses(write("u.csv", "v,k\n1.5,1\n"), types={"v": "integer"})
    assert "no boolean" in refuses(write("b.csv", "v,k\nmaybe,1\n"), types={"v": "boolean"})


def test_a_declared_date_in_another_format(write, refuses):
    message = refuses(write("t.csv", "v,k\n31/01/2024,1\n2024-01-31,1\n"), types={"v": "date"}, date_format="%d/%m/%Y")
    assert "row 2 holds '2024-01-31', which is no date in the format '%d/%m/%Y'" in message


def test_a_declared_column_that_does_not_exist(write, refuses):
    message = refuses(write("t.csv", "amount,k\n1,1\n"), types={"amuont": "number"})
    assert "`types` names the column 'amuont'" in message
    assert "Did you mean 'amount'?" in message


@pytest.mark.parametrize(("character", "said"), [(";", "semicolon"), ("\t", "tab"), ("|", "vertical bar")])
def test_wrong_delimiter(write, refuses, character, said):
    message = refuses(write("t.csv", "a;b;c\n1;2;3\n".replace(";", character)))
    assert f"with a {said} there are 3" in message
    assert f"Set `delimiter: {json.dumps(character)}`" in message


def test_wrong_delimiter_with_decimal_commas(write, refuses):
    assert "with a semicolon there are 2" in refuses(write("t.csv", "a;b\n1,5;2\n"))


def test_one_column_is_no_wrong_delimiter(write, run):
    assert run(write("t.csv", "sentence\nwell; yes\nno\n")).num_rows == 2


@pytest.mark.parametrize("bad", ["3,4,5\n", "3\n"])
def test_ragged_lines(write, refuses, bad):
    message = refuses(write("t.csv", f"a,b\n1,2\n{bad}5,6\n"))
    assert "t.csv, line 3: expected 2 fields" in message


def test_broken_quotes_and_line_ends(write, refuses):
    assert "a double quote opens a field and never closes" in refuses(write("t.csv", 'a,b\n1,"x\n3,4\n'))
    assert "mixes line ends" in refuses(write("u.csv", "a,b\n1,2\r\n3,4\n"))


def test_wrong_encoding(write, refuses):
    path = write("t.csv", b"name,size\nplain,1\ncaf\xe9,2\n")
    message = refuses(path)
    assert "line 3 holds the byte 0xe9 (byte 22 of the file)" in message
    assert "`encoding: latin-1`" in message
    late = write("u.csv", b"name,size\n" + b"plain,1\n" * 200_000 + b"caf\xe9,2\n")
    assert "line 200002 holds" in refuses(late)
    assert "`encoding: utf-16`" in refuses(write("v.csv", "a,b\n1,2\n".encode("utf-16")))
    assert "is not known" in refuses(path, encoding="klingon")
    assert "ascii" in refuses(path, encoding="ascii")


def test_names_that_do_not_fit(write, refuses):
    path = write("t.csv", "1,2,3\n4,5,6\n")
    assert "`names` lists 2 columns, but" in refuses(path, header=False, names=["a", "b"])
    assert "'a' stands twice" in refuses(path, header=False, names=["a", "b", "a"])


def test_files_of_a_folder_with_different_columns(write, refuses, tmp_path):
    write("d/1.csv", "a,b\n1,x\n")
    write("d/2.csv", "a,c\n1,x\n")
    message = refuses(tmp_path / "d")
    assert "2.csv has other columns than" in message
    assert "it lacks ['b'] and it has ['c'] besides" in message


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8).map(lambda text: f"_{text}")
ROWS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        TEXT,
        st.booleans(),
        st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 30)),
        st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
    ),
    min_size=1,
    max_size=20,
)
KINDS = ["integer", "number", "text", "boolean", "date", "timestamp"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_typed_values_survive_the_round_trip(tmp_path: Path, rows) -> None:
    quoted = [
        [str(cell) if not isinstance(cell, str) else '"' + cell.replace('"', '""') + '"' for cell in row]
        for row in rows
    ]
    path = tmp_path / "t.csv"
    path.write_text("i,n,s,b,d,t\n" + "".join(",".join(row) + "\n" for row in quoted), encoding="utf-8", newline="")
    source = SourceConfig.model_validate(
        {"tables": {"t": {"path": str(path), "types": dict(zip("insbdt", KINDS, strict=True))}}}
    )
    output = tmp_path / "out.parquet"
    ingest_table(source, ProblemConfig(target="y", task="regression"), output)
    assert [tuple(row.values()) for row in pq.read_table(output).to_pylist()] == rows


def test_a_head_longer_than_the_first_read(write, run, small_head):
    names = [f"{'x' * 30}{number}" for number in range(50)]
    assert run(write("t.csv", ",".join(names) + "\n" + ",".join("1" * 50) + "\n")).column_names == names
    assert sys.getsizeof(names) > 64
