"""A stand-in for KServe: InferenceServices that are ready at once, whose servers answer over HTTP what they are to.

What takes seconds on a cluster (images, pods, probes) takes none here; everything that Fullcircle does is real: the
deployment with its proofs over HTTP, the object store, the registry. tests/cluster has the same with a real KServe.
"""

import copy
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from components.deploy.inference_service import MODEL, MODEL_VERSION, REVISION, ROLE, annotation, label
from components.shared.errors import DeployError
from components.shared.kubernetes.api import Object

NAMESPACE = "here"


@dataclass
class KServe:
    """The InferenceServices of a namespace.

    Attributes:
        port: Where their servers answer.
        services: By name.
        answers: What a version answers to golden requests.
        wrong: (role, version) of servers that answer wrongly.
        refusals: How many connections are dropped before one is answered, as by a Service that is not programmed yet.
        served: Versions that have answered rightly where clients ask.
    """

    port: int = 0
    services: dict[str, Object] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    wrong: set[tuple[str, str]] = field(default_factory=set)
    refusals: int = 0
    served: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _generation: int = 0

    def apply(self, body: Object, *, dry_run: bool) -> Object:
        with self.lock:
            name = body["metadata"]["name"]
            found = copy.deepcopy(body)
            before = self.services.get(name)
            same = before is not None and all(before[part] == found[part] for part in ("spec",)) and all(
                before["metadata"][part] == found["metadata"][part] for part in ("labels", "annotations")
            )  # fmt: skip
            generation = before["metadata"]["generation"] if before and same else self._generation + 1
            uid = before["metadata"]["uid"] if before else uuid.uuid4().hex
            found["metadata"] |= {"generation": generation, "uid": uid}
            found["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
            if not dry_run:
                self._generation = max(self._generation, generation)
                self.services[name] = found
            return copy.deepcopy(found)

    def delete(self, found: Object) -> None:
        with self.lock:
            now = self.services.get(found["metadata"]["name"])
            if now and now["metadata"]["uid"] == found["metadata"]["uid"]:
                del self.services[found["metadata"]["name"]]

    def answer(self, name: str) -> tuple[str, list[Any]]:
        """What a server says: its version, and answers; and take note of it."""
        with self.lock:
            service = self.services[name]
            version, role = annotation(service, MODEL_VERSION), label(service, ROLE)
            answers = self.answers[version]
            if (role, version) in self.wrong:
                return version, [{"label": "nonsense"}] * len(answers)
            if role == "endpoint":
                self.served.add(version)
            return version, answers

    def version(self, name: str) -> str | None:
        with self.lock:
            service = self.services.get(name)
            return annotation(service, MODEL_VERSION) if service else None


class FakeCluster:
    """What `components.deploy.serving_namespace.ServingNamespace` offers.

    Args:
        kserve: What is there.
        step: Called before each request; may wait, and raises in a process that is dead.
    """

    def __init__(self, kserve: KServe, step: Callable[[str], None] = lambda _: None) -> None:
        self.name = NAMESPACE
        self._kserve = kserve
        self._step = step

    def get(self, name: str) -> Object | None:
        self._step("get")
        with self._kserve.lock:
            return copy.deepcopy(self._kserve.services.get(name))

    def find(self, selector: str) -> list[Object]:
        self._step("find")
        wanted = dict(part.split("=") for part in selector.split(","))
        with self._kserve.lock:
            found = [copy.deepcopy(service) for service in self._kserve.services.values()]
        return [service for service in found if all(label(service, name) == value for name, value in wanted.items())]

    def apply(self, body: Object, *, dry_run: bool = False) -> Object:
        self._step("apply")
        return self._kserve.apply(body, dry_run=dry_run)

    def delete(self, found: Object) -> None:
        self._step("delete")
        self._kserve.delete(found)

    def pods(self, service: str) -> list[Object]:
        self._step("pods")
        found = self._kserve.services.get(service)
        if found is None:
            return []
        labels = {REVISION: label(found, REVISION), MODEL: label(found, MODEL), "pod-template-hash": "1"}
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "podIP": "127.0.0.1"}
        return [{"metadata": {"name": f"{service}-0", "labels": labels}, "status": status, "spec": {}}]

    def service(self, name: str) -> Object | None:
        self._step("service")
        if name.removesuffix("-predictor") not in self._kserve.services:
            return None
        return {"spec": {"clusterIP": "127.0.0.1", "ports": [{"port": self._kserve.port, "targetPort": 8080}]}}

    def log(self, pod: str, container: str, *, previous: bool, lines: int = 8) -> str:
        return ""

    def warnings_about(self, service: str) -> list[str]:
        return []

    def has_gateway_api(self) -> bool:
        raise DeployError("not asked for here")


@contextmanager
def kserve() -> Iterator[KServe]:
    """One whose servers answer."""
    found = KServe()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            rows = len(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"])
            found.asked.append(self.headers.get("Fullcircle-Proof", ""))
            name = self.path.split("/")[3].partition(":")[0]
            if found.refusals or name not in found.services:  # deleted, perhaps by another run
                found.refusals -= bool(found.refusals)
                self.close_connection = True
                return
            version, answers = found.answer(name)
            body = json.dumps({"predictions": answers[:rows], "model_version": version}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
