"""CSV as people and programs write it: lines above the header, comments, escapes, long lines, and what is said."""

import pytest

ROWS = "a;1.5;0\nb;-2.5;1\nc;0.5;0\n"
READ = [{"a": "a", "x": 1.5, "y": 0}, {"a": "b", "x": -2.5, "y": 1}, {"a": "c", "x": 0.5, "y": 0}]


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;"])
@pytest.mark.parametrize("settings", [{}, {"delimiter": ";"}, {"skip_lines": 1}])
def test_the_line_of_excel_that_says_the_delimiter(write, run, line, settings):
    assert run(write("t.csv", f"{line}\na;x;y\n{ROWS}"), **settings).to_pylist() == READ


@pytest.mark.parametrize(
    "above", ["# made by us\n", "# made by us\n# on 2024-01-31\n\n", "#a;x\n", "# one;two;three\n", "\n# made\n"]
)
def test_comments_above_the_header_are_left_out(write, run, above):
    assert run(write("t.csv", f"{above}a;x;y\n{ROWS}"), delimiter=";").to_pylist() == READ


def test_a_header_that_begins_with_a_number_sign_is_one(write, run):
    table = run(write("t.csv", "## version 4.2\n#a;x;y\n" + ROWS), delimiter=";")
    assert table.column_names == ["#a", "x", "y"]
    assert table.num_rows == 3


@pytest.mark.parametrize(
    ("above", "lines"), [("Sales\n", 1), ("Sales\n\nof 2024\n", 3), ("Sales;2024\n\n", 1), ("\nSales\n", 2)]
)
def test_titles_above_the_header_are_told_with_a_remedy_that_works(write, run, refuses, above, lines):
    path = write("t.csv", f"{above}a;x;y;z\na;1.5;0;7\nb;-2.5;1;7\n")
    message = refuses(path, delimiter=";")
    assert f"set `skip_lines: {lines}`" in message
    assert run(path, delimiter=";", skip_lines=lines).column_names == ["a", "x", "y", "z"]


def test_row_names_as_r_writes_them(write, run, refuses):
    path = write("t.csv", '"x","y"\n"1",2.5,"a"\n"2",3.5,"b"\n')
    message = refuses(path)
    assert "has 2 column names, and 3 fields in each line below" in message
    assert "Set `header: false`, `skip_lines: 1` and `names: [row, x, y]`" in message
    table = run(path, header=False, skip_lines=1, names=["row", "x", "y"])
    assert table.to_pylist()[0] == {"row": 1, "x": 2.5, "y": "a"}


def test_comment_lines_anywhere(write, run):
    content = '# top\na,b\n1,"x # y"\n# mid, with, fields\n2,"two\n# lines"\n3,z # w\n#4,x\n'
    expected = [{"a": 1, "b": "x # y"}, {"a": 2, "b": "two\n# lines"}, {"a": 3, "b": "z # w"}]
    assert run(write("t.csv", content), comment="#").to_pylist() == expected
    assert run(write("u.csv", "\ufeff%x\na,b\n1,2\n"), comment="%").to_pylist() == [{"a": 1, "b": 2}]


def test_a_comment_among_the_rows_suggests_the_setting(write, run, refuses):
    path = write("t.csv", "a,b\n1,2\n# half time\n3,4\n5,6\n7,8\n")
    assert "line 3: expected 2 fields" in (message := refuses(path))
    assert "If it is a comment, set `comment: '#'`" in message
    assert run(path, comment="#").num_rows == 4


def test_backslash_escapes(write, run, refuses):
    path = write("t.csv", 'a,b\n1,"say \\"hi\\", you"\n2,"back\\\\slash"\n3,plain\n4,one \\, two\n')
    assert run(path, escape="\\")["b"].to_pylist() == ['say "hi", you', "back\\slash", "plain", "one , two"]
    assert 'set `escape: "\\\\"`' in refuses(path)


def test_ragged_lines_are_told_with_backslash_escapes_too(write, refuses):
    assert "line 3: expected 2 fields" in refuses(write("t.csv", 'a,b\n1,"x\\"y"\n1,2,3\n4,5\n'), escape="\\")


@pytest.mark.parametrize("size", [3_000_000, 9_000_000])
def test_a_field_of_megabytes_is_read(write, run, size):
    lines = [f"ab,0.664,{number % 2}" for number in range(60)]
    lines[5] = f"{'x' * size},0.5,1"
    table = run(write("t.csv", "txt,x,y\n" + "\n".join(lines) + "\n"))
    assert table.num_rows == 60
    assert len(table["txt"][5].as_py()) == size


def test_a_line_longer_than_allowed_is_named_as_such(write, run, refuses):
    path = write("t.csv", "txt,y\nab,1\n" + "x" * 5_000_000 + ",1\nab,0\n")
    message = refuses(path, longest_line_mb=3)
    assert "t.csv, line 3: the line is longer than" in message
    assert "Raise `longest_line_mb`" in message
    assert run(path, longest_line_mb=6).num_rows == 3


def test_an_object_of_megabytes_in_json_lines_is_read(write, run):
    path = write("t.jsonl", '{"a": "' + "x" * 20_000_000 + '", "b": 1}\n{"a": "y", "b": 2}\n')
    assert [len(text) for text in run(path)["a"].to_pylist()] == [20_000_000, 1]


def test_unforeseen_messages_say_something(write, refuses):
    from components.ingest.messages import readable_message

    message = (
        "Invalid Input Error: CSV Error on Line: 7\nOriginal Line: ab,1\nSomething about quotes.\n\nPossible fixes:\n"
        "* Set all_varchar\n\n  file = /tmp/x.csv\n  delimiter = ,"
    )
    assert readable_message(message) == "Original Line: ab,1 Something about quotes."
    assert readable_message("IO Error: no space left") == "no space left."
