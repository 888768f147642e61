"""Stopping what runs have started, with a real store and a real server."""

import sys
from pathlib import Path

import psutil

from components.deploy.local_endpoint import LocalEndpoint
from components.deploy.server_state import ServerState
from components.shared.processes import ProcessId, spawn, write_private
from pipelines.local.services import stop_all
from pipelines.local.store import LocalStore


def serve(root: Path, name: str) -> ProcessId:
    """A process the state file of an endpoint remembers, as deploy writes it."""
    endpoint = LocalEndpoint(root / "build" / "local" / "serving", name)
    endpoint.folder.mkdir(parents=True)
    process = spawn([sys.executable, "-c", "import time; time.sleep(60)"], endpoint.log, environment={})
    state = ServerState(name=name, version="v", port=9, wanted_port=9, pid=process.pid, created=process.created)
    write_private(endpoint.state_file, state.model_dump())
    return process


def test_endpoints_go_first_then_the_store(tmp_path, s3_program):
    store = LocalStore(tmp_path, programs=(s3_program,))
    store.start()
    servers = [serve(tmp_path, name) for name in ("wine", "flights")]

    assert stop_all(tmp_path) == ["the endpoint of flights", "the endpoint of wine", "the object store"]

    assert [server.find() for server in servers] == [None, None]
    assert store.running() is None
    assert stop_all(tmp_path) == []


def test_a_number_that_belongs_to_another_program_by_now_is_left_alone(tmp_path):
    process = serve(tmp_path, "wine")
    file = LocalEndpoint(tmp_path / "build" / "local" / "serving", "wine").state_file
    state = ServerState.model_validate_json(file.read_bytes())
    write_private(file, state.model_copy(update={"created": state.created - 1000}).model_dump())
    try:
        assert stop_all(tmp_path) == []
        assert process.find() is not None
    finally:
        psutil.Process(process.pid).kill()


def test_where_nothing_ever_ran_nothing_is_written(tmp_path):
    assert stop_all(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
