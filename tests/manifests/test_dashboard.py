"""Every query of the dashboard and every rule, asked of a Prometheus that scrapes real servers and the exporter."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.shared.package.model_package import read_golden
from tests.components.monitor.test_exporter import answers, exporting
from tests.components.monitor.watched import fill
from tests.deployments import copy_package
from tests.images.predictor.serving import HOST, NAME, Server, serving, until
from tests.manifests.rendering import MANIFESTS
from tests.manifests.test_alerts import rules
from tests.ports import free_port

DASHBOARD = MANIFESTS / "components" / "monitoring" / "dashboard.json"
# What Grafana puts in the place of its own variables.
VARIABLES = {"$__rate_interval": "20s", "$model": ".*"}
SCRAPE_SECONDS = 1


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_bytes())
    return found


def queries() -> list[tuple[str, str]]:
    """Title of the panel and query, as Grafana sends it."""
    found = []
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            found.append((panel["title"], query))
    return found


class Prometheus:
    """A server of Prometheus' own API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"

    def get(self, path: str, **arguments: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(arguments)}", timeout=10) as answer:
            content = json.loads(answer.read())
        assert content["status"] == "success", content
        return content["data"]

    def ask(self, query: str) -> list[Any]:
        found: list[Any] = self.get("/api/v1/query", query=query)["result"]
        return found

    def is_ready(self) -> bool:
        try:
            return self.ask("vector(1)") != []
        except OSError:
            return False


@contextmanager
def scraping(folder: Path, servers: dict[str, int], exporter: int) -> Iterator[Prometheus]:
    """A Prometheus that scrapes what it does on a cluster, with the labels that a PodMonitor gives."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on PATH (Debian's package prometheus)")
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    endpoints = [
        {"targets": [f"{HOST}:{port}"], "labels": {"serving_kserve_io_inferenceservice": name}}
        for name, port in servers.items()
    ]
    configuration = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": "predictors", "static_configs": endpoints},
            {"job_name": "exporter", "static_configs": [{"targets": [f"{HOST}:{exporter}"]}]},
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    command = [
        program, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        found = Prometheus(port)
        try:
            until(lambda: process.poll() is not None or found.is_ready())
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            yield found
        finally:
            process.terminate()


@contextmanager
def watched(store: Any, package: Path, folder: Path) -> Iterator[tuple[Server, Prometheus]]:
    """An endpoint with a candidate, the exporter, and a Prometheus that scrapes all of them."""
    fill(store)
    first = free_port()
    beside, exporter = free_port(), free_port()
    settings = json.dumps({"shadow": {"percent": 100}, "log": {"flush_seconds": 0.5}})
    url = f"http://{HOST}:{beside}/v1/models/{NAME}:predict"
    other = copy_package(package, folder / "candidate", name=NAME, number=2)
    with ExitStack() as stack:
        stack.enter_context(serving(other, beside, folder / "beside.log", shadow=NAME))
        server = stack.enter_context(serving(package, first, folder / "log", settings=settings, shadow_url=url))
        stack.enter_context(exporting(exporter, seconds=1))
        until(lambda: answers(exporter))
        until(lambda: server.figures()["fullcircle_shadow_candidate"] == 1)
        found = stack.enter_context(scraping(folder, {NAME: first, f"{NAME}-shadow": beside}, exporter))
        yield server, found


def test_every_query_of_the_dashboard_has_an_answer(store, packages, tmp_path):
    rows = [request.row for request in read_golden(packages())]
    with watched(store, packages(), tmp_path) as (server, prometheus):
        until(lambda: all(target["health"] == "up" for target in prometheus.get("/api/v1/targets")["activeTargets"]))
        for _ in range(5 * SCRAPE_SECONDS):
            assert server.predict(rows)[0] == 200
            assert server.predict([{**rows[0], "amount": "much"}])[0] == 400
            time.sleep(1)
        time.sleep(2 * SCRAPE_SECONDS)
        unanswered = [(title, query) for title, query in queries() if not prometheus.ask(query)]
        assert unanswered == []
        (variable,) = [one for one in dashboard()["templating"]["list"] if one["name"] == "model"]
        assert variable["query"]["query"] == "label_values(fullcircle_model_info, model_name)"
        assert prometheus.get("/api/v1/label/model_name/values", **{"match[]": "fullcircle_model_info"}) == [NAME]
        answered = prometheus.ask('fullcircle_shadow_requests_total{outcome="answered"}')
        assert max(float(one["value"][1]) for one in answered) == 5
        groups = prometheus.get("/api/v1/rules")["groups"]
        health = {
            rule["name"]: (rule["health"], rule.get("lastError", "")) for group in groups for rule in group["rules"]
        }
        assert set(health.values()) == {("ok", "")}
        firing = {rule["name"] for group in groups for rule in group["rules"] if rule["state"] == "firing"}
        expected = {"FullcircleQualityDropped", "FullcircleDrift", "FullcircleRowsUntrusted", "FullcircleMonitorStale"}
        assert expected <= firing


def test_the_dashboard_is_one_that_grafana_takes():
    """Unique ids, no overlapping panels, every panel with a query that names the variables it filters by."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert '=~"$model"' in target["expr"], panel["title"]
            assert target["datasource"]["uid"] == "${datasource}"
