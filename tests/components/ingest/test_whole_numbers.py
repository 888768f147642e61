"""A whole number is one however it is stored, and a code is text: nothing collides that was different."""

import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LARGE = [10**17 + n for n in range(60)]
HUGE = [str(10**21 + n) for n in range(60)]


@pytest.fixture
def parquet(tmp_path):
    def parquet(**columns):
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return parquet


def decimals(values, precision: int, scale: int) -> pa.Array:
    return pa.array([decimal.Decimal(value) for value in values], pa.decimal128(precision, scale))


@pytest.mark.parametrize(("precision", "scale"), [(38, 0), (18, 0), (38, 10), (28, 4)])
def test_decimals_without_a_fraction_are_whole_numbers(parquet, run, precision, scale):
    table = run(parquet(v=decimals(LARGE, precision, scale), x=decimals(["1.5"] * 60, precision, 2)))
    assert table["v"].type == pa.int64()
    assert table["v"].to_pylist() == LARGE
    assert table["x"].type == pa.float64()


def test_decimals_with_a_fraction_are_numbers(parquet, run):
    table = run(parquet(v=decimals(["100000000000000001", "1.5"], 38, 10), w=decimals(["7", "8"], 38, 10)))
    assert table["v"].type == pa.float64()
    assert table["v"].to_pylist() == [1e17, 1.5]
    assert table["w"].to_pylist() == [7.0, 8.0]


def test_what_does_not_fit_64_bits_is_text(parquet, run):
    table = run(parquet(v=decimals(HUGE, 38, 0), h=pa.array([2**63 + n for n in range(60)], pa.uint64())))
    assert table["v"].to_pylist() == HUGE
    assert table["h"].to_pylist() == [str(2**63 + n) for n in range(60)]
    small = run(parquet(h=pa.array([2**63 - 1, None], pa.uint64())))
    assert small["h"].to_pylist() == [2**63 - 1, None]
    assert small["h"].type == pa.int64()


def test_sums_are_whole_numbers(write, run):
    table = run(write("t.csv", "a\n1\n2\n"), "SELECT sum(a) AS s, count(*) AS n FROM t")
    assert table.to_pylist() == [{"s": 3, "n": 2}]
    assert table["s"].type == pa.int64()


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    "values",
    [
        ["02138", "10001"],
        ["007", "7"],
        ["10", "2", "00"],
        ["1.5", "01.5"],
        ["-05", "3"],
        ["12_34", "1"],
        HUGE[:3],
        ["18446744073709551616", "1"],
    ],
)
def test_codes_and_very_large_whole_numbers_are_text(write, run, values, quote):
    path = write("t.csv", "v,k\n" + "".join(f"{quote}{value}{quote},1\n" for value in values))
    table = run(path)
    assert table["v"].to_pylist() == values
    assert table["k"].type == pa.int64()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0", "0.5", "-0.25", "00.5"[1:]], [0.0, 0.5, -0.25, 0.5]),
        (["0", "-1", "+5", "9223372036854775807"], [0, -1, 5, 2**63 - 1]),
        (["12345678901234567890", "1.5"], [12345678901234567890.0, 1.5]),
        (["1e30", "1"], [1e30, 1.0]),
        (["9007199254740993.0", "9007199254740992.0"], [9007199254740993, 9007199254740992]),
        (["1.0", "2.0", ""], [1.0, 2.0, None]),
    ],
)
def test_numbers_are_numbers(write, run, values, expected):
    table = run(write("t.csv", "v,k\n" + "".join(f"{value},1\n" for value in values)))
    assert table["v"].to_pylist() == expected
    assert {type(value) for value in table["v"].to_pylist()} == {type(value) for value in expected}


@pytest.mark.parametrize(("kind", "value"), [("integer", 2138), ("number", 2138.0), ("text", "02138")])
def test_a_declared_type_says_what_a_code_is(write, run, kind, value):
    assert run(write("t.csv", "v\n02138\n10001\n"), types={"v": kind})["v"][0].as_py() == value


def test_codes_late_in_a_file_that_is_read_while_it_is_used(write, run, monkeypatch):
    from components.ingest import heads, sources

    monkeypatch.setattr(sources, "_STREAMED", 0)
    monkeypatch.setattr(heads, "_HEAD_BYTES", 2_000)
    path = write("t.csv", "v,w\n" + "12138,1.5\n" * 2_000 + "02138,1.5\n")
    assert run(path)["v"].to_pylist()[-2:] == ["12138", "02138"]
    later = write("u.csv", "v,w\n" + "1,1.0\n" * 2_000 + f"{10**21 + 1},9007199254740993.0\n")
    table = run(later)
    assert table["v"].to_pylist()[-1] == str(10**21 + 1)
    assert table["w"].to_pylist()[-1] == 9007199254740993


def test_large_whole_numbers_of_json_lines(write, run):
    lines = [{"v": 10**21 + n, "w": 2**63 + n, "x": 2**53 + 1 + n, "y": 1.5} for n in range(5)]
    table = run(write("t.jsonl", "".join(json.dumps(line) + "\n" for line in lines)))
    assert table["v"].to_pylist() == [str(10**21 + n) for n in range(5)]
    assert table["w"].to_pylist() == [str(2**63 + n) for n in range(5)]
    assert table["x"].to_pylist() == [2**53 + 1 + n for n in range(5)]
