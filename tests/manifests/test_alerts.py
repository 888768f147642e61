"""The alerts, by promtool's own unit tests: each fires on what it is for, as it is worded, and not on the like."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.rendering import MANIFESTS

RULES = MANIFESTS / "components" / "monitoring" / "prometheus-rule.yaml"
MODEL = 'model_name="demo", model_version="v1"'
SERVICE = 'serving_kserve_io_inferenceservice="demo"'
OF_MODEL = {"model_name": "demo", "model_version": "v1"}
OF_SERVICE = {"serving_kserve_io_inferenceservice": "demo"}
LONG = 60  # minutes


@dataclass(frozen=True)
class Case:
    """An alert.

    Attributes:
        alert: Its name.
        fires: Series, in promtool's notation, on which it fires.
        quiet: Series on which it does not.
        labels: Of the alert, besides its severity.
        summary: As a person reads it.
        minutes: When it is looked at.
    """

    alert: str
    fires: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str]
    summary: str
    minutes: int = LONG


def requests(failed: str, answered: str = "0+60x120") -> dict[str, str]:
    return {
        f'fullcircle_requests_total{{{SERVICE}, protocol="v1", status="503"}}': failed,
        f'fullcircle_requests_total{{{SERVICE}, protocol="v1", status="200"}}': answered,
        f'fullcircle_requests_total{{{SERVICE}, protocol="v2", status="400"}}': "0+60x120",  # a client's mistakes
    }


def copies(lost: str) -> dict[str, str]:
    return {
        f'fullcircle_shadow_requests_total{{{SERVICE}, outcome="dropped"}}': lost,
        f'fullcircle_shadow_requests_total{{{SERVICE}, outcome="answered"}}': "0+60x120",
    }


def loss(line: str, low: float, value: float) -> dict[str, str]:
    start = f'fullcircle_monitor_quality_loss{{{MODEL}, metric="roc_auc", line="{line}"'
    return {f'{start}, bound="low"}}': f"{low}x120", f'{start}, bound="value"}}': f"{value}x120"}


def labels(there: float, expected: float) -> dict[str, str]:
    return {
        f"fullcircle_monitor_labelled_share{{{MODEL}}}": f"{there}x120",
        f"fullcircle_monitor_expected_label_share{{{MODEL}}}": f"{expected}x120",
    }


CASES = [
    Case(
        "FullcircleEndpointErrors", requests("0+2x120"), requests("0+1x120"), OF_SERVICE,
        "demo fails 1.639% of its requests",
    ),
    Case(
        "FullcircleLogRowsDropped",
        {f'fullcircle_log_rows_total{{{SERVICE}, outcome="dropped"}}': "0x50 15x70"},
        {
            f'fullcircle_log_rows_total{{{SERVICE}, outcome="dropped"}}': "3x120",
            f'fullcircle_log_rows_total{{{SERVICE}, outcome="written"}}': "0+9x120",
        },
        OF_SERVICE, "demo has lost 15 rows of its log",
    ),
    Case(
        "FullcircleLogNotWritten", {f"fullcircle_log_failed_writes_total{{{SERVICE}}}": "0+3x120"},
        {f"fullcircle_log_failed_writes_total{{{SERVICE}}}": "0x50 1x70"}, OF_SERVICE, "demo cannot write its log",
    ),
    Case(
        "FullcircleShadowCopiesLost", copies("0+20x120"), copies("0+6x120"), OF_SERVICE,
        "A candidate of demo misses 25% of its copies",
    ),
    Case(
        "FullcircleExporterDown", {"something_else": "1x120"}, {"fullcircle_exporter_look_timestamp_seconds": "1x120"},
        {}, "Nothing tells what the monitor finds",
    ),
    Case(
        "FullcircleExporterStale", {"fullcircle_exporter_look_timestamp_seconds": "0x120"},
        {"fullcircle_exporter_look_timestamp_seconds": "0+60x120"}, {}, "The figures of the monitor are 1h 0m 0s old",
    ),
    Case(
        "FullcircleMonitorStale", {'fullcircle_monitor_next_window_end_timestamp_seconds{model_name="demo"}': "0x2880"},
        {'fullcircle_monitor_next_window_end_timestamp_seconds{model_name="demo"}': "86400x2880"},
        {"model_name": "demo"},
        "A window of demo has been over for 1d 6h 1m 0s without a report", minutes=30 * 60 + 1,
    ),
    Case(
        "FullcircleRowsUntrusted",
        {
            f'fullcircle_monitor_problems{{{MODEL}, kind="range", severe="true"}}': "2x120",
            f'fullcircle_monitor_problems{{{MODEL}, kind="schema", severe="true"}}': "1x120",
        },
        {f'fullcircle_monitor_problems{{{MODEL}, kind="volume", severe="false"}}': "2x120"},
        OF_MODEL, "The rows that demo is asked have 3 severe problems",
    ),
    Case(
        "FullcircleDrift",
        {
            f'fullcircle_monitor_drift_importance{{{MODEL}, column="a"}}': "0.15x120",
            f'fullcircle_monitor_drift_importance{{{MODEL}, column="b"}}': "0.1x120",
        },
        {f'fullcircle_monitor_drift_importance{{{MODEL}, column="a"}}': "0.15x120"},
        OF_MODEL, "Columns have drifted that are 25% of what demo looks at",
    ),
    Case(
        "FullcircleQualityDropped", loss("measured", 0.03, 0.05), loss("measured", -0.01, 0.05),
        {**OF_MODEL, "metric": "roc_auc", "line": "measured", "bound": "low"},
        "demo is worse than on its test part, by 0.03 of roc_auc at least",
    ),
    Case(
        "FullcircleEstimatedQualityDropped", loss("estimated", 0.03, 0.05), loss("measured", 0.03, 0.05),
        {**OF_MODEL, "metric": "roc_auc", "line": "estimated", "bound": "low"},
        "demo is estimated to be worse than on its test part, by 0.03 of roc_auc at least",
    ),
    Case(
        "FullcircleRelationChanged", {f"fullcircle_monitor_relation_changed{{{MODEL}}}": "1x120"},
        {f"fullcircle_monitor_relation_changed{{{MODEL}}}": "0x120"}, OF_MODEL, "What demo has learned no longer holds",
    ),
    Case(
        "FullcircleLabelsLate", labels(0.5, 0.9), labels(0.7, 0.9), OF_MODEL,
        "40% of the rows of demo lack the label that should be there", minutes=90,
    ),
    Case(
        "FullcircleRetrainingFailed",
        {'fullcircle_monitor_retrainings_total{model_name="demo", result="failed"}': "0x30 1x90"},
        {
            'fullcircle_monitor_retrainings_total{model_name="demo", result="failed"}': "1x120",
            'fullcircle_monitor_retrainings_total{model_name="demo", result="promoted"}': "0x30 1x90",
        },
        {"model_name": "demo"}, "A retraining of demo has failed",
    ),
    Case(
        "FullcircleAsksPerson", {'fullcircle_monitor_asks_person{model_name="demo"}': "1x120"},
        {'fullcircle_monitor_asks_person{model_name="demo"}': "0x120"}, {"model_name": "demo"},
        "Retraining does not help demo: a person is asked",
    ),
]  # fmt: skip


def rules() -> dict[str, Any]:
    """What a plain Prometheus takes as a rules file."""
    found: dict[str, Any] = yaml.safe_load(RULES.read_text())["spec"]
    return found


def alerts() -> dict[str, Any]:
    return {rule["alert"]: rule for group in rules()["groups"] for rule in group["rules"]}


def promtool(*arguments: str | Path) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool on PATH (Debian's package prometheus)")
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules()))
    return path


def test_a_plain_prometheus_takes_the_rules(plain):
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", plain)


def test_every_alert_has_a_case_and_says_what_to_do():
    assert [case.alert for case in CASES] == list(alerts())
    for rule in alerts().values():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_it_fires_on_what_it_is_for_and_not_on_the_like(case, plain, tmp_path):
    rule = alerts()[case.alert]
    fired = {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {"summary": case.summary, "description": rule["annotations"]["description"]},
    }
    content = {
        "rule_files": [str(plain)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"eval_time": f"{case.minutes}m", "alertname": case.alert, "exp_alerts": expected}],
            }
            for series, expected in ((case.fires, [fired]), (case.quiet, []))
        ],
    }
    path = tmp_path / "alerts.yaml"
    path.write_text(yaml.safe_dump(content))
    promtool("test", "rules", path)
