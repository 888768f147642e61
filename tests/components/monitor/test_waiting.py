"""Versions that wait on the history page: which are compared, and what is shown of them."""

from datetime import UTC, datetime

from components.monitor.history.page import history_page
from components.monitor.history.record import History
from components.monitor.waiting import compare_waiting
from components.shared.config import ServingConfig, ShadowConfig
from components.shared.decisions.evidence import Estimate
from components.shared.package.model_package import version_prefix
from components.shared.package.schema import FILE as SCHEMA
from components.shared.registry.judgement import Judgement
from components.shared.registry.pending import PendingVersions, Terms
from components.shared.shadow.comparison import Latency, ShadowComparison
from tests.helpers import make_schema

NOW = datetime(2026, 3, 10, tzinfo=UTC)
COPIED = ServingConfig(shadow=ShadowConfig(percent=5, rows=300))


def test_those_that_are_sent_copies_are_compared_and_kept(store):
    for version in ("v1", "v2", "v3"):
        store.put_bytes(version_prefix("demo", version) + SCHEMA, make_schema().model_dump_json().encode())
    waiting = PendingVersions(store, "demo")
    for version, serving in (("v2", COPIED), ("v3", ServingConfig())):
        waiting.add(version, Judgement(promoted=True, champion="v1"), Terms(serving=serving), run="r")
    (found,) = compare_waiting(store, "demo", "v1", now=NOW)
    assert (found.candidate, found.champion, found.rows, found.needed) == ("v2", "v1", 0, 300)
    assert store.exists("monitoring/demo/shadow/v2.json")
    waiting.answer("v2", "rejected", by="anna", why="")
    assert compare_waiting(store, "demo", "v1", now=NOW) == []


def test_agreement_and_times_are_on_the_history_page():
    latency = Latency(p50=1.5, p99=4.0, longest=9.0)
    shadow = ShadowComparison(
        model="demo",
        champion="v1",
        candidate="v2",
        rows=120,
        needed=300,
        requests=120,
        agreement=Estimate(value=0.97, low=0.95, high=0.99),
        distance=Estimate(value=0.01, low=0.005, high=0.02),
        champion_latency=latency,
        candidate_latency=latency,
    )
    page = history_page(History(model="demo", champion="v1", shadows=(shadow,))).render()
    assert "Candidate v2" in page
    assert "120 of 300 that are enough" in page
    assert History.model_validate_json(History(model="demo", shadows=(shadow,)).model_dump_json()).shadows == (shadow,)
