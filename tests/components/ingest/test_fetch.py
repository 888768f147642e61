"""Bringing files here: places, archives, http, S3, packages, and what is refused."""

import gzip
import importlib.util
import os
import socket
import sys
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.shared.sources.table_files import format_of
from components.shared.store import Store
from tests.web import QuietHandler, web_site

CSV = "a,b\n1,x\n2,y\n"
ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.TSV", "csv"),
        ("a.csv.gz", "csv"),
        ("a.b.parquet", "parquet"),
        ("a.ndjson.zip", "jsonl"),
        ("a.zip", None),
        ("a", None),
        ("x.csv/a.txt", None),
    ],
)
def test_formats_go_by_the_ending(name, expected):
    assert format_of(name) == expected


def test_paths_are_relative_to_the_working_directory(write, run, tmp_path, monkeypatch):
    write("data/t.csv", CSV)
    monkeypatch.chdir(tmp_path)
    assert run("data/t.csv").to_pylist() == ROWS


def test_folders_take_all_tables_below_and_leave_the_rest(write, run, tmp_path):
    write("d/1.csv", "a,b\n1,x\n")
    write("d/deep/2.csv.gz", gzip.compress(b"a,b\n2,y\n"))
    for note in ("d/README.txt", "d/_SUCCESS", "d/.hidden.csv", "d/_temporary/3.csv"):
        write(note, "not,a,table\n")
    assert run(tmp_path / "d").to_pylist() == ROWS


def test_a_folder_of_files_without_endings(write, run, refuses, tmp_path):
    write("d/part-0", "a,b\n1,x\n")
    write("d/part-1", "a,b\n2,y\n")
    assert run(tmp_path / "d", format="csv").to_pylist() == ROWS
    message = refuses(tmp_path / "d")
    assert "holds 2 other file(s), such as part-0" in message


def test_globs(write, run, tmp_path):
    for name in ("x-1.csv", "x-2.csv", "y.csv"):
        write(f"d/{name}", CSV)
    assert run(tmp_path / "d" / "x-*.csv").num_rows == 4
    assert run(f"{tmp_path}/**/*.csv").num_rows == 6
    write("d/[old].csv", CSV)
    assert run(tmp_path / "d" / "[old].csv").num_rows == 2


def test_archives(write, run, tmp_path):
    assert run(write("t.csv.gz", gzip.compress(CSV.encode()))).to_pylist() == ROWS
    assert run(zipped(tmp_path / "t.csv.zip", {"t.csv": CSV})).to_pylist() == ROWS
    assert (
        run(
            zipped(
                tmp_path / "any.zip", {"__MACOSX/._t.csv": "x", "d/t.jsonl": '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'}
            )
        ).to_pylist()
        == ROWS
    )
    # An archive is known by its first bytes, whatever it is called.
    assert run(write("packed.csv", gzip.compress(CSV.encode()))).to_pylist() == ROWS


def test_packages_are_found_without_importing_them(write, run, tmp_path, monkeypatch):
    write("noisy/__init__.py", "raise RuntimeError('imported')")
    write("noisy/data/t.csv", CSV)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run("package://noisy/data/t.csv").to_pylist() == ROWS
    assert run("package://noisy/data/*.csv").to_pylist() == ROWS
    assert "noisy" not in sys.modules


def test_scratch_copies_are_removed(write, run, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    run(write("t.csv.gz", gzip.compress(CSV.encode())))
    assert list(scratch.iterdir()) == []


def test_missing_file(write, refuses, tmp_path, monkeypatch):
    write("data/flights.csv", CSV)
    monkeypatch.chdir(tmp_path)
    message = refuses("data/flihgts.csv")
    assert "there is no file or folder 'data/flihgts.csv' (looked from" in message
    assert "Did you mean 'data/flights.csv'?" in message
    assert "Did you mean 'data'?" in refuses("daat/deep/flights.csv")


def test_nothing_matches(refuses, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "it is empty" in refuses(tmp_path / "empty")
    assert "no file matches the glob" in refuses(tmp_path / "*.csv")


def test_formats_that_cannot_be_told_or_differ(write, refuses, tmp_path):
    assert "does not tell its format" in refuses(write("t.dat", CSV))
    write("d/1.csv", CSV)
    write("d/2.jsonl", '{"a": 1}\n')
    assert "files of several formats" in refuses(tmp_path / "d")


def test_unknown_schemes(refuses):
    message = refuses("gs://bucket/t.csv")
    assert "has the scheme 'gs'; expected a file, a folder" in message


def test_packages_that_are_not_there(refuses):
    message = refuses("package://nowhere_installed/data/t.csv")
    assert "'nowhere_installed' is not an installed package" in message
    assert "is not the name of a top-level package" in refuses("package://sklearn.datasets/data/wine.csv")
    assert "Did you mean" in refuses("package://sklearn/datasets/data/wine_dat.csv")


def test_truncated_gzip(write, refuses):
    packed = gzip.compress(os.urandom(50_000).hex().encode())
    assert "t.csv.gz is truncated or damaged" in refuses(write("t.csv.gz", packed[:20_000]))
    assert "is truncated or damaged" in refuses(write("u.csv.gz", packed[:1000] + b"\0" * 100 + packed[1100:]))
    assert "ends in .gz but is not such an archive" in refuses(write("v.csv.gz", CSV))


def test_zip_with_two_files_or_none(refuses, tmp_path):
    two = zipped(tmp_path / "two.zip", {"a.csv": CSV, "b.csv": CSV})
    assert "expected exactly one data file in the archive, found 2: a.csv, b.csv" in refuses(two)
    assert "found none" in refuses(zipped(tmp_path / "none.zip", {}))


def test_corrupt_zip(write, refuses, tmp_path):
    whole = zipped(tmp_path / "t.zip", {"t.csv": os.urandom(50_000).hex()}).read_bytes()
    assert "is truncated or damaged" in refuses(write("cut.csv.zip", whole[:20_000]))
    assert "is truncated or damaged" in refuses(write("hit.csv.zip", whole[:1000] + b"\0" * 100 + whole[1100:]))
    # The flag of an encrypted member, in both of its headers.
    locked = bytearray(whole)
    locked[6] |= 1
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    assert "cannot be unpacked" in refuses(write("locked.csv.zip", bytes(locked)))


class Handler(QuietHandler):
    """Serves a folder; some paths misbehave."""

    def do_GET(self) -> None:  # noqa: N802, as http.server has it
        if self.path.startswith("/slow"):
            time.sleep(1)
        elif self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(CSV.encode())
        elif self.path.startswith("/garbage"):
            self.wfile.write(b"SSH-2.0-hello\r\n")
        else:
            super().do_GET()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site").mkdir()
    with web_site(tmp_path / "site", Handler) as address:
        yield address


def test_http(write, run, site):
    write("site/my table.csv", CSV)
    write("site/t.csv.gz", gzip.compress(CSV.encode()))
    assert run(f"{site}/{urllib.parse.quote('my table.csv')}?version=3").to_pylist() == ROWS
    assert run(f"{site}/t.csv.gz").to_pylist() == ROWS


def test_http_failures(refuses, site, monkeypatch):
    assert "answered 404" in refuses(f"{site}/nothing.csv")
    assert "broke off after 12 of 1,000 bytes" in refuses(f"{site}/short.csv")
    assert "what answers there does not speak HTTP ('SSH-2.0-hello')" in refuses(f"{site}/garbage.csv")
    monkeypatch.setattr("components.shared.sources.http.HTTP_SECONDS", 0.2)
    assert "no answer within 0.2 s" in refuses(f"{site}/slow.csv")


def test_a_port_that_there_is_not_is_no_other_port(refuses, site):
    """The system takes a port modulo 65,536, so that another server may answer."""
    address = urllib.parse.urlsplit(site)
    beyond = f"http://{address.hostname}:{address.port + 65_536}/no-such.csv"
    assert "could not be downloaded: Port out of range 0-65535" in refuses(beyond)


def test_nothing_listens(refuses):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert "nothing answers there (connection refused)" in refuses(f"http://127.0.0.1:{port}/t.csv")
    assert "could not be downloaded" in refuses("http://no-such-host.invalid/t.csv")


def test_s3(run, store: Store):
    for key in ("d/1.csv", "d/deep/2.csv", "d/_SUCCESS", "e.csv"):
        store.put_bytes(key, CSV.encode())
    assert run(store.uri("e.csv")).to_pylist() == ROWS
    assert run(store.uri("d/")).num_rows == 4
    assert run(store.uri("d")).num_rows == 4
    assert run(store.uri("**/*.csv")).num_rows == 6
    assert run(f"s3://{store.settings.bucket}").num_rows == 6


def test_s3_failures(refuses, store: Store, monkeypatch):
    store.put_bytes("data/flights.csv", CSV.encode())
    message = refuses(store.uri("data/flihgts.csv"))
    assert "there is no object" in message
    assert "Did you mean 'data/flights.csv'?" in message
    assert "no object matches" in refuses(store.uri("data/*.parquet"))
    assert "does not exist" in refuses("s3://bucket-that-is-not-there/t.csv")
    assert "expected an address like s3://bucket/key" in refuses("s3://").replace("Expected", "expected")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    assert "'stranger'" in refuses(store.uri("data/flights.csv"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "AWS_ENDPOINT_URL" in refuses(store.uri("data/flights.csv"))


def test_find_spec_knows_namespace_packages(write, run, tmp_path, monkeypatch):
    write("one/plain/x.txt", "")
    write("two/plain/t.csv", CSV)
    for root in ("one", "two"):
        monkeypatch.syspath_prepend(str(tmp_path / root))
    importlib.invalidate_caches()
    assert run("package://plain/t.csv").to_pylist() == ROWS
    assert importlib.util.find_spec("plain") is not None
