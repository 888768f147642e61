"""Tests of files and folders that appear only when they are complete."""

import os
import stat
import threading
from pathlib import Path

import pytest

from components.shared.files import remove_partials, replacing, write_bytes, write_text


def test_a_file_is_written_with_its_folders_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "deep" / "er" / "file.txt"
    write_text(path, "first")
    write_text(path, "Größe")
    assert path.read_bytes() == "Größe".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_the_rights_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as partial:
        partial.write_text("half")
        raise error


def make_half(path: Path) -> None:
    with replacing(path) as partial:
        partial.mkdir()
        (partial / "a").write_text("1")
        raise ValueError("half")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_what_was_there(tmp_path, error):
    write_text(tmp_path / "file", "before")
    with pytest.raises(error):
        write_half(tmp_path / "file", error)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "before"}


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="half"):
        make_half(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
    with replacing(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "a").write_text("1")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder" / "a").read_text() == "1"


def test_a_folder_in_use_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with pytest.raises(OSError, match="not empty"), replacing(tmp_path / "folder") as partial:
        partial.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "kept"]


def write_again_and_again(path: Path, text: str) -> None:
    for _ in range(20):
        write_text(path, text)


def test_of_many_writers_each_reader_sees_one_whole(tmp_path):
    path, texts = tmp_path / "file", [letter * 100_000 for letter in "abcd"]
    write_text(path, texts[0])
    writers = [threading.Thread(target=write_again_and_again, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_names_can_be_written(tmp_path):
    write_text(tmp_path / ("n" * 255), "there")
    assert Path(tmp_path / ("n" * 255)).read_text() == "there"


def test_partials_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    for name in (".file.0a1b2c3d.partial", ".other.0a1b2c3d.partial", "file"):
        (tmp_path / name).touch()
    (tmp_path / ".file.4e5f6a7b.partial").mkdir()
    remove_partials(tmp_path / "file")
    assert {path.name for path in tmp_path.iterdir()} == {".other.0a1b2c3d.partial", "file"}
