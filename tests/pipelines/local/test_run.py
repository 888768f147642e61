"""Whole runs of wine through the command line, with a real S3 server and a real model server, one after the other.

A run takes seconds, so each fixture is one run, in the order in which they build upon one another, and several tests
look at it.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from components.shared.processes import port_is_free
from components.shared.registry.registry import Registry
from components.shared.stages import TRAINING
from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.components.receivers import receiving
from tests.pipelines.command_line import call, environment, processes_of, read_until, settled, start, write_config

pytestmark = pytest.mark.slow

STAGES = [*(set(TRAINING) - {"tune"}), "tune (linear)", "tune (hist_gradient_boosting)"]
# Runs of the same data make the same version only where the clock cuts no search short.
# Few rounds of boosting: how good the models are is not shown here.
SEARCH = {"budget": {"seconds": 600, "trials": 2}, "rounds": 20}
UNREACHABLE = {"thresholds": {"accuracy": {"minimum": 1.01}}}


class Place(NamedTuple):
    """A folder to run in, and the port its config asks for."""

    folder: Path
    config: Path
    port: int

    @property
    def store(self) -> Store:
        settings = LocalStore(self.folder).running()
        assert settings is not None
        return Store(settings)

    @property
    def latest(self) -> Path:
        return (self.folder / "build" / "runs" / "wine" / "latest").resolve()

    @property
    def serving(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "build/local/serving/wine/server.json").read_bytes())
        return state

    @property
    def champion(self) -> str | None:
        champion = Registry(self.store, "wine").champion()
        return champion.version if champion else None

    def versions(self) -> set[str]:
        """Complete and incomplete ones."""
        return {item.key.split("/")[3] for item in self.store.list("models/wine/versions/")}


class Run(NamedTuple):
    """A run that ended."""

    code: int
    output: str
    serving: dict[str, Any]

    @property
    def stages(self) -> list[str]:
        return re.findall(r"^ ✓ (.+?)  +[\d.]+ s  ", self.output, re.MULTILINE)

    @property
    def url(self) -> str:
        found = re.search(r"^ Endpoint +(http\S+)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    @property
    def curl(self) -> str:
        return next(line for line in self.output.splitlines() if line.startswith("curl "))


class Links(HTMLParser):
    """Where a page's links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attrs if tag == "a" and name == "href" and value]


def free_pair() -> int:
    """A port that is free, as is the next one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port < 65535 and port_is_free(port) and port_is_free(port + 1):
            return port


def predict(url: str, row: dict[str, Any]) -> Any:
    body = json.dumps({"instances": [row]}).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place").resolve()
    port = free_pair()
    yield Place(folder, write_config(folder / "wine.yaml", serving={"port": port}, search=SEARCH), port)
    code, output = call("stop", folder=folder)
    assert code == 0, output
    assert settled(folder, servers=0) == {}


def run(place: Place, *options: str, config: Path | None = None) -> Run:
    code, output = call("run", config or place.config, *options, folder=place.folder)
    assert code == 0, output
    return Run(code, output, place.serving)


@pytest.fixture(scope="module", params=[signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def interrupted(request, place):
    """A run ended by a signal to its process group while it tunes and trains, before there is anything to serve."""
    with start("run", place.config, folder=place.folder) as process:
        seen = read_until(process, "✓ prepare")
        os.killpg(process.pid, request.param)
        rest, _ = process.communicate(timeout=60)
    return process.returncode, seen + rest


@pytest.fixture(scope="module")
def first(place):
    """The first whole run, while another program has the port."""
    with socket.create_server(("127.0.0.1", place.port)):
        return run(place)


@pytest.fixture(scope="module")
def twice(place, first):
    """Two runs of the same at once, with the champion in place."""
    with start("run", place.config, folder=place.folder) as one, start("run", place.config, folder=place.folder) as two:
        outputs = [process.communicate(timeout=400)[0] for process in (one, two)]
    return [Run(process.returncode, output, place.serving) for process, output in zip((one, two), outputs, strict=True)]


@pytest.fixture(scope="module")
def worse(place):
    """Another model, and a gate no model can pass."""
    return write_config(
        place.folder / "worse.yaml", base=place.config, search={"families": ["linear"]}, gate=UNREACHABLE
    )


@pytest.fixture(scope="module")
def blocked(place, twice, worse):
    return run(place, config=worse)


@pytest.fixture(scope="module")
def forced(place, blocked, worse):
    return run(place, "--force", config=worse)


@pytest.fixture(scope="module")
def missing(place):
    """A config whose table is not there."""
    tables = {"wine": {"path": "nowhere/wine.csv"}}
    return write_config(place.folder / "missing.yaml", base=place.config, source={"tables": tables})


def test_an_interrupted_run_says_so_and_leaves_only_the_store(interrupted, place):
    code, output = interrupted

    assert code == 130, output
    assert "Interrupted. Nothing of this run is left running" in output
    assert "Traceback" not in output
    left = settled(place.folder, servers=1)
    assert len(left) == 1, left
    assert place.versions() == set()
    assert place.champion is None


def test_a_run_shows_a_line_a_stage_and_what_came_of_it(first, place):
    assert first.code == 0, first.output
    assert sorted(first.stages) == sorted(STAGES)
    for label in ("Metrics   Log loss 0.", "Gate      promoted (", "Pages     build/runs/wine/", "Ask it:", "Done in "):
        assert label in first.output
    assert "\x1b" not in first.output


def test_a_port_that_is_taken_leaves_the_next_one(first, place):
    assert first.url == f"http://127.0.0.1:{place.port + 1}/v1/models/wine:predict"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_printed_curl_line_works_when_pasted(first):
    done = subprocess.run(["bash", "-c", first.curl], capture_output=True, text=True, check=True, env=environment())

    answer = json.loads(done.stdout)
    assert answer["model_version"] == first.serving["version"]
    prediction = answer["predictions"][0]
    assert prediction["label"] in (0, 1, 2)
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)


def test_the_index_page_links_pages_that_exist(first, place):
    index = place.latest / "index.html"
    links = Links()
    links.feed(index.read_text(encoding="utf-8"))
    pages = [target for target in links.targets if not target.startswith(("http", "#"))]

    assert len(pages) >= 5
    for page in pages:
        content = (index.parent / page).read_text(encoding="utf-8")
        assert "<html" in content[:500].lower(), page


def test_a_run_leaves_an_endpoint_and_a_store_and_nothing_else(first, place):
    left = settled(place.folder, servers=2)

    assert len(left) == 2, left
    assert sum("images.predictor" in command for command in left.values()) == 1


def test_the_version_in_the_store_is_the_champion_that_serves(first, place):
    assert place.versions() == {place.champion} == {first.serving["version"]}


def test_two_more_runs_at_once_store_nothing_new_and_restart_nothing(twice, first, place):
    for one in twice:
        assert one.code == 0, one.output
        assert "was stored already" in one.output
        assert "answers already at" in one.output
        assert one.url == first.url
    assert place.versions() == {first.serving["version"]}
    assert place.serving == first.serving


def test_a_blocked_model_is_no_failure_and_changes_nothing(blocked, first, place):
    assert blocked.code == 0, blocked.output
    assert "not promoted (" in blocked.output
    assert re.search(r"^ +· .*[Aa]ccuracy.*1\.01|^ +· .*[Aa]ccuracy.*101", blocked.output, re.MULTILINE), blocked.output
    assert "Endpoint  unchanged: the candidate was not deployed" in blocked.output
    assert "curl" not in blocked.output
    assert not {"publish", "deploy", "monitor"} & set(blocked.stages)
    assert blocked.serving == first.serving


def test_force_promotes_the_blocked_model_and_says_so(forced, first, place):
    assert forced.code == 0, forced.output
    assert "promoted by force (" in forced.output
    assert forced.serving["version"] != first.serving["version"]
    assert forced.url == first.url
    assert place.champion == forced.serving["version"]
    assert place.versions() == {first.serving["version"], forced.serving["version"]}
    golden = json.loads(next(place.latest.glob("artifacts/**/golden.json")).read_bytes())
    assert predict(forced.url, golden[0]["row"])["model_version"] == forced.serving["version"]


def test_a_failing_stage_shows_its_cause_and_names_its_log(forced, place, missing):
    code, output = call("run", missing, folder=place.folder)

    assert code == 1
    assert " ✗ ingest" in output
    assert "nowhere/wine.csv" in output
    assert "Traceback" not in output
    log = re.search(r"^ +Details: (.+)$", output, re.MULTILINE)
    assert log, output
    assert "Traceback" in Path(log[1]).read_text(encoding="utf-8")
    assert len(output.splitlines()) < 12
    assert place.serving == forced.serving


def test_a_failed_run_tells_its_receivers_why(forced, place, missing):
    with receiving() as receiver:
        notifications = {"receivers": [{"kind": "webhook", "url_variable": "HOOK_URL", "events": ["failed_run"]}]}
        config = write_config(place.folder / "told.yaml", base=missing, monitoring={"notifications": notifications})
        code, output = call("run", config, folder=place.folder, HOOK_URL=receiver.url)

    assert code == 1
    assert " ✓ notify" in output
    (told,) = receiver.bodies()
    assert told["kind"] == "failed_run"
    assert told["run"] == f"wine/{place.latest.name}"
    assert "fingerprint: " in told["text"] or "ingest: " in told["text"]
    assert "nowhere/wine.csv" in told["text"]
    assert place.serving == forced.serving


@pytest.mark.skipif(not shutil.which("script"), reason="script, which makes a terminal, is not installed")
def test_on_a_terminal_the_running_stage_is_drawn_and_cleared(forced, place, missing):
    command = f"{shlex.quote(sys.executable)} -m pipelines run {shlex.quote(str(missing))}"

    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=place.folder,
        env=environment(TERM="xterm"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    running, _, ended = done.stdout.partition("✗")
    assert re.search(r"ingest .*\d\.\d s", running)
    assert "\x1b[2K" in running
    assert "\x1b[?25h" in ended  # the cursor is back
    assert "ingest failed:" in ended


def test_a_store_that_denies_ends_the_run_before_it_begins(forced, place):
    settings = place.store.settings.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}

    code, output = call("run", place.config, folder=place.folder, **settings)

    assert code == 1
    assert place.store.settings.endpoint in output
    assert "Traceback" not in output
    assert "✓" not in output


def test_a_full_disk_says_so_and_publishes_nothing(forced, place, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    before = place.versions()
    try:
        code, output = call("run", place.config, folder=disk, **place.store.settings.environment())
        left = settled(disk, servers=0)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)

    assert code == 1
    assert "The disk is full" in output or "No space left" in output
    assert "Traceback" not in output
    assert left == {}
    assert place.versions() == before
    assert place.champion == forced.serving["version"]


def test_stop_ends_everything_once(forced, place):
    assert call("stop", folder=place.folder) == (0, "stopped the endpoint of wine\nstopped the object store\n")

    assert settled(place.folder, servers=0) == {}
    assert call("stop", folder=place.folder) == (0, "nothing was running\n")


def test_processes_of_other_places_are_not_counted(tmp_path):
    assert processes_of(tmp_path) == {}
