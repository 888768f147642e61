"""The model server before and between its requests: time to start, memory, and the libraries it needs."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.load import run_load
from tests.benchmarks.report import Figure, at_least, at_most
from tests.benchmarks.servers import Bench

STARTS = 5
WORKERS = (1, 2)
_REQUESTS_SECONDS = 2.0
_REST_SECONDS = 8.0  # longer than the log waits before it writes
# What the image does not hold: what the issue names, and whatever else only stages and benchmarks use.
NOT_NEEDED = (
    "sklearn", "pandas", "scipy", "kubernetes", "kserve", "duckdb", "ibis", "matplotlib", "evidently", "lightgbm",
    "shap", "skops", "joblib", "kfp", "onnx", "pandera", "optuna", "psutil", "rich", "jinja2", "fastapi",
)  # fmt: skip
_BLOCKER = '''"""Lets no import of the named modules succeed, as if they were not installed."""

import sys

NAMES = frozenset({names!r})


class Blocker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {{name!r}}: it is blocked here", name=name)


sys.meta_path.insert(0, Blocker)
'''


def start_up(bench: Bench) -> Figure:
    """From the start of the process to its first answer with 200, to a request for a prediction."""
    seconds = []
    for _ in range(STARTS):
        with bench.ours() as server:
            seconds.append(server.start_seconds)
    return at_most(
        "process start to first 200", statistics.median(seconds), 1.5, unit="s",
        target="process start to first 200: at most 1.5 s",
    )  # fmt: skip


def memory(bench: Bench) -> list[Figure]:
    """Proportional set size a worker, after thousands of requests and with the log written; that of all processes."""
    figures = []
    for workers in WORKERS:
        with bench.ours(workers=workers) as server:
            run_load(server.port, [bench.first], seconds=_REQUESTS_SECONDS)
            time.sleep(_REST_SECONDS)
            megabytes = server.memory / 1e6 / workers
        figures.append(
            at_most(
                f"memory at rest, a worker of {workers}", megabytes, 150, unit="MB",
                target="memory at rest at most 150 MB per worker",
            )
        )  # fmt: skip
    return figures


def needs(bench: Bench) -> Figure:
    """Whether the server answers, and writes its log, where what it should not need cannot be imported.

    Raises:
        RuntimeError: The modules could be imported all the same, or the server does not come up.
    """
    folder = bench.folder / "blocked"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_BLOCKER.format(names=NOT_NEEDED), encoding="utf-8")
    path = {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
    for name in NOT_NEEDED:
        command = [sys.executable, "-c", f"import {name}"]
        if subprocess.run(command, env=path, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            raise RuntimeError(f"{name} can be imported although it is blocked.")
    with bench.ours(environment=path) as server:
        load = run_load(server.port, [bench.first], seconds=0.5)
        time.sleep(_REST_SECONDS)
        written = server.counters()['fullcircle_log_rows_total{outcome="written"}']
    answered = len(load.latencies) / (len(load.latencies) + load.errors)
    return at_least(
        "requests answered and logged with these and more blocked from import", min(answered, written), 1, unit="share",
        target="the server's image needs no scikit-learn, pandas, scipy or kubernetes",
    )  # fmt: skip
