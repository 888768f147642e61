"""Packed files, workbooks, and formats that are known and not read."""

import bz2
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

CSV = b"a,b\n1,x\n2,y\n"
READ = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def zst(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


PACKED: dict[str, Callable[[bytes], bytes]] = {"bz2": bz2.compress, "zst": zst, "xz": lzma.compress}


@pytest.mark.parametrize("ending", PACKED)
def test_packed_files_are_read_whatever_they_are_called(write, run, ending):
    content = PACKED[ending](CSV)
    assert run(write("t.csv.data", content), format="csv").to_pylist() == READ
    if ending != "xz":
        assert run(write(f"t.csv.{ending}", content)).to_pylist() == READ
        lines = PACKED[ending](b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n')
        assert run(write(f"d/t.jsonl.{ending}", lines).parent).to_pylist() == READ


@pytest.mark.parametrize("ending", ["bz2", "zst"])
def test_packed_files_that_are_damaged_are_named(write, refuses, ending):
    content = PACKED[ending](b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000)))
    assert "is truncated or damaged" in refuses(write(f"t.csv.{ending}", content[: len(content) // 2]))
    assert f"ends in .{ending} but is not such an archive" in refuses(write(f"u.csv.{ending}", CSV))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t.feather", "it is an Arrow file, which is not read. Convert it once, for instance by pandas.read_feather"),
        ("t.orc", "pandas.read_orc"),
        ("t.avro", "it is an Avro file"),
        ("t.sas7bdat", "pandas.read_sas"),
        ("t.dta", "pandas.read_stata"),
        ("t.sav", "pandas.read_spss"),
        ("t.pkl", "it is a pickle"),
        ("t.json", "set `format: jsonl`"),
        ("t.tar.gz", "it is an archive of another kind"),
        ("t.sqlite", "it is a database"),
    ],
)
def test_known_formats_that_are_not_read_are_named_as_such(write, refuses, name, said):
    import gzip

    content = gzip.compress(b"anything") if name.endswith(".gz") else b"anything"
    assert said in refuses(write(name, content))
    assert said in refuses(write(f"folder-{name}/{name}", content).parent)


@pytest.mark.parametrize(
    ("start", "said"), [(b"ARROW1\0\0", "an Arrow file"), (b"ORC\x0a", "an ORC file"), (b"Obj\x01", "an Avro file")]
)
def test_contents_of_another_format_are_named_as_such(write, refuses, start, said):
    assert f"it is {said}, which is not read" in refuses(write("t.csv", start + b"\x00" * 100))


# Workbooks


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """A minimal .xlsx: texts inline, numbers as they are, dates by a style."""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rels = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    targets = "".join(
        f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n, _ in enumerate(sheets, 1)
    )
    formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    styles = f'{head}<styleSheet xmlns="{main}">{formats}</styleSheet>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", f"{head}<Types/>")
        archive.writestr(
            "_rels/.rels",
            f'{head}<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'{head}<workbook xmlns="{main}" xmlns:r="{rels}"><sheets>{listed}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'{head}<Relationships xmlns="{package}">{targets}<Relationship Id="s" Type="{office}/styles" '
            'Target="styles.xml"/></Relationships>',
        )
        archive.writestr("xl/styles.xml", styles)
        for number, rows in enumerate(sheets.values(), 1):
            body = "".join(f"<row r='{r}'>{_cells(r, row)}</row>" for r, row in enumerate(rows, 1))
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'{head}<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
            )
    return path


def _cells(row: int, values: list[object]) -> str:
    cells = []
    for column, value in enumerate(values):
        place = f"{'ABCDEFG'[column]}{row}"
        if isinstance(value, str) and value.startswith("date:"):
            cells.append(f'<c r="{place}" s="1"><v>{value[5:]}</v></c>')
        elif isinstance(value, str):
            cells.append(f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>')
        elif isinstance(value, bool):
            cells.append(f'<c r="{place}" t="b"><v>{int(value)}</v></c>')
        elif value is not None:
            cells.append(f'<c r="{place}"><v>{value}</v></c>')
    return "".join(cells)


TABLE: list[list[Any]] = [
    ["id", "zip", "price", "day", "sold", "note"],
    [1, "02138", 1.5, "date:45322", True, "a, b"],
    [2, "10001", 2, "date:45323", False, None],
]


def test_a_workbook_is_read_with_its_types(run, tmp_path):
    table = run(workbook(tmp_path / "t.xlsx", {"Sheet1": TABLE}))
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "double", "date32[day]", "bool", "string"]
    first, second = table.to_pylist()
    assert (first["zip"], first["price"], first["day"].isoformat(), first["note"]) == (
        "02138",
        1.5,
        "2024-01-31",
        "a, b",
    )
    assert second["note"] is None


def test_sheets_are_chosen_by_name(run, refuses, tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"notes": [["x"], [1]], "data": TABLE})
    assert "has 2 sheets ('notes', 'data'). Name one by `sheet: notes`" in refuses(path)
    assert run(path, sheet="data").num_rows == 2
    assert "has no sheet 'dta'; it has 'notes', 'data'. Did you mean 'data'?" in refuses(path, sheet="dta")


def test_a_title_above_the_table_is_told_with_a_remedy_that_works(run, refuses, tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"data": [["Sales of 2024"], [], *TABLE]})
    assert "set `skip_lines: 1`" in refuses(path) or "set `skip_lines: 2`" in refuses(path)
    assert run(path, skip_lines=1).column_names == TABLE[0]


def test_a_title_of_two_lines_is_one_row_of_the_sheet(run, tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"data": [["Sales\nof 2024", "in USD"], *TABLE]})
    table = run(path, skip_lines=1)
    assert (table.column_names, table.num_rows) == (TABLE[0], len(TABLE) - 1)


def test_settings_of_csv_files_do_not_spoil_a_workbook(run, tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"data": [["v", "w"], [1.5, "1.234,5"], [2.5, "2.345,5"]]})
    table = run(path, delimiter=";", escape="\\", comment="#", decimal=",", thousands=".")
    assert table.to_pylist() == [{"v": 1.5, "w": 1234.5}, {"v": 2.5, "w": 2345.5}]


GERMAN = {"decimal": ",", "thousands": "."}


@pytest.mark.parametrize(
    ("cells", "settings", "column"),
    [
        ([1.234, 12.375, 7, 1e22], GERMAN, {}),
        ([1.234, 12.375, 7, 1e-7], {}, GERMAN),
        ([1.234, 12.375], {}, {"symbols": ["kg"]}),
        ([1.234, 12.375], {"decimal": ","}, {"decimal": "."}),
        ([1234567.25, 0.125], {}, {"thousands": ","}),
    ],
)
def test_number_cells_are_what_they_are_however_texts_are_spelled(run, tmp_path, cells, settings, column):
    path = workbook(tmp_path / "t.xlsx", {"data": [["v", "w"], *([1, cell] for cell in cells)]})
    assert run(path, **settings, columns={"w": column})["w"].to_pylist() == cells


def test_number_cells_stand_beside_texts_in_their_column_below_what_is_skipped(run, tmp_path):
    above: list[list[object]] = [["made by hand"], [], ["page", 1.5]]
    rows: list[list[object]] = [
        ["v", "w", 2024.5],
        [1.5, 1.234, 1.5],
        [2.5, "2.345,5", 2.5],
        [3.5, 12.375, 3.5, "beyond"],
    ]
    path = workbook(tmp_path / "t.xlsx", {"data": [*above, *rows[:3]]})
    table = run(path, skip_lines=3, columns={"w": GERMAN})
    assert table.to_pylist() == [{"v": 1.5, "w": 1.234, "2024.5": 1.5}, {"v": 2.5, "w": 2345.5, "2024.5": 2.5}]
    path = workbook(tmp_path / "u.xlsx", {"data": [row[:2] for row in rows[1:]]})
    table = run(path, header=False, names=["v", "w"], columns={"w": GERMAN})
    assert table["w"].to_pylist() == [1.234, 2345.5, 12.375]


@pytest.mark.parametrize(
    ("settings", "column"),
    [
        ({"date_format": "%d.%m.%Y"}, {}),
        ({}, {"date_format": "%d.%m.%Y"}),
        ({"date_format": "%m/%d/%Y"}, {"date_format": ""}),
        ({"date_format": "%m/%d/%Y"}, {"date_format": "%d.%m.%Y %H:%M"}),
        ({}, {"date_format": "%Y-%d-%m"}),
        ({}, {"date_format": "%d.%m.%Y %z"}),
        ({}, {"date_format": "%m/%y"}),
    ],
)
def test_times_of_cells_lose_nothing_however_texts_are_spelled(run, tmp_path, settings, column):
    cells = ["date:45322", "date:45323.5", "date:45323.50000579"]
    path = workbook(tmp_path / "t.xlsx", {"data": [["v", "d"], *([1, cell] for cell in cells)]})
    found = run(path, **settings, columns={"d": column})["d"].to_pylist()
    assert [moment.replace(tzinfo=None).isoformat() for moment in found] == [
        "2024-01-31T00:00:00",
        "2024-02-01T12:00:00",
        "2024-02-01T12:00:00.500000",
    ]


def test_days_of_cells_stand_beside_texts_in_their_format(run, tmp_path):
    rows: list[list[object]] = [["v", "d"], [1, "date:45322"], [2, "01.02.2024"]]
    path = workbook(tmp_path / "t.xlsx", {"data": rows})
    days = run(path, columns={"d": {"date_format": "%d.%m.%Y"}})["d"].to_pylist()
    assert [day.isoformat() for day in days] == ["2024-01-31", "2024-02-01"]
    path = workbook(tmp_path / "t.xlsx", {"data": [*rows, [3, "date:45323.25"]]})
    moments = run(path, columns={"d": {"date_format": "%d.%m.%Y"}})["d"].to_pylist()
    assert [moment.isoformat() for moment in moments][1:] == ["2024-02-01T00:00:00", "2024-02-01T06:00:00"]


def test_iso_8601_stands_beside_a_format_in_workbooks_alone(run, write):
    table = run(write("t.csv", "d\n31.01.2024\n2024-01-31T12:00:00\n"), columns={"d": {"date_format": "%d.%m.%Y"}})
    assert str(table.schema.field("d").type) == "string"


def test_number_cells_that_count_from_1970_are_times(run, tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"data": [["v", "d"], [1, 1711852200.5], [2, 1711852200]]})
    first, second = run(path, decimal=",", columns={"d": {"unit": "s"}})["d"].to_pylist()
    assert (first.isoformat()[:21], second.second) == ("2024-03-31T02:30:00.5", 0)


def test_what_is_no_workbook_is_named(write, refuses, tmp_path):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    assert "t.xlsx cannot be read as a workbook" in refuses(tmp_path / "t.xlsx")
    assert "cannot be read as a workbook" in refuses(write("u.xlsx", b"no zip at all"))
    assert "is empty. Name another by `sheet`" in refuses(workbook(tmp_path / "v.xlsx", {"data": []}))
