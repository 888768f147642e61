import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from components.shared.errors import StoreError
from components.shared.store import Store, StoreSettings, parse_s3_uri
from tests.helpers import put_folder

KEYS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "very-secret",
}


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Store]:
    """A store whose server gives one answer to every request, for what a healthy server cannot be made to say."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            answer(self)

        do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            yield Store(StoreSettings(address, "somebody", "very-secret"), read_timeout=0.3, retries=0)
        finally:
            server.shutdown()
            thread.join()


def respond(status: int, body: bytes = b"", kind: str = "application/xml", length: int | None = None):
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.send_header("ETag", '"abc"')
        request.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    return answer


def refuse(status: int, code: str, message: str = "no"):
    return respond(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


# Settings


def test_settings_come_from_the_environment():
    settings = StoreSettings.from_environment(KEYS)
    assert settings == StoreSettings("http://127.0.0.1:9000", "somebody", "very-secret", "fullcircle", "us-east-1")
    assert "very-secret" not in repr(settings)


@pytest.mark.parametrize("more", [{}, {"AWS_CA_BUNDLE": "/certificates.pem", "AWS_SESSION_TOKEN": "token"}])
def test_settings_survive_the_environment(more):
    settings = StoreSettings.from_environment({**KEYS, "FULLCIRCLE_BUCKET": "other", "AWS_REGION": "mars-1", **more})
    assert (settings.bucket, settings.region) == ("other", "mars-1")
    assert StoreSettings.from_environment(settings.environment()) == settings


def test_missing_settings_are_named():
    with pytest.raises(StoreError, match=r"found no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"):
        StoreSettings.from_environment({"AWS_ENDPOINT_URL": "http://here:1", "AWS_ACCESS_KEY_ID": ""})


@pytest.mark.parametrize(
    "url", ["localhost:9000", "ftp://here", "http://", "http://here:port", "http://here/path", "http://here:99999"]
)
def test_an_endpoint_that_is_no_url_is_refused(url):
    with pytest.raises(StoreError, match=r"AWS_ENDPOINT_URL: expected http://host:port"):
        StoreSettings.from_environment({**KEYS, "AWS_ENDPOINT_URL": url})


def test_a_task_on_a_cluster_is_told_where_settings_come_from_there():
    with pytest.raises(
        StoreError, match=r"found no AWS_SECRET_ACCESS_KEY\. .*\(fullcircle-store\).*\(fullcircle-stages\)"
    ):
        StoreSettings.from_environment({**KEYS, "AWS_SECRET_ACCESS_KEY": "", "KUBERNETES_SERVICE_HOST": "10.96.0.1"})


def test_connect_uses_the_environment(store):
    assert Store.connect().settings == store.settings


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_an_address_is_split_into_what_it_was_made_of(key):
    store = Store(StoreSettings.from_environment(KEYS))
    assert parse_s3_uri(store.uri(key)) == ("fullcircle", key)


@pytest.mark.parametrize("uri", ["", "s3:/bucket/key", "s3://", "s3:///key", "https://bucket/key", "bucket/key"])
def test_another_address_is_refused(uri):
    with pytest.raises(StoreError, match=r"s3://bucket/key"):
        parse_s3_uri(uri)


# Objects


def test_bytes_round_trip(store):
    store.put_bytes("a/b.json", b'{"a": 1}')
    assert store.get_bytes("a/b.json") == b'{"a": 1}'
    assert store.exists("a/b.json")
    store.delete("a/b.json")
    assert not store.exists("a/b.json")
    store.delete("a/b.json")


def test_keys_may_hold_any_character(store, tmp_path):
    keys = sorted(["day=2013-01-01/hour=5/x.parquet", "größe & more/100% +1#?.txt", "no_suffix", "a/ b"])
    for key in keys:
        assert store.create(key, b"first")
        store.put_bytes(key, key.encode())
        store.get_file(key, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == key.encode()
    assert [found.key for found in store.list()] == keys


def test_large_files_round_trip(store, tmp_path):
    content = os.urandom(6_000_000)  # two parts
    (tmp_path / "large").write_bytes(content)
    store.put_file("models/large", tmp_path / "large")
    assert store.list("models/")[0].size == len(content)
    store.get_file("models/large", tmp_path / "deep" / "copy")
    assert (tmp_path / "deep" / "copy").read_bytes() == content


def test_listing_gives_all_below_a_prefix(store):
    for key in ("v1/b", "v1/a", "v10/a", "w"):
        store.put_bytes(key, key.encode())
    assert [found.key for found in store.list()] == ["v1/a", "v1/b", "v10/a", "w"]
    assert [found.key for found in store.list("v1/")] == ["v1/a", "v1/b"]
    assert store.list("nothing") == []
    found = store.list("w")[0]
    assert (found.size, found.etag) == (1, store.read_with_etag("w")[1])
    assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=1)


PATTERNS = {
    "data/*.csv": ["data/a.csv", "data/b.csv"],
    "data/[ac].csv": ["data/a.csv"],
    "data/?.*": ["data/a.csv", "data/b.csv", "data/c.json"],
    "*/*.csv": ["data/a.csv", "data/b.csv"],
    "**/*.csv": ["data/a.csv", "data/b.csv", "data/old/a.csv", "top.csv"],
    "data/**": ["data/a.csv", "data/b.csv", "data/c.json", "data/old/a.csv"],
    "data/a.csv": ["data/a.csv"],
    "data": [],
}


def test_folders_are_listed_without_what_is_in_them(store):
    for key in ("log/a/1", "log/a/2/3", "log/b c/1", "log/file", "logs/d/1"):
        store.put_bytes(key, b"")
    assert store.folders("log/") == ["a", "b c"]
    assert store.folders("log/a/") == ["2"]
    assert store.folders("none/") == []
    assert store.folders() == ["log", "logs"]


def test_a_listing_may_begin_later(store):
    for key in ("log/1/a", "log/2/a", "log/2/b", "log/3/a"):
        store.put_bytes(key, b"")
    found = [item.key for item in store.list("log/", start_after="log/2/a")]
    assert found == ["log/2/b", "log/3/a"]


def test_many_are_deleted_at_once_and_absent_ones_are_no_error(store):
    keys = [f"log/{number}" for number in range(5)]
    for key in [*keys, "kept"]:
        store.put_bytes(key, b"")
    store.delete_many([*keys, "absent"])
    store.delete_many([])
    assert [item.key for item in store.list()] == ["kept"]


def test_patterns_select_keys(store):
    for key in ("data/a.csv", "data/b.csv", "data/c.json", "data/old/a.csv", "top.csv"):
        store.put_bytes(key, b"")
    assert {pattern: [found.key for found in store.glob(pattern)] for pattern in PATTERNS} == PATTERNS


def test_another_bucket_of_the_same_store(store):
    other = store.for_bucket(f"{store.settings.bucket}-other")
    other.ensure_bucket()
    other.put_bytes("key", b"there")
    assert store.list() == []
    assert other.get_bytes("key") == b"there"
    assert other.uri("key") == f"s3://{store.settings.bucket}-other/key"


def test_ensuring_a_bucket_twice_keeps_it(store):
    store.put_bytes("key", b"kept")
    store.ensure_bucket()
    assert store.get_bytes("key") == b"kept"


def test_a_bucket_made_by_several_at_once(s3, store):
    buckets = [store.for_bucket(f"{store.settings.bucket}-race") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Store.ensure_bucket, buckets))
    assert buckets[0].list() == []


# Conditional writes


def test_create_writes_once(store):
    assert store.create("champion.json", b"first")
    assert not store.create("champion.json", b"second")
    assert store.get_bytes("champion.json") == b"first"


def test_replace_wants_the_current_etag(store):
    assert store.read_with_etag("champion.json") is None
    store.create("champion.json", b"first")
    content, etag = store.read_with_etag("champion.json")
    assert content == b"first"
    assert store.replace("champion.json", b"second", etag)
    assert not store.replace("champion.json", b"third", etag)
    assert store.get_bytes("champion.json") == b"second"


def test_replace_does_not_create(store):
    assert not store.replace("champion.json", b"content", "d41d8cd98f00b204e9800998ecf8427e")
    assert not store.exists("champion.json")


def _race(write: Callable[[bytes], bool], *, label: str = "", contenders: int = 2) -> list[bytes]:
    barrier = threading.Barrier(contenders)

    def contend(number: int) -> tuple[bool, bytes]:
        content = f"{label} writer {number}".encode()
        barrier.wait()
        return write(content), content

    with ThreadPoolExecutor(contenders) as pool:
        return [content for won, content in pool.map(contend, range(contenders)) if won]


def test_of_several_creators_exactly_one_wins(store):
    for attempt in range(3):
        key = f"key-{attempt}"
        winners = _race(partial(store.create, key))
        assert winners == [store.get_bytes(key)]


def test_of_several_replacers_exactly_one_wins(store):
    store.create("champion.json", b"start")
    for attempt in range(3):
        etag = store.read_with_etag("champion.json")[1]
        winners = _race(partial(store.replace, "champion.json", etag=etag), label=f"round {attempt}")
        assert winners == [store.get_bytes("champion.json")]


# Folders


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "deep").mkdir(parents=True)
    # Its name and its age would put the manifest first.
    for name in ("manifest.json", "model.onnx", "schema.json", "zebra.txt", "deep/golden.json"):
        (folder / name).write_text(name)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("prefix", ["models/v1", "models/v1/", ""])
def test_folders_round_trip(store, tmp_path, package, prefix):
    put_folder(store, prefix, package)
    store.get_folder(prefix, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(package)


def test_a_folder_takes_no_neighbours_along(store, tmp_path, package):
    put_folder(store, "v1", package)
    store.put_bytes("v10/manifest.json", b"")
    store.get_folder("v1", tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(package)


def test_a_missing_folder_says_so(store, tmp_path):
    with pytest.raises(StoreError, match=r"Expected objects below s3://.*/v1/, found none"):
        store.get_folder("v1", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_overwritten(store, tmp_path, package):
    put_folder(store, "v1", package)
    (tmp_path / "copy").mkdir()
    store.get_folder("v1", tmp_path / "copy")
    with pytest.raises(StoreError, match=r"new or empty folder"):
        store.get_folder("v1", tmp_path / "copy")


def test_keys_cannot_leave_the_folder(tmp_path):
    listing = (
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>false'
        b"</IsTruncated><Contents><Key>v1/../../evil</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    with answering(respond(200, listing)) as store, pytest.raises(StoreError, match=r"plain file names"):
        store.get_folder("v1", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


# Failures


def test_a_missing_object_leaves_nothing_behind(store, tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(StoreError, match=r"Could not download s3://.*/nothing at http://.*: there is no such object"):
        store.get_file("nothing", tmp_path / "file")
    with pytest.raises(StoreError, match=r"no such object"):
        store.get_bytes("nothing")
    assert contents(tmp_path) == {"file": "before"}


def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path):
    with answering(respond(200, b"half", "text/plain", length=8)) as store:
        with pytest.raises(StoreError, match=r"the connection broke off"):
            store.get_file("key", tmp_path / "file")
        with pytest.raises(StoreError, match=r"the connection broke off"):
            store.get_bytes("key")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(store, tmp_path):
    with pytest.raises(StoreError, match=r"No such file or directory \(.*absent"):
        store.put_file("key", tmp_path / "absent")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_here_is_named(store, tmp_path, monkeypatch):
    (tmp_path / "partial").symlink_to("/dev/full")
    monkeypatch.setattr("components.shared.files._partial", lambda path: tmp_path / "partial")
    store.put_bytes("key", b"x" * 10_000)
    with pytest.raises(StoreError, match=r"No space left on device .while writing.; free some space on this machine"):
        store.get_file("key", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.put_bytes("key", b""),
        lambda store: store.get_bytes("key"),
        lambda store: store.list(),
        lambda store: store.create("key", b""),
        lambda store: store.read_with_etag("key"),
        lambda store: store.delete("key"),
    ],
)
def test_a_missing_bucket_is_named(s3, act):
    with pytest.raises(StoreError, match=r"the bucket 'not-there' does not exist.*FULLCIRCLE_BUCKET"):
        act(Store(s3).for_bucket("not-there"))


@pytest.mark.parametrize("act", [lambda store: store.ensure_bucket(), lambda store: store.put_bytes("k", b"")])
@pytest.mark.parametrize("bucket", ["x", "Not_A_Bucket", "a/b"])
def test_an_impossible_bucket_name_is_refused(s3, act, bucket):
    with pytest.raises(StoreError, match=r"not a valid"):
        act(Store(s3).for_bucket(bucket))


def test_an_empty_key_is_refused(s3):
    with pytest.raises(StoreError, match=r"not a valid name"):
        Store(s3).put_bytes("", b"")


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.ensure_bucket(),
        lambda store: store.get_bytes("key"),
        lambda store: store.create("key", b""),
    ],
)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"access_key": "nobody"}, "does not know the access key 'nobody': check AWS_ACCESS_KEY_ID"),
        ({"secret_key": "wrong-secret"}, "check AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_wrong_keys_are_told_apart(s3, act, wrong, message):
    with pytest.raises(StoreError, match=message) as caught:
        act(Store(replace(s3, **wrong)))
    assert "wrong-secret" not in str(caught.value)


def test_wrong_keys_do_not_look_like_absence(s3):
    with pytest.raises(StoreError, match=r"unknown, or not allowed"):
        Store(replace(s3, access_key="nobody")).exists("key")


def test_a_denied_bucket_is_named():
    with answering(refuse(403, "AccessDenied")) as store:
        with pytest.raises(
            StoreError, match=r"Could not open s3://fullcircle/ .*'somebody' is unknown, or not allowed"
        ):
            store.ensure_bucket()
        with pytest.raises(StoreError, match=r"Could not write s3://fullcircle/key .* grant it the permission"):
            store.create("key", b"")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refuse(507, "XMinioStorageFull"), "disk is full"),
        (refuse(500, "InternalError", "cause(no space left on device)"), "disk is full: free some space"),
        (refuse(500, "InternalError", "We failed."), r"the store failed \(We failed\): .* whether its disk is full"),
        (respond(507, b"full", "text/plain"), "disk is full"),
        (respond(503, b"<html>", "text/html"), "failed with HTTP status 503"),
        (respond(404, b"<html>", "text/html"), "not an S3 server .HTTP status 404."),
        (refuse(403, "RequestTimeTooSkewed"), "clocks"),
        (refuse(409, "OperationAborted", "busy."), "the store refused: OperationAborted, busy"),
    ],
)
def test_what_the_server_says_is_put_in_the_users_words(answer, message):
    with answering(answer) as store:
        for act in (lambda: store.put_bytes("key", b""), lambda: store.create("key", b"")):
            with pytest.raises(StoreError, match=message):
                act()


def test_a_failing_server_is_not_absence():
    with answering(respond(503)) as store, pytest.raises(StoreError, match=r"HTTP status 503"):
        store.exists("key")


def test_a_web_server_is_not_a_store():
    page = respond(200, b"<html><br></html>", "text/html")
    with answering(page) as store, pytest.raises(StoreError, match=r"not an S3 server"):
        store.list()


@pytest.mark.parametrize("cut", [b"", b"<?xml version='1.0'?><ListBucketResult><Name>fullcircle</Name><Conte"])
def test_a_listing_that_was_cut_short_is_asked_for_again(cut):
    whole = b"<ListBucketResult><Name>fullcircle</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
    answers = iter([cut, whole, cut, cut])

    def answer(request: BaseHTTPRequestHandler) -> None:
        respond(200, next(answers), "application/xml")(request)

    with answering(answer) as quick:
        store = Store(quick.settings, retries=1)
        assert store.list() == []
        with pytest.raises(StoreError, match=r"its answer was cut short; check that the server is running"):
            store.folders()


def test_a_failed_conditional_write_is_not_sent_twice():
    requests = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        refuse(500, "InternalError")(request)

    with answering(answer) as quick:
        store = Store(quick.settings, retries=3)
        with pytest.raises(StoreError):
            store.create("key", b"")
    assert requests[0] == "PUT"
    assert set(requests[1:]) == {"GET"}  # it could not be told whether it was done


def test_a_refused_connection_is_quick_and_clear():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = time.monotonic()
    store = Store(StoreSettings(f"http://127.0.0.1:{port}", "somebody", "secret"))
    for act in (store.ensure_bucket, lambda: store.create("key", b"")):
        with pytest.raises(
            StoreError, match=f"127.0.0.1:{port}: nothing answers there .Connection refused.; check that"
        ):
            act()
    assert time.monotonic() - started < 5


def test_a_silent_endpoint_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = StoreSettings(f"http://127.0.0.1:{server.getsockname()[1]}", "somebody", "secret")
        with pytest.raises(StoreError, match=r"no answer in time; check that the server is running"):
            Store(settings, read_timeout=0.2, retries=0).list()


def test_an_unknown_host_is_named():
    settings = StoreSettings("http://no-such-host.invalid:9000", "somebody", "secret")
    with pytest.raises(StoreError, match=r"no-such-host.invalid:9000: the host name is not known"):
        Store(settings, retries=0).list()


def test_https_to_an_http_server_is_explained(s3):
    settings = replace(s3, endpoint=s3.endpoint.replace("http:", "https:"))
    with pytest.raises(StoreError, match=r"no secure connection .*check https or http"):
        Store(settings, retries=0).list()


@pytest.mark.parametrize("done", [True, False])
def test_a_conditional_write_whose_answer_is_lost_is_looked_up(store, monkeypatch, done):
    """Written or not, the caller learns what is true: it counts as its own only if these bytes are there."""
    put_if, lost = Store._put_if, iter([True])

    def put(self: Store, key: str, data: bytes, *, condition: dict[str, str]) -> bool:
        if not next(lost, False):
            return put_if(self, key, data, condition=condition)
        if done:
            put_if(self, key, data, condition=condition)
        raise StoreError("lost") from urllib3.exceptions.ProtocolError("Connection reset")

    monkeypatch.setattr(Store, "_put_if", put)
    assert store.create("entry", b"mine")
    lost = iter([True])
    assert not store.create("entry", b"another's")
    assert store.get_bytes("entry") == b"mine"
    lost = iter([True])
    _, etag = store.read_with_etag("entry")
    assert store.replace("entry", b"newer", etag)
    lost = iter([True])
    assert not store.replace("entry", b"newest", etag)
    assert store.get_bytes("entry") == b"newer"
