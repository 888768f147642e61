"""In the order in which a machine lives: each test begins with what the one before left serving."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from kfp import dsl

from components.deploy.component import deploy
from components.deploy.deploy import FOLDER_VARIABLE, deploy_version
from components.deploy.fetching import fetch
from components.deploy.local_endpoint import LocalEndpoint
from components.deploy.replay import ask, replay_golden
from components.deploy.server_state import ServerState
from components.shared.config import ServingConfig
from components.shared.errors import DeployError, PackageError, StoreError
from components.shared.package.model_package import GOLDEN, MANIFEST, read_golden, version_prefix
from components.shared.processes import free_port, write_private
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.deploy.conftest import NAME, Site
from tests.deployments import asking, write_verdict

pytestmark = pytest.mark.slow


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def servers(site: Site) -> list[int]:
    """Every model server of this machine's folder, whether remembered or not."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        arguments = process.info["cmdline"] or []
        if "images.predictor" in arguments and any(str(site.folder) in argument for argument in arguments):
            found.append(process.pid)
    return found


def assert_serves(site: Site, version: str, *, rows: int = 1000) -> None:
    """A version answers at the stable port, alone, and is the champion."""
    state = site.endpoint.running()
    assert state is not None
    assert (state.version, state.port) == (version, site.port)
    assert replay_golden(state.url, site.endpoint.versions / version, version=version, rows=rows) == []
    assert servers(site) == [state.pid]
    assert site.champion() == version
    assert not site.endpoint.candidate_file.exists()


def test_a_first_version_that_fails_leaves_nothing(site):
    broken = site.add(0, broken=GOLDEN)
    with pytest.raises(DeployError) as caught:
        site.deploy(broken)
    message = str(caught.value)
    assert f"Version {broken} of '{NAME}' ended while starting. The end of {site.endpoint.log}:" in message
    assert "answers 1 of 5 golden requests wrongly: request 0: expected" in message
    assert "Traceback" not in message
    assert site.champion() is None
    assert servers(site) == []
    assert site.endpoint.running() is None


def test_a_server_that_is_not_ready_in_time_is_ended(site):
    version = site.add(1)
    with pytest.raises(DeployError, match=r"was not ready within 0\.2 s"):
        site.deploy(version, ServingConfig(port=site.port, start_seconds=0.2))
    assert servers(site) == []
    assert site.champion() is None


def test_a_first_version_serves_where_another_program_does_not(site):
    """A state file of a server that has ended, whose number and port others have now."""
    version = site.add(1)
    stale = ServerState(name=NAME, version=version, port=site.port, wanted_port=site.port, pid=os.getpid(), created=1.0)
    site.endpoint.state_file.write_text(stale.model_dump_json())
    with socket.create_server(("127.0.0.1", site.port)):
        deployed = site.deploy(version)
    assert deployed.url == f"http://127.0.0.1:{free_port(site.port) + 1}/v1/models/{NAME}:predict"
    assert deployed.message == f"{version} answers at {deployed.url} (5 golden requests replayed), now the champion"
    assert deployed.restarted
    assert not deployed.replaced
    row = read_golden(site.package)[0]
    assert ask(deployed.url, [row.row]) == {"predictions": [row.answer], "model_version": version}
    assert site.endpoint.stop()
    assert not site.endpoint.stop()
    assert servers(site) == []
    with pytest.raises(DeployError, match="does not answer"):
        ask(deployed.url, [row.row])


def test_a_damaged_state_is_no_hindrance_and_the_same_version_again_changes_nothing(site):
    version = site.add(1)
    site.endpoint.state_file.write_text('{"version": 1')
    start = time.monotonic()
    deployed = site.deploy(version)
    print(f"first version deployed after {time.monotonic() - start:.2f} s")
    assert_serves(site, version)
    pid = site.pid()
    again = site.deploy(version)
    assert again.model_dump() == {**deployed.model_dump(), "restarted": False, "seconds": 0.0, "promoted": False}
    assert f"{version} answers already at {deployed.url}" in again.message
    assert site.pid() == pid


def test_the_server_knows_the_stores_keys_and_answers_this_machine_only(site):
    process = psutil.Process(site.pid())
    known = process.environ()
    assert not [name for name in known if name.startswith("_KFP")]
    settings = site.store.settings.environment()
    assert {name: known.get(name) for name in settings} == settings
    assert not [argument for argument in process.cmdline() if site.store.settings.secret_key in argument]
    assert site.store.settings.secret_key not in site.endpoint.state_file.read_text()
    listening = [one for one in process.connections("inet") if one.status == psutil.CONN_LISTEN]
    assert {one.laddr for one in listening} == {("127.0.0.1", site.port)}
    assert os.getsid(process.pid) == process.pid
    assert {path.name: path.stat().st_mode & 0o777 for path in (site.endpoint.state_file, site.endpoint.log)} == {
        "server.json": 0o600,
        "server.log": 0o600,
    }


@pytest.mark.parametrize("broken", [GOLDEN, "model.onnx"])
def test_a_broken_version_leaves_the_one_before_serving(site, broken):
    before, pid = site.add(1), site.pid()
    with pytest.raises(
        DeployError, match=r"ended while starting(.|\n)*(golden requests wrongly|cannot be loaded as an ONNX)"
    ):
        site.deploy(site.add(2, broken=broken))
    assert_serves(site, before)
    assert site.pid() == pid


def test_a_package_altered_in_the_store_is_refused(site):
    before, version = site.add(1), site.add(3)
    site.store.put_bytes(version_prefix(NAME, version) + "model.onnx", b"other")
    with pytest.raises(PackageError, match="model.onnx is not the file the manifest lists"):
        site.deploy(version)
    site.store.put_bytes(version_prefix(NAME, version) + "model.pkl", b"other")
    with pytest.raises(PackageError, match=r"holds model\.pkl, which its manifest does not list"):
        site.deploy(version)
    site.store.delete(version_prefix(NAME, version) + MANIFEST)
    with pytest.raises(PackageError, match=r"incomplete|has no manifest\.json"):
        site.deploy(version)
    assert_serves(site, before)
    assert version not in {path.name for path in site.endpoint.versions.iterdir()}


def test_a_version_that_is_not_there(site):
    before = site.add(1)
    with pytest.raises(StoreError, match="found none"):
        site.deploy("0123456789ab")
    assert_serves(site, before)


def test_a_stopped_deployment_leaves_the_one_before_serving(site):
    before, version = site.add(1), site.add(4)
    with deploying(site, version) as program:
        wait_until(site.endpoint.candidate_file.exists)
        program.send_signal(signal.SIGTERM)
        assert program.wait(20) == 128 + signal.SIGTERM
    assert_serves(site, before)


def test_what_a_killed_deployment_left_running_is_ended(site):
    before, version = site.add(1), site.add(4)
    with deploying(site, version) as program:
        wait_until(site.endpoint.candidate_file.exists)
        program.kill()
    assert len(servers(site)) == 2
    assert not site.deploy(before).restarted
    assert_serves(site, before)


def deploying(site: Site, version: str) -> subprocess.Popen[bytes]:
    """The stage as a process of its own."""
    code = (
        "from components.deploy.deploy import deploy_version; from components.shared.config import ServingConfig; "
        f"from pathlib import Path; deploy_version({NAME!r}, {version!r}, ServingConfig(port={site.port}), "
        f"verdict=Path({str(site.verdict(version))!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def test_a_second_version_takes_the_place_of_the_first(site, tmp_path, capsys):
    before, version = site.add(1), site.add(5)
    answer, page = tmp_path / "endpoint.json", tmp_path / "page.html"
    serving = site.serving.model_dump_json()
    artifacts = {"endpoint": dsl.Artifact(uri=str(answer)), "deploy_page": dsl.HTML(uri=str(page))}
    artifacts["verdict"] = dsl.Artifact(uri=str(site.verdict(version)))
    served = deploy.python_func(name=NAME, serving=serving, version=version, **artifacts)
    assert served == version
    assert_serves(site, version)
    found = json.loads(answer.read_bytes())
    assert (found["version"], found["replaced"], found["golden_requests"]) == (version, before, 5)
    assert found["url"] == f"http://127.0.0.1:{site.port}/v1/models/{NAME}:predict"
    assert f"<h1>Deployment of {NAME}</h1>" in page.read_text()
    assert capsys.readouterr().out.startswith(f"▸ {version} instead of {before} answers at {found['url']}")
    # The one before can be put back without the store; older ones are gone.
    assert {path.name for path in site.endpoint.versions.iterdir()} == {before, version}


def test_a_version_takes_over_while_clients_ask(site):
    """Clients that ask all the time, over connections they keep or not: none is refused, none fails."""
    before, version = site.add(5), site.add(6)
    row = read_golden(site.package)[0].row
    with asking("127.0.0.1", site.port, NAME, row, pause=0.003) as found:
        answers = found.seen
        wait_until(lambda: len(answers) > 50)
        deployed = site.deploy(version)
        count = len(answers)
        wait_until(lambda: len(answers) > count + 100)
    assert deployed.replaced == before
    assert_serves(site, version)
    assert set(answers) == {before, version}
    last_before = max(place for place, answer in enumerate(answers) if answer == before)
    first_after = answers.index(version)
    assert answers[0] == before
    assert answers[-1] == version
    print(f"both versions answered between request {first_after} and {last_before} of {len(answers)}")
    assert json.loads(site.endpoint.log.read_text().splitlines()[-1])["message"] == f"answering at port {site.port} now"


def test_other_settings_replace_the_server_of_the_same_version(site):
    version, pid = site.add(6), site.pid()
    deployed = site.deploy(version, site.serving.model_copy(update={"rows": 3}))
    assert deployed.restarted
    assert not deployed.replaced
    assert site.pid() != pid
    assert_serves(site, version, rows=3)
    row = read_golden(site.package)[0].row
    with pytest.raises(DeployError, match="answered 413: .*4 rows; at most 3 are allowed"):
        ask(deployed.url, [row] * 4)
    assert site.deploy(version).restarted
    assert len(ask(deployed.url, [row] * 4)["predictions"]) == 4


def test_other_keys_of_the_store_replace_the_server_of_the_same_version(site, monkeypatch):
    version, pid = site.add(6), site.pid()
    with monkeypatch.context() as patched:
        patched.setenv("AWS_CA_BUNDLE", "")
        assert site.deploy(version).restarted
    assert site.pid() != pid
    assert site.deploy(version).restarted
    assert_serves(site, version)


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_candidate_that_is_killed_leaves_the_one_before_serving(site, monkeypatch, moment):
    before, pid, version = site.add(6), site.pid(), site.add(7)
    take_over = LocalEndpoint._take_over

    def kill_and_go_on(candidate: ServerState, serving: ServingConfig) -> None:
        process = candidate.process()
        assert process is not None
        if moment == "before":
            process.kill()
            process.wait(10)
        else:
            process.suspend()  # it does not heed the signal
            threading.Timer(0.3, process.kill).start()
        take_over(candidate, serving)

    monkeypatch.setattr(LocalEndpoint, "_take_over", staticmethod(kill_and_go_on))
    with pytest.raises(DeployError, match=f"{version} of '{NAME}' was proven, but does not take over port {site.port}"):
        site.deploy(version)
    assert_serves(site, before)
    assert site.pid() == pid


def test_a_candidate_that_does_not_take_over_in_time_is_ended(site, monkeypatch):
    before, version = site.add(6), site.add(7)
    take_over = LocalEndpoint._take_over

    def deaf(candidate: ServerState, serving: ServingConfig) -> None:
        process = candidate.process()
        assert process is not None
        process.suspend()
        threading.Timer(0.5, process.resume).start()  # too late
        take_over(candidate, serving.model_copy(update={"start_seconds": 0.2}))

    monkeypatch.setattr(LocalEndpoint, "_take_over", staticmethod(deaf))
    with pytest.raises(DeployError, match="does not take over port"):
        site.deploy(version)
    assert_serves(site, before)


@pytest.mark.parametrize("file", ["leaving_file", "next_file"])
def test_a_disk_that_is_full_at_the_last_moment_leaves_the_one_before_serving(site, monkeypatch, file):
    before, version = site.add(6), site.add(7)
    path = getattr(site.endpoint, file)

    def write(target: Path, content: object) -> None:
        if target == path:
            raise OSError("No space left on device")
        write_private(target, content)

    monkeypatch.setattr("components.deploy.local_endpoint.write_private", write)
    with pytest.raises(OSError, match="No space left"):
        site.deploy(version)
    monkeypatch.undo()
    assert_serves(site, before)


class KilledError(BaseException):
    """As if by SIGKILL: what raises it makes sure that nothing is tidied up."""


@pytest.mark.parametrize("promoted", [False, True])
def test_a_deployment_killed_while_the_servers_change_places_leaves_no_third(site, monkeypatch, promoted):
    """Killed before or behind its last act, while both answer: the next deployment keeps the champion's server."""
    before, version = site.add(6), site.add(7)
    history = Registry(site.store, NAME).history()

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(LocalEndpoint, "_discard", lambda *_: None)
        if promoted:
            patched.setattr(LocalEndpoint, "_remember_next", killed)
        else:
            patched.setattr("components.deploy.promotion.Promotion.complete", killed)
        with pytest.raises(KilledError):
            site.deploy(version)
    assert len(servers(site)) == 2
    assert site.champion() == (version if promoted else before)
    state = site.endpoint.running()
    assert state is not None
    assert state.version == before
    # Another one that fails: what serves then is the champion, and nothing else.
    with pytest.raises(DeployError, match="golden requests wrongly"):
        site.deploy(site.add(8, broken=GOLDEN))
    assert_serves(site, version if promoted else before)
    assert not site.endpoint.leaving_file.exists()
    assert not site.deploy(version if promoted else before).restarted
    assert Registry(site.store, NAME).history()[: len(history)] == history
    site.deploy(before)


def test_a_server_whose_deployment_was_killed_at_once_is_ended(site, monkeypatch):
    """Nobody had written down yet that it was started."""
    before = site.add(6)

    def killed(target: Path, content: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("components.deploy.local_endpoint.write_private", killed)
        patched.setattr("components.deploy.local_endpoint.end_server", lambda *_: None)
        with pytest.raises(KilledError):
            site.deploy(site.add(7))
    assert len(servers(site)) == 2
    assert not site.deploy(before).restarted
    assert_serves(site, before)


def test_a_store_that_goes_away_at_the_last_act_leaves_the_one_before(site, monkeypatch):
    before, pid = site.add(6), site.pid()

    def away(*_: object, **__: object) -> bool:
        raise StoreError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "create", away)
        with pytest.raises(StoreError, match="the store is away"):
            site.deploy(site.add(7))
    assert_serves(site, before)
    assert site.pid() == pid


def test_a_run_that_was_overtaken_changes_nothing(site):
    """Another run has promoted since the gate compared: told before anything is started."""
    before, pid, version = site.add(6), site.pid(), site.add(7)
    verdict = write_verdict(site.folder.parent / "verdicts" / "stale", version, champion="aaaaaaaaaaaa")
    with pytest.raises(PackageError) as caught:
        deploy_version(NAME, version, site.serving, verdict=verdict)
    message = str(caught.value)
    assert (
        f"The champion of '{NAME}' is version {before}, and version {version} was compared with version aa" in message
    )
    assert message.endswith(f"Version {version} is stored but not promoted; run the pipeline again.")
    assert_serves(site, before)
    assert site.pid() == pid
    verdict.write_text('{"promoted": false}')
    with pytest.raises(PackageError, match="is not to promote this model"):
        deploy_version(NAME, version, site.serving, verdict=verdict)


def test_two_runs_at_once_that_were_compared_with_the_same_champion(site):
    """One after the other, by the endpoint's lock: the first is promoted, the second is told."""
    before, one, two = site.add(6), site.add(7), site.add(9)
    verdicts = {version: site.verdict(version) for version in (one, two)}

    def run(version: str) -> str:
        try:
            return deploy_version(NAME, version, site.serving, verdict=verdicts[version]).version
        except PackageError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(run, (one, two)))
    (winner,) = {one, two} & set(outcomes)
    assert sum("another run came in between" in outcome for outcome in outcomes) == 1
    assert_serves(site, winner)
    newest = Registry(site.store, NAME).history()[-1]
    assert (newest.version, newest.replaced, newest.why) == (winner, before, "passed the gate: 2 of 2 checks hold")
    site.deploy(before)


def test_a_stranger_at_the_port_cannot_be_taken_over_from(site, tmp_path):
    """The server is gone, and a program that shares its port with nobody has it: the next port is taken."""
    version = site.add(6)
    os.kill(site.pid(), signal.SIGKILL)
    wait_until(lambda: site.endpoint.running() is None)
    with socket.create_server(("127.0.0.1", site.port)):
        deployed = site.deploy(version)
        assert f":{site.port}/" not in deployed.url
    assert site.endpoint.stop()
    site.endpoint.state_file.unlink()  # it remembers the port it had last
    site.deploy(version)
    assert_serves(site, version)


def test_a_killed_server_is_started_again_at_its_port(site):
    version = site.add(6)
    os.kill(site.pid(), signal.SIGKILL)
    wait_until(lambda: site.endpoint.running() is None)
    deployed = site.deploy(version)
    assert deployed.restarted
    assert not deployed.replaced
    assert_serves(site, version)


def test_another_port_that_is_asked_for_is_taken(site):
    version = site.add(6)
    site.port = free_port(site.port + 50)
    deployed = site.deploy(version)
    assert f":{site.port}/" in deployed.url
    assert_serves(site, version)
    assert site.endpoint.stop()


def test_a_folder_that_cannot_be_written_is_named(site, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(DeployError, match=r"The endpoint's files cannot be written in .*Make it writable"):
        site.deploy(site.add(1))
    assert site.champion() is None or site.champion() != site.add(1)


def test_no_free_port_is_told(site, tmp_path):
    endpoint = LocalEndpoint(tmp_path, NAME)
    package = fetch(site.store, NAME, site.add(1), endpoint.versions)
    with (
        socket.create_server(("127.0.0.1", 65535)),
        endpoint.locked(),
        pytest.raises(DeployError, match=r"needs a port: none of the ports 65535 to 65535 is free\. Free one, or set"),
    ):
        endpoint.deploy(package.name, package, ServingConfig(port=65535), champion="", promote=lambda: None)
    before = ServerState(name=NAME, version="a", port=65534, wanted_port=1, pid=1, created=0)
    with (
        socket.create_server(("127.0.0.1", 65535)),
        pytest.raises(DeployError, match="needs a second port to be proven"),
    ):
        endpoint._spare_port(before)


def test_a_server_that_cannot_be_started_is_told(site, tmp_path, monkeypatch):
    endpoint = LocalEndpoint(tmp_path, NAME)
    assert not endpoint.stop()
    package = fetch(site.store, NAME, site.add(1), endpoint.versions)
    with monkeypatch.context() as patched, endpoint.locked():
        patched.setattr(sys, "executable", str(tmp_path / "python"))
        with pytest.raises(DeployError, match=r"The model server cannot be started: .*No such file"):
            endpoint.deploy(package.name, package, site.serving, champion="", promote=lambda: None)
    endpoint.candidate_file.mkdir()  # in the way of the note of what was started
    port = free_port(site.port)
    start = endpoint._start_for(package.name, package, port, serving=site.serving, log=endpoint.log)
    with endpoint.locked(), pytest.raises(OSError, match="directory"):
        endpoint._proven(start)
    assert not [pid for pid in psutil.pids() if str(tmp_path) in " ".join(command_line(pid))]


def command_line(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.Error:
        return []


def test_a_package_that_is_here_is_not_fetched_again_unless_it_was_altered(site, tmp_path):
    version = site.add(1)
    package = fetch(site.store, NAME, version, tmp_path)
    made = package.stat().st_ino
    assert fetch(site.store, NAME, version, tmp_path).stat().st_ino == made
    (package / "model.onnx").write_bytes(b"")
    (tmp_path / f".{version}.0a1b2c3d.partial").mkdir()
    assert (fetch(site.store, NAME, version, tmp_path) / "model.onnx").read_bytes() != b""
    assert [path.name for path in tmp_path.iterdir()] == [version]


# What the state files do not tell


def test_a_state_file_that_cannot_be_read_is_not_taken_for_no_server(tmp_path):
    endpoint = LocalEndpoint(tmp_path, NAME)
    endpoint.state_file.mkdir(parents=True)
    with pytest.raises(DeployError, match=r"server\.json, which says which server runs, cannot be read: .*readable"):
        endpoint.running()
