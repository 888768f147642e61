"""A server that speaks Kubeflow Pipelines' REST API (v2beta1) over HTTP and keeps what it is told in memory.

What comes in and goes out has the shape of KFP's own generated models: a field that they do not have is refused. It
executes nothing; a test says what a run looks like at each look (`Server.looks`).
"""

import json
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import kfp_server_api as api
import yaml

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
_CLIENT = api.ApiClient()
Query = dict[str, str]


class Refused(Exception):  # noqa: N818, it is an answer
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Server:
    """What the server holds.

    Attributes:
        url: Its address.
        token: What a request has to bring; empty for nothing.
        namespaces: With several users, those that this one may use; empty for an installation of one user.
        looks: What a run looks like, one a look; the last one stays.
        refuses: Methods and paths that are answered with an error, by status.
        asked: Every method and path.
    """

    url: str = ""
    token: str = ""
    namespaces: tuple[str, ...] = ()
    pipelines: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    experiments: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    schedules: list[Any] = field(default_factory=list)
    looks: list[Any] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def healthz(self, query: Query, body: Any) -> Any:
        return api.V2beta1GetHealthzResponse(multi_user=bool(self.namespaces), pipeline_store="database")

    def list_pipelines(self, query: Query, body: Any) -> Any:
        self._check(query.get("namespace"), needed=False)
        found = _page(_filtered(self.pipelines, query), query)
        return api.V2beta1ListPipelinesResponse(pipelines=found[0], next_page_token=found[1])

    def create_pipeline(self, query: Query, body: Any) -> Any:
        pipeline = _read(body, api.V2beta1Pipeline)
        self._check(pipeline.namespace, needed=False)
        if any(item.display_name == pipeline.display_name for item in self.pipelines):
            raise Refused(409, "Already exist error: The name is taken")
        pipeline.pipeline_id = str(uuid.uuid4())
        self.pipelines.append(pipeline)
        return pipeline

    def list_versions(self, query: Query, body: Any, pipeline: str) -> Any:
        own = [item for item in self.versions if item.pipeline_id == pipeline]
        found = _page(_filtered(own, query), query)
        return api.V2beta1ListPipelineVersionsResponse(pipeline_versions=found[0], next_page_token=found[1])

    def upload_version(self, query: Query, body: Any) -> Any:
        if not any(item.pipeline_id == query["pipelineid"] for item in self.pipelines):
            raise Refused(404, "Pipeline not found")
        if any((item.pipeline_id, item.display_name) == (query["pipelineid"], query["name"]) for item in self.versions):
            raise Refused(409, "Already exist error: The version's name is taken")
        spec = next(iter(yaml.load_all(body, yaml.CSafeLoader)))
        assert spec["pipelineInfo"]["name"]
        version = api.V2beta1PipelineVersion(
            pipeline_id=query["pipelineid"],
            pipeline_version_id=str(uuid.uuid4()),
            display_name=query["name"],
            name=query["name"],
            description=query.get("description"),
            pipeline_spec=spec,
        )
        self.versions.append(version)
        return version

    def list_experiments(self, query: Query, body: Any) -> Any:
        self._check(query.get("namespace"))
        found = _filtered(self.experiments, query)
        return api.V2beta1ListExperimentsResponse(experiments=found or None)

    def create_experiment(self, query: Query, body: Any) -> Any:
        experiment = _read(body, api.V2beta1Experiment)
        self._check(experiment.namespace)
        experiment.experiment_id = str(uuid.uuid4())
        self.experiments.append(experiment)
        return experiment

    def create_run(self, query: Query, body: Any) -> Any:
        run = _read(body, api.V2beta1Run)
        self._check_reference(run)
        run.run_id = str(uuid.uuid4())
        run.state, run.created_at = "PENDING", BEGUN
        self.runs.append(run)
        return run

    def get_run(self, query: Query, body: Any, run_id: str) -> Any:
        run = next((item for item in self.runs if item.run_id == run_id), None)
        if run is None:
            raise Refused(404, f"Run {run_id} not found")
        if self.looks:
            look = self.looks[0] if len(self.looks) == 1 else self.looks.pop(0)
            for name in ("state", "run_details", "error", "finished_at"):
                setattr(run, name, getattr(look, name))
        return run

    def list_schedules(self, query: Query, body: Any) -> Any:
        own = [item for item in self.schedules if item.experiment_id == query.get("experiment_id")]
        found = _page(_filtered(own, query), query)
        return api.V2beta1ListRecurringRunsResponse(recurring_runs=found[0], next_page_token=found[1])

    def create_schedule(self, query: Query, body: Any) -> Any:
        made = _read(body, api.V2beta1RecurringRun)
        self._check_reference(made)
        if not 1 <= int(made.max_concurrency) <= 10:
            raise Refused(400, "Max concurrency of a recurring run must be at least 1 and at most 10")
        if len(made.trigger.cron_schedule.cron.split()) != 6:
            raise Refused(400, "Schedule cron is not a supported format")
        made.recurring_run_id = str(uuid.uuid4())
        made.status = "ENABLED"
        self.schedules.append(made)
        return made

    def disable_schedule(self, query: Query, body: Any, schedule: str) -> Any:
        for item in self.schedules:
            if item.recurring_run_id == schedule:
                item.status = "DISABLED"
        return {}

    def list_runs(self, query: Query, body: Any) -> Any:
        self._check(query.get("namespace"))
        assert query["sort_by"] == "created_at desc"
        return api.V2beta1ListRunsResponse(runs=_filtered(self.runs, query)[::-1] or None)

    def delete_schedule(self, query: Query, body: Any, schedule: str) -> Any:
        self.schedules = [item for item in self.schedules if item.recurring_run_id != schedule]
        return {}

    def _check(self, namespace: str | None, *, needed: bool = True) -> None:
        if not self.namespaces and namespace:
            raise Refused(400, "In single-user mode, the namespace cannot be set")
        if self.namespaces and needed and not namespace:
            raise Refused(400, "A namespace is required in multi-user mode")
        if self.namespaces and namespace and namespace not in self.namespaces:
            raise Refused(403, f"User 'ann' is not authorized with reason: no rights in the namespace {namespace}")

    def _check_reference(self, item: Any) -> None:
        wanted = item.pipeline_version_reference
        known = [(version.pipeline_id, version.pipeline_version_id) for version in self.versions]
        if (wanted.pipeline_id, wanted.pipeline_version_id) not in known:
            raise Refused(404, "The pipeline version is not found")
        if item.experiment_id not in [experiment.experiment_id for experiment in self.experiments]:
            raise Refused(404, "The experiment is not found")


_ROUTES = (
    ("GET", "healthz", Server.healthz),
    ("GET", "pipelines", Server.list_pipelines),
    ("POST", "pipelines", Server.create_pipeline),
    ("GET", "pipelines/([^/]+)/versions", Server.list_versions),
    ("POST", "pipelines/upload_version", Server.upload_version),
    ("GET", "experiments", Server.list_experiments),
    ("POST", "experiments", Server.create_experiment),
    ("POST", "runs", Server.create_run),
    ("GET", "runs", Server.list_runs),
    ("GET", "runs/([^/]+)", Server.get_run),
    ("GET", "recurringruns", Server.list_schedules),
    ("POST", "recurringruns", Server.create_schedule),
    ("POST", "recurringruns/([^/:]+):disable", Server.disable_schedule),
    ("DELETE", "recurringruns/([^/]+)", Server.delete_schedule),
)


def _read(body: Any, kind: Any) -> Any:
    """A model from JSON; a field that it does not have is refused, as KFP's own service does."""
    if unknown := set(body) - set(kind.attribute_map.values()):
        raise Refused(400, f"unknown field {sorted(unknown)[0]!r}")
    return _CLIENT._ApiClient__deserialize(body, kind)


def _filtered(items: Sequence[Any], query: Query) -> list[Any]:
    found = list(items)
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        if predicate["operation"] not in ("EQUALS", 1):
            raise Refused(400, "Unsupported operation")
        found = [item for item in found if getattr(item, predicate["key"]) == predicate["stringValue"]]
    return found


def _page(items: list[Any], query: Query) -> tuple[list[Any] | None, str]:
    """Pages of one item: that all of them are read is a test of its own."""
    start = int(query.get("page_token") or 0)
    return items[start : start + 1] or None, str(start + 1) if start + 1 < len(items) else ""


class _Handler(BaseHTTPRequestHandler):
    """Answers for `held`."""

    held: Server

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        try:
            status, found = 200, self._found()
        except Refused as error:
            status, found = error.status, {"error": str(error), "code": 1, "message": str(error), "details": []}
        content = json.dumps(_CLIENT.sanitize_for_serialization(found)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def _found(self) -> Any:
        parts = urlsplit(self.path)
        self.held.asked.append(f"{self.command} {parts.path}")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.held.token and self.headers.get("authorization") != f"Bearer {self.held.token}":
            raise Refused(401, "Unauthenticated")
        if status := self.held.refuses.get(f"{self.command} {parts.path.removeprefix('/apis/v2beta1/')}"):
            raise Refused(status, "it does not want to")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for method, pattern, action in _ROUTES:
            match = re.fullmatch(f"/apis/v2beta1/{pattern}", parts.path)
            if match and method == self.command:
                return action(self.held, query, self._body(content), *map(unquote, match.groups()))
        raise Refused(404, f"Not Found: {self.command} {parts.path}")

    def _body(self, content: bytes) -> Any:
        kind = self.headers.get("Content-Type", "")
        if not content:
            return None
        if not kind.startswith("multipart/"):
            return json.loads(content)
        parts: Any = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content).get_payload()
        return parts[0].get_payload(decode=True)


@contextmanager
def serving(address: str = "127.0.0.1", **settings: Any) -> Iterator[Server]:
    """The server, answering at a free port."""
    server = Server(**settings)
    with ThreadingHTTPServer((address, 0), type("Handler", (_Handler,), {"held": server})) as http:
        server.url = f"http://{address}:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def look(state: str, *nodes: Any, error: str = "") -> Any:
    """A run as the API describes it.

    Args:
        state: Of the run.
        nodes: What `node` gives.
        error: The run's own error.
    """
    return api.V2beta1Run(
        state=state,
        run_details=api.V2beta1RunDetails(task_details=list(nodes)) if nodes else None,
        error=api.GoogleRpcStatus(code=2, message=error) if error else None,
        finished_at=BEGUN + timedelta(seconds=100) if state in ("SUCCEEDED", "FAILED") else None,
    )


def node(
    name: str, state: str, *, number: str = "", children: Sequence[str] = (), seconds: float = 0, error: str = ""
) -> Any:
    """A node of Argo's, as the API shows it: its id ends with what its pod's name ends with.

    Args:
        name: Its display name.
        state: `RUNNING`, `SUCCEEDED` and so on.
        number: The end of its id; its name when there is none.
        children: The ends of its children's ids.
        seconds: How long it took.
        error: What went wrong.
    """
    ended = state in ("SUCCEEDED", "FAILED", "SKIPPED")
    return api.V2beta1PipelineTaskDetail(
        task_id=str(uuid.uuid5(uuid.NAMESPACE_OID, number or name)),
        pod_name=f"wine-x7k2p-system-{number or name}",
        display_name=name,
        state=state,
        start_time=BEGUN,
        end_time=BEGUN + timedelta(seconds=seconds) if ended else datetime(1970, 1, 1, tzinfo=UTC),
        child_tasks=[api.PipelineTaskDetailChildTask(pod_name=f"wine-x7k2p-{child}") for child in children] or None,
        error=api.GoogleRpcStatus(code=2, message=error) if error else None,
    )


def record(path: str, state: str, *, children: Sequence[str] = (), seconds: float = 0, begun: float = 0) -> Any:
    """A record of a task as Kubeflow Pipelines 2.17 gives it.

    Its name is that of Argo's node, its id a UUID, its pod not named; children are named by Argo's ids, which no record
    has. Where Argo's node is one of several attempts, the last part of its name counts it.

    Args:
        path: Below the workflow, with attempts: `root(0).ingest(0).executor(0)`.
        state: `RUNNING`, `SUCCEEDED` and so on.
        children: Argo's ids of its children.
        seconds: How long it took.
        begun: When it began, in seconds after the run.
    """
    started = BEGUN + timedelta(seconds=begun)
    never = datetime(1970, 1, 1, tzinfo=UTC)
    return api.V2beta1PipelineTaskDetail(
        run_id="r",
        task_id=str(uuid.uuid4()),
        display_name=f"wine-wk57s(0).{path}",
        create_time=BEGUN,
        start_time=started if state != "PENDING" else never,
        end_time=started + timedelta(seconds=seconds) if state in ("SUCCEEDED", "FAILED", "SKIPPED") else never,
        state=state,
        child_tasks=[api.PipelineTaskDetailChildTask(pod_name=f"wine-wk57s-{child}") for child in children] or None,
    )


def task_records(path: str, state: str, *, seconds: float = 0, begun: float = 0, cached: bool = False) -> list[Any]:
    """The records of one task in 2.17: with and without attempt, its driver's, and its executor's.

    Args:
        path: Its place with the attempts of what is around it: `root(0).ingest`.
        state: Its state.
        seconds: How long it took.
        begun: When it began, in seconds after the run.
        cached: Whether the executor was skipped.
    """
    within = "SKIPPED" if cached else state
    return [
        record(f"{path}-driver", "SUCCEEDED", children=["11"], seconds=1, begun=begun - 1),
        record(f"{path}-driver(0)", "SUCCEEDED", seconds=1, begun=begun - 1),
        record(path, state, children=["12"], seconds=seconds, begun=begun),
        record(f"{path}(0)", state, children=["13"], seconds=seconds, begun=begun),
        record(f"{path}(0).executor", within, children=[] if cached else ["14"], seconds=seconds, begun=begun),
        *([] if cached else [record(f"{path}(0).executor(0)", within, seconds=seconds, begun=begun)]),
    ]
