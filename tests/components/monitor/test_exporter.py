"""What the exporter tells of a store, against what is in it; and the program itself."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from components.monitor.exporter.__main__ import Exporter
from components.monitor.exporter.known import Models
from components.shared.decisions.evidence import Drifted, PredictionDrift
from components.shared.decisions.evidence_files import evidence_key, keep_evidence
from components.shared.store import Store
from tests.components.monitor.watched import LABELLED, fill
from tests.components.shared.decisions.windows import window
from tests.images.predictor.serving import PROJECT, until
from tests.ports import free_port

Samples = dict[str, float]
VERSION = "model_name=demo,model_version=v1"


def samples(text: str) -> Samples:
    """By name and labels; those of `fullcircle_monitor_` without that."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("fullcircle_monitor_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


def collected(exporter: Exporter) -> Samples:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    return samples(generate_latest(registry).decode())


def looked(store: Store) -> Samples:
    exporter = Exporter(Models(store))
    exporter.look()
    return collected(exporter)


def test_what_is_known_of_a_model(store):
    found = fill(store)
    told = looked(store)
    assert told[f"window_end_timestamp_seconds{{{VERSION}}}"] == found[-1].end.timestamp()
    assert told["report_timestamp_seconds{model_name=demo}"] == max(one.made for one in found).timestamp()
    following = found[-1].end + (found[-1].end - found[-1].start)
    assert told["next_window_end_timestamp_seconds{model_name=demo}"] == following.timestamp()
    assert told[f"window_rows{{{VERSION}}}"] == 500
    assert told[f"problems{{kind=range,{VERSION},severe=true}}"] == 1
    assert told[f"problems{{kind=volume,{VERSION},severe=false}}"] == 1
    assert told[f"drifted_columns{{{VERSION}}}"] == 2
    assert told[f"drift{{column=delay,{VERSION}}}"] == 0.3
    assert told[f"drift_threshold{{column=carrier,{VERSION}}}"] == 0.1
    assert told[f"drift_importance{{column=delay,{VERSION}}}"] == 0.3
    assert told[f"prediction_drift{{{VERSION}}}"] == 0.2
    assert told[f"prediction_drift_ratio{{{VERSION}}}"] == 2
    assert told[f"prediction_drifted{{{VERSION}}}"] == 1
    assert told[f"drift_ratio{{column=delay,{VERSION}}}"] == pytest.approx(3)
    assert told["last_label_timestamp_seconds{model_name=demo}"] == (found[0].start + LABELLED).timestamp()


def test_p_values_are_told_in_thresholds_like_distances_and_still_predictions_as_still(store):
    tested = Drifted(column="delay", value=0.0025, threshold=0.05, importance=0.3)
    likely = PredictionDrift(column="prediction", method="ks", value=0.6, threshold=0.05, drifted=False)
    keep_evidence(store, window(0, drifted=(tested,), prediction=likely))
    told = looked(store)
    assert told[f"drift_ratio{{column=delay,{VERSION}}}"] == pytest.approx(2)
    assert told[f"prediction_drift{{{VERSION}}}"] == 0.6
    assert told[f"prediction_drift_ratio{{{VERSION}}}"] < 1
    assert told[f"prediction_drifted{{{VERSION}}}"] == 0


def test_each_line_of_quality_is_of_the_newest_window_that_has_it(store):
    fill(store)
    told = looked(store)

    def line(name: str, line: str, bound: str) -> float:
        return told[f"{name}{{bound={bound},line={line},metric=roc_auc,{VERSION}}}"]

    assert line("quality", "reference", "value") == 0.80
    assert line("quality", "estimated", "value") == 0.75
    assert line("quality", "measured", "value") == 0.70  # not 0.60, of a window that lacks labels
    assert line("quality_loss", "measured", "value") == pytest.approx(0.10)
    assert line("quality_loss", "measured", "low") == pytest.approx(0.08)
    assert line("quality_loss", "measured", "high") == pytest.approx(0.12)
    assert line("quality_loss", "estimated", "low") == pytest.approx(0.04)
    assert told[f"relation_changed{{{VERSION}}}"] == 1
    assert told[f"labelled_share{{{VERSION}}}"] == 0.2
    assert told[f"expected_label_share{{{VERSION}}}"] == 0.6


def test_decisions_and_retrainings(store):
    fill(store)
    told = looked(store)
    assert told["decisions_total{action=retrain,held_back=,model_name=demo}"] == 1
    assert told["decisions_total{action=nothing,held_back=,model_name=demo}"] == 0
    assert told["retrainings_total{model_name=demo,result=failed}"] == 1
    assert told["retrainings_total{model_name=demo,result=promoted}"] == 0
    assert told["retrainings_open{model_name=demo}"] == 0
    assert told["asks_person{model_name=demo}"] == 0
    assert "decision_timestamp_seconds{action=retrain,model_name=demo}" in told


def test_an_empty_store_has_no_models(store):
    told = looked(store)
    assert told["fullcircle_exporter_failures_total"] == 0
    assert told["fullcircle_exporter_look_timestamp_seconds"] == pytest.approx(time.time(), abs=60)


def test_a_damaged_model_keeps_its_figures_and_is_counted_and_the_others_go_on(store, capsys):
    (*_, last) = fill(store)
    fill(store, model="other")
    exporter = Exporter(Models(store))
    exporter.look()
    whole = collected(exporter)
    time.sleep(0.01)
    store.put_bytes(evidence_key(last), b"{")
    exporter.look()
    damaged = collected(exporter)
    assert damaged[f"window_rows{{{VERSION}}}"] == whole[f"window_rows{{{VERSION}}}"]
    assert damaged["fullcircle_exporter_failures_total"] == 1
    assert damaged["fullcircle_exporter_look_timestamp_seconds"] == whole["fullcircle_exporter_look_timestamp_seconds"]
    assert "is no evidence of a window" in capsys.readouterr().err
    store.delete(evidence_key(last))
    exporter.look()
    assert collected(exporter)[f"window_rows{{{VERSION}}}"] == 1000  # of the day before


def test_a_defect_at_one_model_is_counted_and_the_others_go_on(store, monkeypatch, capsys):
    fill(store)
    fill(store, model="other")
    read = Models.read
    monkeypatch.setattr(Models, "read", lambda self, model: read(self, model) if model == "other" else int(model))
    told = looked(store)
    assert told["fullcircle_exporter_failures_total"] == 1
    assert told["window_rows{model_name=other,model_version=v1}"] > 0
    assert "demo: ValueError: invalid literal" in capsys.readouterr().err


def test_what_was_read_is_not_read_again(store, monkeypatch):
    fill(store)
    exporter = Exporter(Models(store))
    exporter.look()
    read: list[str] = []
    get = Store.read_with_etag

    def noted(store: Store, key: str) -> tuple[bytes, str] | None:
        read.append(key)
        return get(store, key)

    monkeypatch.setattr(Store, "read_with_etag", noted)
    exporter.look()
    assert not [key for key in read if "/decisions/" in key]


@contextmanager
def exporting(port: int, **options: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "components.monitor.exporter", f"--port={port}", "--host=127.0.0.1"]
    command += [f"--{name}={value}" for name, value in options.items()]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return samples(answer.read().decode())


def answers(port: int) -> bool:
    try:
        return bool(scraped(port))
    except OSError:
        return False


def test_the_program_looks_again_and_ends_when_it_is_told_to(store):
    port = free_port()
    with exporting(port, seconds=0.2) as process:
        until(lambda: answers(port))
        assert f"window_rows{{{VERSION}}}" not in scraped(port)
        fill(store)
        until(lambda: scraped(port).get(f"window_rows{{{VERSION}}}") == 500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_program_without_a_store_or_a_port(store, monkeypatch):
    port = free_port()
    with exporting(port) as process:
        until(lambda: answers(port))
        with exporting(port) as second:
            assert second.wait(30) == 1
        assert process.poll() is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    with exporting(port) as process:
        assert process.wait(30) == 1
