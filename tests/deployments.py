"""What tests of deployments do on a machine and on a cluster: versions in the store, a champion, clients that ask."""

import http.client
import json
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.shared.package.model_package import GOLDEN, METRICS, version_prefix
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.helpers import make_manifest, put_folder


def add_version(store: Store, name: str, package: Path, *, folder: Path, number: int, broken: str = "") -> str:
    """Store a version; all of one package answer alike, but those that were broken before their hashes were taken."""
    copied = Path(shutil.copytree(package, folder / uuid.uuid4().hex))
    (copied / METRICS).write_text(json.dumps({"number": number}))
    if broken == GOLDEN:
        golden = json.loads((copied / GOLDEN).read_bytes())
        golden[0]["answer"]["label"] = not golden[0]["answer"]["label"]
        (copied / GOLDEN).write_text(json.dumps(golden))
    elif broken:
        (copied / broken).write_bytes(b"this is no " + broken.encode())
    version = make_manifest(copied, name=name).version
    put_folder(store, version_prefix(name, version), copied)
    return version


def copy_package(package: Path, folder: Path, *, name: str, number: int) -> Path:
    """A package of another version that answers alike."""
    copied = Path(shutil.copytree(package, folder))
    (copied / METRICS).write_text(json.dumps({"number": number}))
    make_manifest(copied, name=name)
    return copied


def crown(store: Store, name: str, version: str) -> None:
    """Make a version the champion, as if it had served."""
    registry = Registry(store, name)
    current = registry.champion()
    if current is None or current.version != version:
        registry.promote(version, expected=current, why="for a test")


def champion_of(store: Store, name: str) -> str | None:
    """The version of the champion."""
    found = Registry(store, name).champion()
    return found.version if found else None


def write_verdict(path: Path, version: str, *, champion: str | None) -> Path:
    """The gate's verdict that a version is promoted, compared with a champion."""
    checks = [{"name": "baseline", "holds": True}, {"name": "champion", "holds": True}]
    verdict = {"promoted": True, "forced": False, "candidate": version, "champion": champion, "checks": checks}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(verdict))
    return path


@dataclass
class Answers:
    """What clients were told: the versions that answered, or what went wrong instead."""

    seen: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def versions(self) -> list[str]:
        return list(dict.fromkeys(self.seen))


@contextmanager
def asking(host: str, port: int, name: str, row: dict[str, Any], *, pause: float) -> Iterator[Answers]:
    """Four clients that ask all the time, over connections they keep or not."""
    body, answers, stop = json.dumps({"instances": [row]}), Answers(), threading.Event()

    def ask_on(keep: bool) -> None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        while not stop.is_set():
            start = time.monotonic()
            try:
                connection.request("POST", f"/v1/models/{name}:predict", body)
                response = connection.getresponse()
                content = json.loads(response.read())
                answers.seen.append(content.get("model_version") or f"{response.status} {content}")
            except (OSError, ValueError, http.client.HTTPException) as error:
                answers.seen.append(repr(error))
                connection.close()
            answers.seconds.append(time.monotonic() - start)
            if not keep:
                connection.close()
            time.sleep(pause)
        connection.close()

    clients = [threading.Thread(target=ask_on, args=(keep,)) for keep in (False, True, False, True)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        stop.set()
        for client in clients:
            client.join()
