"""What every kind of source does: one suite, over real files, a real web server and a real object store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.ingest.fetch import fetch
from components.shared.config import SourceConfig
from components.shared.errors import SourceError
from components.shared.sources.base import Source
from components.shared.sources.table import KINDS, at_place, kind_at, source_at
from tests.web import web_site

CSV = b"a;b\n1;x\n"
# By kind: where a table is, given a folder on the local disk, the address of a site, and that of a bucket.
PLACES = {
    "files": "{folder}/t.csv",
    "http": "{site}/t.csv",
    "s3": "{bucket}t.csv",
    "package": "package://tables_of_a_test/t.csv",
    "log": "log://t.csv",
}
# The others bring files as they are; rows of the log are put together (`test_log`).
OF_FILES = sorted(kind for kind, source in KINDS.items() if not source.of_requests)
of_files = pytest.mark.parametrize("kind", OF_FILES, indirect=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "tables_of_a_test"
    found.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return found


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    with web_site(folder) as address:
        yield address


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind, folder, site, store) -> str:
    return PLACES[kind].format(folder=folder, site=site, bucket=store.uri(""))


@pytest.fixture
def write(folder, store) -> Callable[[bytes], None]:
    """Make the table, wherever it is looked for."""

    def write(content: bytes) -> None:
        (folder / "t.csv").write_bytes(content)
        store.put_bytes("t.csv", content)

    return write


def test_the_place_says_which_kind_it_is(kind, place):
    assert kind_at(place) == kind
    stated = KINDS[kind].model_validate({"kind": kind, "path": place})
    assert source_at(place) == stated


@of_files
def test_a_table_is_brought_here_as_it_is(place, write, tmp_path):
    write(CSV)
    (file,) = source_at(place).read(tmp_path)
    assert file.path.read_bytes() == CSV
    assert file.path.name == "t.csv"
    assert file.name.endswith("t.csv")


@of_files
def test_its_hash_is_that_of_its_content_whatever_kind_it_is(place, write, folder, tmp_path):
    write(CSV)
    hashes = {fetch(source_at(where), tmp_path).fingerprint for where in (place, str(folder / "t.csv"))}
    assert len(hashes) == 1


@of_files
def test_its_fingerprint_changes_when_the_table_does_and_not_else(place, write):
    write(CSV)
    source = source_at(place)
    before = source.fingerprint()
    assert source.fingerprint() == before
    write(CSV + b"2;y\n")
    assert source.fingerprint() != before
    assert source.fingerprint().by == before.by


@of_files
def test_a_table_that_is_not_there_is_named(place, tmp_path):
    with pytest.raises(SourceError, match=r"t\.csv"):
        source_at(place).read(tmp_path)


def test_it_is_the_same_on_the_other_side_of_a_task(place):
    source = SourceConfig(tables={"t": source_at(place, delimiter=";", types={"a": "integer"})})
    for text in (source.model_dump_json(), source.model_dump_json(exclude_defaults=True)):
        again = SourceConfig.model_validate_json(text)
        assert again == source
        assert type(again.tables["t"]) is type(source.tables["t"])


@pytest.mark.parametrize("other", sorted(PLACES))
def test_at_another_place_it_is_written_as_before(place, other, tmp_path):
    elsewhere = PLACES[other].format(folder=tmp_path, site="http://site", bucket="s3://bucket/")
    found = at_place(source_at(place, delimiter=";", nulls=["-"]), elsewhere)
    assert (found.path, found.delimiter, found.nulls, found.kind) == (elsewhere, ";", ["-"], other)


def test_what_is_not_of_its_kind_is_refused(kind, folder):
    if KINDS[kind].schemes:
        with pytest.raises(ValueError, match=f"`kind: {kind}` expects a path such as {KINDS[kind].schemes[0]}://"):
            KINDS[kind].model_validate({"kind": kind, "path": "ftp://place/t.csv"})
    else:
        with pytest.raises(SourceError, match=r"has the scheme 'ftp'; expected a file, a folder"):
            KINDS[kind].model_validate({"kind": kind, "path": "ftp://place/t.csv"}).read(folder)


def test_every_kind_is_a_source_with_a_place_here():
    assert set(PLACES) == set(KINDS)
    assert all(issubclass(source, Source) for source in KINDS.values())
