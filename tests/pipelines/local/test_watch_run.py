"""Whole runs of wine whose version waits for a person, and which a decision begins: a real store and a real server."""

import io
import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence import Estimate, Evidence, Quality
from components.shared.decisions.evidence_files import keep_evidence
from components.shared.decisions.records import Decided, Ended
from components.shared.package.model_package import GOLDEN
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.components.monitor.logged import put_log
from tests.pipelines.command_line import call, write_config
from tests.ports import free_port

SEARCH = {"families": ["linear"], "budget": {"seconds": 600, "trials": 2}}
POLICY = {"policy": {"mode": "on", "rules": {"measured_drop": {"action": "retrain"}}}}


class Place:
    """A folder to run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        given: dict[str, Any] = {"search": SEARCH, "serving": {"port": free_port(200)}, "monitoring": POLICY}
        self.config = write_config(folder / "wine.yaml", **given)
        self.with_approval = write_config(folder / "approval.yaml", gate={"approval": "required"}, **given)

    @property
    def store(self) -> Store:
        settings = LocalStore(self.folder).running()
        assert settings is not None
        return Store(settings)

    def call(self, *arguments: object) -> str:
        code, output = call(*arguments, folder=self.folder, seconds=1500)
        assert code == 0, output
        return output

    def ask(self, version: str) -> Any:
        """What the endpoint answers to the first golden request of a version."""
        golden = json.loads(self.store.get_bytes(f"models/wine/versions/{version}/{GOLDEN}"))
        state = json.loads((self.folder / "build/local/serving/wine/server.json").read_bytes())
        url = f"http://127.0.0.1:{state['wanted_port']}/v1/models/wine:predict"
        body = json.dumps({"instances": [golden[0]["row"]]}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body)) as response:
            return json.loads(response.read())

    def move_log(self, by: timedelta) -> None:
        """Let what the endpoint has been asked so far have come earlier: its windows are over then."""
        until = time.monotonic() + 60
        while not (files := [item.key for item in self.store.list("inference/wine/") if item.key.endswith(".parquet")]):
            assert time.monotonic() < until, "nothing was logged"
            time.sleep(0.2)
        for key in files:
            rows = pq.read_table(io.BytesIO(self.store.get_bytes(key)))
            place = rows.column_names.index("received")
            moved = pc.add(rows.column("received"), pa.scalar(by, pa.duration("us")))
            put_log(self.store, rows.set_column(place, "received", moved), model="wine")


def drop(version: str) -> Evidence:
    """A window of the version in which its measured quality has dropped."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    measured = Estimate(value=0.5, low=0.45, high=0.55)
    quality = Quality(metric="accuracy", higher_is_better=True, reference=0.9, measured=measured, mature=True)
    end = start + timedelta(hours=24)
    return Evidence(model="wine", version=version, start=start, end=end, rows=500, quality=quality, made=end)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    found = Place(tmp_path_factory.mktemp("watch"))
    yield found
    call("stop", folder=found.folder)


@pytest.mark.slow
def test_from_a_version_that_waits_to_a_retraining_that_was_decided(place):
    waited = place.call("run", place.with_approval)
    (waiting,) = Registry(place.store, "wine").versions()
    assert waiting.state == "waits for approval"
    assert f"unchanged: version {waiting.version} waits for approval" in waited
    assert "Gate      waits for approval (" in waited
    assert f"make approve MODEL=wine VERSION={waiting.version}" in waited
    assert "waits for approval since 20" in place.call("versions", "wine")

    approved = place.call("approve", "wine", "--version", waiting.version, "--here", "--why", "looked at the card")
    assert "now the champion" in approved
    assert place.ask(waiting.version)["model_version"] == waiting.version
    assert "(looked at the card)" in Registry(place.store, "wine").history()[-1].why

    assert "wine: nothing new" in place.call("watch", place.config)
    keep_evidence(place.store, drop(waiting.version))
    watched = place.call("watch", place.config)
    assert "wine: decision 1: retrain: accuracy is measured as 0.5" in watched
    records = AuditLog(place.store, "wine").records()
    assert [record.kind for record in records] == ["decided", "started", "ended"]
    decided, ended = records[0], records[-1]
    assert isinstance(decided, Decided)
    assert isinstance(ended, Ended)
    # The same data and the same settings make the same model: a retraining that cannot help.
    assert (ended.result, ended.version) == ("blocked", waiting.version)
    assert "the same data, the same model" in ended.message
    assert (place.folder / "build" / "runs" / ended.run / "index.html").parent.is_dir()
    assert ended.cpu_hours > 0
    assert "wine: nothing new" in place.call("watch", place.config)
    assert "retraining 1 blocked" in place.call("decisions", "wine")

    place.move_log(timedelta(days=-2))
    watched = place.call("watch", place.config)
    assert "wine: 2 windows, 2 of them new" in watched
    assert "wine: decision 4: warn: " in watched  # the drop is the latest that is known, and was tried
    assert place.store.exists("monitoring/wine/history.html")
    monitored = place.call("monitor")
    assert "wine: 2 windows, 0 of them new" in monitored
    assert "wine: no report yet: " in monitored
