import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.shared import processes
from components.shared.errors import StoreError
from components.shared.store import Store
from pipelines.local import store as local_store
from pipelines.local.store import LocalStore, settings_or_start


@pytest.fixture
def local(tmp_path, s3_program, monkeypatch) -> Iterator[LocalStore]:
    monkeypatch.delenv("FULLCIRCLE_BUCKET", raising=False)
    server = LocalStore(tmp_path, programs=(s3_program,))
    yield server
    if server.running():
        kill(server)
    server.stop()


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Puts shell scripts on an otherwise empty PATH, beside a Python that has no programs beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "bin" / "python"))

    def add(name: str, script: str) -> None:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)

    return add


def state(server: LocalStore) -> Any:
    return json.loads(server.state_file.read_text())


def kill(server: LocalStore) -> None:
    os.kill(state(server)["pid"], signal.SIGKILL)
    wait_until(lambda: server.running() is None)


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_start_use_stop(local):
    assert local.running() is None
    assert not local.stop()
    assert not local.folder.exists()

    settings = local.start()
    pid = state(local)["pid"]
    store = Store(settings)
    store.put_bytes("key", b"content")
    assert [found.key for found in store.list()] == ["key"]
    assert local.running() == settings
    assert local.start() == settings
    assert state(local)["pid"] == pid

    assert local.stop()
    assert not psutil.pid_exists(pid)
    assert local.running() is None
    assert not local.stop()
    assert list(local.folder.rglob("*.part")) == []
    ports = [*state(local)["internal_ports"], settings.endpoint.rpartition(":")[2]]
    assert [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")] == []


@pytest.mark.parametrize("again", ["start", "stop"])
def test_a_socket_of_another_store_that_has_one_of_its_ports_now_stays(local, tmp_path, again):
    local.start()
    local.stop()
    other = LocalStore(tmp_path / "other", programs=local.programs)
    store = Store(other.start())
    try:
        local.state_file.write_text(json.dumps(state(local) | {"internal_ports": state(other)["internal_ports"]}))
        getattr(local, again)()
        assert LocalStore(tmp_path / "other", programs=local.programs).start() == other.running()
        store.put_bytes("key", b"content")
    finally:
        other.stop()


def test_it_is_private(local):
    settings = local.start()
    assert settings.secret_key not in repr(settings)
    files = [path for path in local.folder.glob("**/*.json") if path.is_file()]
    holders = [path for path in files if settings.secret_key in path.read_text()]
    assert local.state_file in holders
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    server = psutil.Process(state(local)["pid"])
    assert not any(settings.secret_key in argument for argument in server.cmdline())
    listening = [one for one in server.connections("inet") if one.status == psutil.CONN_LISTEN]
    assert {one.laddr.ip for one in listening} <= {"127.0.0.1", "::1"}
    # Ctrl-C goes to the terminal's session.
    assert os.getsid(server.pid) == server.pid


def test_a_killed_server_starts_again_with_its_data(local):
    settings = local.start()
    Store(settings).put_bytes("key", b"content")
    kill(local)
    assert local.start() == settings
    assert Store(settings).get_bytes("key") == b"content"


def test_a_taken_port_is_left_to_its_owner(local):
    before = local.start()
    Store(before).put_bytes("key", b"content")
    kill(local)
    with socket.create_server(("127.0.0.1", int(before.endpoint.rpartition(":")[2]))):
        after = local.start()
    assert after.endpoint != before.endpoint
    assert (after.access_key, after.secret_key) == (before.access_key, before.secret_key)
    assert Store(after).get_bytes("key") == b"content"


def test_a_process_that_inherited_the_number_is_spared(local):
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            local.folder.mkdir(parents=True)
            left_over = {
                "program": "weed",
                "endpoint": "http://127.0.0.1:1",
                "access_key": "somebody",
                "secret_key": "very-secret",
                "internal_ports": [],
                "pid": other.pid,
                "created": psutil.Process(other.pid).create_time() - 100,
            }
            local.state_file.write_text(json.dumps(left_over))
            assert local.running() is None
            assert not local.stop()
            local.state_file.write_text(json.dumps(left_over))
            assert local.start().access_key == "somebody"
            assert state(local)["pid"] != other.pid
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("damage", ["", "[1]", "{}", '{"pid": 1}', "\x00"])
def test_a_damaged_state_is_replaced(local, damage):
    local.folder.mkdir(parents=True)
    local.state_file.write_text(damage)
    assert local.running() is None
    assert not local.stop()


def test_a_server_that_no_longer_answers_is_replaced(local, monkeypatch):
    monkeypatch.setattr(local_store, "_REUSE_SECONDS", 0.1)
    local.start()
    stuck = psutil.Process(state(local)["pid"])
    # Answers, but not to these keys: as good as dead.
    local.state_file.write_text(json.dumps({**state(local), "secret_key": "another-secret-key"}))
    Store(local.start()).put_bytes("key", b"content")
    assert not stuck.is_running()


def test_two_starts_at_once_make_one_server(tmp_path, s3_program, local):
    with ThreadPoolExecutor(2) as pool:
        stores = [LocalStore(tmp_path, programs=(s3_program,)) for _ in range(2)]
        first, second = pool.map(LocalStore.start, stores)
    assert first == second
    assert local.running() == first


def test_a_missing_program_is_named(tmp_path, programs):
    with pytest.raises(StoreError, match=r"needs the program minio or weed; found none on PATH.*pip install"):
        LocalStore(tmp_path).start()


def test_a_program_beside_python_is_found(tmp_path, programs):
    beside = tmp_path / "python" / "bin"
    beside.mkdir(parents=True)
    (beside / "weed").write_text("#!/bin/sh\nexit 1\n")
    (beside / "weed").chmod(0o755)
    assert local_store.find_program("weed") == beside / "weed"


def test_minio_is_preferred_unless_the_data_is_weeds(tmp_path, programs):
    for name in ("minio", "weed"):
        programs(name, f"#!/bin/sh\necho this is {name}\nexit 3\n")
    server = LocalStore(tmp_path)
    with pytest.raises(StoreError, match=r"(?s)bin/minio.*this is minio"):
        server.start()
    server.state_file.write_text(json.dumps({**state(server), "program": "weed"}))
    with pytest.raises(StoreError, match=r"(?s)bin/weed.*this is weed"):
        server.start()


def test_a_program_that_cannot_run_is_named(tmp_path, programs):
    programs("weed", "\x7fELF not really")
    with pytest.raises(StoreError, match=r"Could not run .*weed: .*Reinstall"):
        LocalStore(tmp_path).start()


def test_a_program_that_ends_shows_its_last_words(tmp_path, programs):
    programs("weed", "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9; do echo line $n; done; echo no space left >&2; exit 1\n")
    server = LocalStore(tmp_path)
    with pytest.raises(StoreError, match=r"(?s)it ended by itself.*store.log.*line 9\n  no space left$") as caught:
        server.start()
    assert "line 2" not in str(caught.value)
    assert server.running() is None


def test_a_program_that_does_not_serve_is_ended(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(local_store, "_START_SECONDS", 0.5)
    monkeypatch.setattr(local_store, "_STOP_SECONDS", 0.3)
    programs(
        "weed", f"#!{shutil.which('sh', path=os.defpath)}\ntrap '' TERM\necho $$\nwhile :; do /bin/sleep 0.05; done\n"
    )
    server = LocalStore(tmp_path)
    with pytest.raises(StoreError, match=r"did not come up at http://127.0.0.1:.*still: .*nothing answers there"):
        server.start()
    assert not psutil.pid_exists(int(server.log.read_text().split()[0]))


def test_an_interrupted_start_leaves_nothing_running(tmp_path, programs):
    programs("weed", "#!/bin/sh\nexec /bin/sleep 60\n")
    server = LocalStore(tmp_path)
    # Where the tests run in the background, SIGINT is ignored from the start.
    code = f"""
import signal
from pathlib import Path
from pipelines.local.store import LocalStore
signal.signal(signal.SIGINT, signal.default_int_handler)
LocalStore(Path({str(tmp_path)!r})).start()
"""
    python = os.path.realpath("/proc/self/exe")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([python, "-c", code], env=environment, stderr=subprocess.PIPE) as starter:
        wait_until(lambda: server.running() is not None, seconds=20)
        pid = state(server)["pid"]
        starter.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in starter.communicate()[1]
    assert not psutil.pid_exists(pid)
    assert server.running() is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "build").write_text("in the way")
    with pytest.raises(StoreError, match=r"Could not write the local object store's files in .*build/local"):
        LocalStore(tmp_path).start()


def test_a_log_does_not_grow_for_ever(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(processes, "_LOG_BYTES", 1000)
    programs("weed", "#!/bin/sh\necho started\n")
    server = LocalStore(tmp_path)
    server.folder.mkdir(parents=True)
    server.log.write_text("x" * 2000)
    with pytest.raises(StoreError):
        server.start()
    assert set(server.log.read_text().split()) == {"started"}


def test_without_an_endpoint_the_local_store_is_started(tmp_path, local, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("FULLCIRCLE_BUCKET", "of-my-own")
    monkeypatch.setattr(local_store, "PROGRAMS", local.programs)
    settings = settings_or_start(tmp_path)
    assert settings.bucket == "of-my-own"
    assert LocalStore(tmp_path).running() == settings


def test_a_given_endpoint_is_used_as_it_is(tmp_path, store, monkeypatch):
    monkeypatch.setenv("FULLCIRCLE_BUCKET", f"{store.settings.bucket}-new")
    settings = settings_or_start(tmp_path)
    assert settings.endpoint == store.settings.endpoint
    assert Store(settings).list() == []
    assert list(tmp_path.iterdir()) == []


def test_a_given_endpoint_that_does_not_answer_is_an_error(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    for name, value in {"ENDPOINT_URL": endpoint, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(StoreError, match=f"{endpoint}: nothing answers there"):
        settings_or_start(tmp_path)
    assert list(tmp_path.iterdir()) == []
