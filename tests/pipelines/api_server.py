"""A server that answers as a Kubernetes API server does, from a table of objects; the real one is in `tests/cluster`.

Pods that are created end at once; what they say is for the test to decide. Access reviews go by the Roles in the table.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
_GROUPS = {"v1": "/api/v1", "apps/v1": "/apis/apps/v1", "batch/v1": "/apis/batch/v1"}


def ends_well(pod: Object) -> tuple[Object, str]:
    """What becomes of a pod: its status and its log."""
    del pod
    return {"phase": "Succeeded"}, ""


@dataclass
class ApiServer:
    """The table.

    Attributes:
        objects: By path.
        forbidden: Beginnings of paths that this user may not look at.
        run: What becomes of a pod that is created.
        created: Every pod that was.
    """

    objects: dict[str, Object] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    run: Callable[[Object], tuple[Object, str]] = ends_well
    created: list[Object] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)

    def add(self, item: Object, namespace: str = "") -> None:
        """Put an object in the table."""
        kind = f"{item['kind'].lower()}{'es' if item['kind'].endswith('s') else 's'}"
        base = _GROUPS.get(item["apiVersion"], f"/apis/{item['apiVersion']}")
        inside = f"/namespaces/{namespace}" if namespace else ""
        self.objects[f"{base}{inside}/{kind}/{item['metadata']['name']}"] = item

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:  # noqa: PLR0911
        if path.startswith(self.forbidden):
            return 403, {"message": f"User cannot look at {path}"}
        if path == "/version":
            return 200, {"gitVersion": "v1.34.0"}
        if path.endswith("/subjectaccessreviews"):
            return 201, {"status": {"allowed": self._allows(body["spec"])}}
        if method == "POST":
            return self._create(path, body)
        if method == "DELETE":
            return (200, {}) if self.objects.pop(path, None) else (404, {"message": "not found"})
        if path.endswith("/log"):
            return 200, self.logs.get(path.split("/")[-2], "")
        if path in self.objects:
            return 200, self.objects[path]
        below = [item for name, item in self.objects.items() if re.fullmatch(f"{re.escape(path)}/[^/]+", name)]
        wanted = query.get("labelSelector", "").partition("=")
        below = [
            item for item in below if not wanted[0] or item["metadata"].get("labels", {}).get(wanted[0]) == wanted[2]
        ]
        return (
            (200, {"items": below})
            if re.search(r"(s|es)$", path) and "/namespaces/" in path
            else (404, {"message": "not found"})
        )

    def _create(self, path: str, body: Object) -> tuple[int, Object]:
        self.created.append(body)
        status, log = self.run(body)
        name = body["metadata"]["name"]
        self.logs[name] = log
        self.objects[f"{path}/{name}"] = {**body, "status": status}
        return 201, body

    def _allows(self, spec: Object) -> bool:
        asked = spec["resourceAttributes"]
        account = spec["user"].rpartition(":")[2]
        kind = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
        bindings = [item for item in self.objects.values() if item.get("kind") == "RoleBinding"]
        roles = {item["roleRef"]["name"] for item in bindings for who in item["subjects"] if who["name"] == account}
        rules = [
            rule
            for item in self.objects.values()
            if item.get("kind") == "Role" and item["metadata"]["name"] in roles
            for rule in item["rules"]
        ]
        return any(
            asked["verb"] in rule["verbs"]
            and kind in rule["resources"]
            and asked["group"] in rule["apiGroups"]
            and ("resourceNames" not in rule or asked.get("name") in rule["resourceNames"])
            for rule in rules
        )


class _Handler(BaseHTTPRequestHandler):
    held: ApiServer

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, found = self.held.answer(self.command, parts.path, query, json.loads(content) if content else None)
        plain = isinstance(found, str)
        data = found.encode() if plain else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815


@contextmanager
def answering(folder: Path) -> Iterator[tuple[ApiServer, Path]]:
    """The server, and a kubeconfig that leads to it."""
    server = ApiServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"held": server})) as http:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{http.server_port}"}}],
            "users": [{"name": "test", "user": {"token": "t"}}],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server, path
        finally:
            http.shutdown()
            thread.join()
