"""The flights from end to end, beside the same work as one plain script, in alternate rounds on the same machine."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.measure import Measured, measure
from tests.benchmarks.report import Figure, at_most, show

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = Path("pipelines", "configs", "flights.yaml")
ROUNDS = 3  # the first finds cold file caches; of three the median is a warm one
_CODE = ("components", "images", "pipelines")


@dataclass(frozen=True, slots=True)
class OurRun:
    """One run of the pipeline.

    Attributes:
        measured: The whole command.
        timings: One entry a task, as `pipelines.local.run` writes them.
        trials: Parameters tried, by family, with the rows that each was last fitted to.
        metrics: Of the model on the test part.
    """

    measured: Measured
    timings: list[dict[str, Any]]
    trials: dict[str, list[dict[str, Any]]]
    metrics: dict[str, float]

    @property
    def working(self) -> float:
        """Seconds in which at least one stage ran."""
        return covered_seconds((task["started"], task["started"] + task["seconds"]) for task in self.timings)

    @property
    def overhead(self) -> float:
        """Share of the wall time in which no stage ran."""
        return 1 - self.working / self.measured.seconds


@dataclass(frozen=True, slots=True)
class BareRun:
    """One run of the plain script; `result` is what it says of itself."""

    measured: Measured
    result: dict[str, Any]


def covered_seconds(stretches: Iterable[tuple[float, float]]) -> float:
    """Length of the union of stretches of time."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(stretches):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def flights(console: Console) -> list[Figure]:
    """Measure both sides, alternately."""
    ours: list[OurRun] = []
    bare: list[BareRun] = []
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as name:
        folder = Path(name)
        checkout = make_checkout(folder / "checkout")
        for number in range(ROUNDS):
            console.print(f"round {number + 1} of {ROUNDS}: the pipeline …")
            ours.append(run_ours(checkout, folder))
            console.print(f"round {number + 1} of {ROUNDS}: the bare script …")
            bare.append(_run_bare(folder))
    _check_same(ours, bare)
    _show(ours, bare, console)
    return _figures(ours, bare)


def make_checkout(folder: Path) -> Path:
    """A folder with this project's code and a build folder of its own."""
    folder.mkdir()
    for name in _CODE:
        (folder / name).symlink_to(PROJECT / name)
    return folder


def run_ours(checkout: Path, folder: Path) -> OurRun:
    """Run the pipeline as `make run` does, from an empty build folder, and end what it leaves serving."""
    shutil.rmtree(checkout / "build", ignore_errors=True)
    command = [sys.executable, "-m", "pipelines"]
    try:
        measured = measure(
            [*command, "run", str(CONFIG)], cwd=checkout, log=folder / "ours.log", environment={"PYTHONPATH": ""}
        )
    finally:
        subprocess.run([*command, "stop"], cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    timings = json.loads((checkout / "build" / "runs" / CONFIG.stem / "latest" / "timings.json").read_bytes())
    trials = {family: _trials(timings, family) for family in _families(timings)}
    (folder / "trials.json").write_text(json.dumps(trials), encoding="utf-8")
    report = json.loads(artifact(timings, "evaluate", "evaluate_report").joinpath("metrics.json").read_bytes())
    return OurRun(measured, timings, trials, report["scores"]["values"])


def trained_package(folder: Path) -> Path:
    """Run the pipeline and put its model package together, below a folder.

    Raises:
        CommandError: The run failed.
    """
    from components.publish.publish import assemble

    timings = run_ours(make_checkout(folder / "checkout"), folder).timings
    package = folder / "package"
    model, evaluated = artifact(timings, "train", "model"), artifact(timings, "evaluate", "evaluate_report")
    assemble(package, CONFIG.stem, model=model, evaluated=evaluated)
    return package


def _families(timings: list[dict[str, Any]]) -> list[str]:
    return [task["task"].partition("(")[2].rstrip(")") for task in timings if task["task"].startswith("tune (")]


def _trials(timings: list[dict[str, Any]], family: str) -> list[dict[str, Any]]:
    found = json.loads(artifact(timings, f"tune ({family})", "trials").read_bytes())
    return [
        {"parameters": trial["parameters"], "rows": trial["rows"]}
        for trial in found["trials"]
        if trial["state"] != "failed"
    ]


def artifact(timings: list[dict[str, Any]], task: str, name: str) -> Path:
    """An artifact of a run, by the task that wrote it."""
    return next(Path(entry["artifacts"][name]) for entry in timings if entry["task"] == task)


def _run_bare(folder: Path) -> BareRun:
    """Run the script on the trials of the pipeline's last run."""
    output = folder / "bare"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    script = Path(__file__).with_name("bare_script.py")
    command = [sys.executable, str(script), "--output", str(output), "--trials", str(folder / "trials.json")]
    # As our run sets it: threads that spin while they wait would cost the script dearly on a machine that is not idle.
    measured = measure(command, cwd=folder, log=folder / "bare.log", environment={"OMP_WAIT_POLICY": "PASSIVE"})
    return BareRun(measured, json.loads((output / "result.json").read_bytes()))


def _check_same(ours: list[OurRun], bare: list[BareRun]) -> None:
    """Both sides have to have done the same work, or their times say nothing."""
    for our, other in zip(ours, bare, strict=True):
        tried = {family: len(trials) for family, trials in our.trials.items()}
        if tried != other.result["trials"]:
            raise RuntimeError(f"The sides differ in their trials: {tried} and {other.result['trials']}.")
        gap = abs(our.metrics["roc_auc"] - other.result["metrics"]["roc_auc"])
        if gap > 0.01:
            raise RuntimeError(f"The sides' models differ by {gap:.4f} in ROC AUC: they are not the same.")


def _show(ours: list[OurRun], bare: list[BareRun], console: Console) -> None:
    rounds = [
        [
            f"round {number}",
            *(our.measured.seconds, our.measured.cpu, our.measured.peak / 1e6, our.overhead * 100),
            *(other.measured.seconds, other.measured.cpu, other.measured.peak / 1e6),
        ]
        for number, (our, other) in enumerate(zip(ours, bare, strict=True), start=1)
    ]
    columns = ["", "ours, s", "CPU s", "peak MB", "outside the stages, %", "bare script, s", "CPU s", "peak MB"]
    show("The flights from end to end", columns, rounds, console=console)
    our = sorted(ours, key=lambda run: run.measured.seconds)[len(ours) // 2]
    tasks = [
        [
            task["task"],
            task["started"] - our.measured.started,
            task["seconds"],
        ]
        for task in our.timings
    ]
    show("Our stages, in the median round", ["", "started at, s", "seconds"], tasks, console=console)
    largest = max(ours, key=lambda run: run.measured.peak).measured.peak_processes
    parts = [[name, size / 1e6] for name, size in sorted(largest.items(), key=lambda item: -item[1])]
    show("Our memory at its peak", ["process", "MB"], parts, console=console)
    steps = sorted(bare, key=lambda run: run.measured.seconds)[len(bare) // 2].result["seconds"]
    show("The bare script, in the median round", ["", "seconds"], list(steps.items()), console=console)


def _figures(ours: list[OurRun], bare: list[BareRun]) -> list[Figure]:
    seconds = statistics.median(run.measured.seconds for run in ours)
    beside = statistics.median(run.measured.seconds for run in bare)
    return [
        at_most(
            "flights end to end: wall time, of that of the bare script",
            seconds / beside,
            1.25,
            unit="ratio",
            target="our wall time at most 1.25 times its own",
        ),
        at_most("flights end to end: wall time", seconds, 60, unit="s", target="at most 60 s on two cores"),
        at_most(
            "flights end to end: peak memory of all processes",
            max(run.measured.peak for run in ours) / 1e9,
            1.5,
            unit="GB",
            target="1.5 GB at peak",
        ),
        at_most(
            "flights end to end: time in which no stage ran",
            statistics.median(run.overhead for run in ours) * 100,
            20,
            unit="%",
            target="everything outside the stages (starting, ending, passing artifacts) at most 20%",
        ),
    ]
