"""Targets of the Makefile call verbs with options that there are."""

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import application
from tests.pipelines.command_line import ROOT

VARIABLES = {
    "DATA": "new.parquet", "VERSION": "abc", "DESTINATION": "june", "MODEL": "wine", "REASON": "it was wrong",
    "WHY": "it is whole again", "POLICY": "stricter.yaml",
    "DAYS": "3", "YES": "1", "TAG": "dev", "HOST": "http://localhost:1", "NAMESPACE": "ns", "RUNS": "runs", "RUN": "id",
    "JSON": "1", "CRON": "0 3 * * mon", "WINDOW_START": "2024-01-01", "WINDOW_END": "2024-02-01",
    "PATHS": '{"t": "p.csv"}',
    "HERE": "1", "EVERY": "60", "FORCE": "1", "ACCOUNT": "runner", "NO_FOLLOW": "1",
}  # fmt: skip
TARGETS = (
    "run", "predict", "labels", "stop", "rollback", "approve", "reject", "versions", "monitor", "watch", "decisions",
    "replay-policy", "resume", "undeploy", "prune", "contract", "compile", "submit", "follow",
    "schedule", "diagnose", "doctor",
)  # fmt: skip
VALUES: dict[str, dict[str, Any]] = {
    "run": {"window_start": "2024-01-01", "paths": '{"t": "p.csv"}', "force": True},
    "predict": {"data": "new.parquet", "version": "abc", "destination": "june"},
    "labels": {"data": "new.parquet", "label": "", "days": 40.0},
    "rollback": {"model": "wine", "version": "abc", "reason": "it was wrong", "namespace": "ns"},
    "replay-policy": {"model": "wine", "policy": Path("stricter.yaml")},
    "resume": {"model": "wine", "why": "it is whole again"},
    "approve": {"model": "wine", "version": "abc", "why": "it is whole again", "namespace": "ns", "here": True},
    "reject": {"model": "wine", "version": "abc", "why": "it is whole again"},
    "monitor": {"models": ["wine"]},
    "watch": {"every": 60.0},
    "prune": {"models": ["wine"], "days": 3.0, "yes": True},
    "submit": {
        "window_start": "2024-01-01", "paths": '{"t": "p.csv"}', "force": True, "account": "runner", "no_follow": True,
        "host": "http://localhost:1", "namespace": "ns", "kfp_namespace": "kubeflow",
    },
    "follow": {"run": "id", "host": "http://localhost:1"},
    "schedule": {"cron": "0 3 * * mon", "window_end": "2024-02-01", "force": True},
    "doctor": {"namespace": "ns", "runs": "runs", "json": True, "image": "localhost/fullcircle/stage:dev"},
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_passes_its_variables_on(target):
    assert shutil.which("make"), "the Makefile needs make"
    assigned = [f"{name}={value}" for name, value in VARIABLES.items()]
    done = subprocess.run(
        ["make", "--dry-run", target, *assigned], cwd=ROOT, capture_output=True, text=True, check=True
    )

    script = done.stdout.replace("\\\n", " ").replace("; fi", " ; fi").replace("; else", " ; else")
    (line,) = (line for line in script.splitlines() if "-m pipelines" in line)
    words = shlex.split(line[line.index("-m pipelines") :])[2:]
    verb, *arguments = words[: words.index(";")] if ";" in words else words
    assert verb == target
    with application().commands[verb].make_context(verb, arguments) as context:
        assert VALUES.get(verb, {}).items() <= context.params.items()
