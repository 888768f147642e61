"""`make bench-start`: what a task's process does before its stage's first line of work.

Each task of a cluster is a process that starts, imports KFP's executor, and then what its stage needs. What the
container's runtime and KFP's launcher do before that is left out: `make bench-pods` has it.
"""

import ast
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from components.ingest.ingest import ingest_table
from components.shared.stages import BY_NAME, TRAINING
from pipelines.config_file import load_config
from tests.benchmarks.report import Figure, at_most, report, told

PROJECT = Path(__file__).resolve().parents[2]
WINE = PROJECT / "pipelines" / "configs" / "wine.yaml"
LIMIT = 1.5  # half of what validate took before its first line of work: 3 s
_ROUNDS = 5
_EXECUTOR = "import kfp.dsl.executor_main"


def start(console: Console) -> list[Figure]:
    """Measure validate whole, and what every stage imports."""
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as folder:
        whole, work = _validate(Path(folder), console)
    console.print("importing what each stage needs …")
    alone = _median(partial(_python, _EXECUTOR))
    imported = {name: _median(partial(_python, "\n".join([_EXECUTOR, *_imports(name)]))) for name in TRAINING}
    target = "half of 3 s"
    return [
        told("validate's task, whole", whole, unit="s"),
        told("of which its work, in a process that has begun", work, unit="s"),
        at_most("validate, before its first line of work", whole - work, LIMIT, unit="s", target=target),
        told("a process with KFP's executor alone", alone, unit="s"),
        *(told(f"the same with what {name} imports", seconds, unit="s") for name, seconds in imported.items()),
    ]


def _validate(folder: Path, console: Console) -> tuple[float, float]:
    """Seconds of validate's own command, as the container runs it, and of its work in a process that has all loaded."""
    from components.shared.config import ContractConfig, ProblemConfig
    from components.validate import validate as logic

    console.print("running validate's command on the wine …")
    config = load_config(WINE)
    table = folder / "table.parquet"
    ingest_table(config.source, config.problem, table)
    contract, problem = config.contract.model_dump_json(), config.problem.model_dump_json()
    whole = _median(partial(_run, _command(folder, table, contract=contract, problem=problem)))

    def work() -> None:
        outputs = logic.Outputs(*(folder / f"{number}-{time.monotonic_ns()}" for number in range(4)))
        logic.validate(
            table,
            outputs,
            contract=ContractConfig.model_validate_json(contract),
            problem=ProblemConfig.model_validate_json(problem),
        )

    work()
    return whole, _median(work)


def _command(folder: Path, table: Path, **parameters: str) -> list[str]:
    component: Any = import_module(BY_NAME["validate"].adapter).validate
    outputs = component.component_spec.outputs
    executor_input = {
        "inputs": {"parameterValues": parameters, "artifacts": {"table": _artifact("table", table)}},
        "outputs": {
            "artifacts": {name: _artifact(name, folder / "out" / name) for name in outputs},
            "outputFile": str(folder / "out" / "output.json"),
        },
    }
    (folder / "out").mkdir(exist_ok=True)
    container = component.component_spec.implementation.container
    command = [*container.command, *container.args]
    return [json.dumps(executor_input) if part == "{{$}}" else str(part) for part in command]


def _artifact(name: str, path: Path) -> dict[str, Any]:
    kind = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
    return {"artifacts": [{"name": name, "type": kind, "uri": str(path), "metadata": {}}]}


def _imports(stage: str) -> Iterator[str]:
    """The imports of an adapter's function, which come before its work, and its libraries that are loaded ahead."""
    row = BY_NAME[stage]
    component: Any = getattr(import_module(row.adapter), stage)
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(component.python_func)))):
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") != "kfp":
            yield ast.unparse(node)
    yield from (f"import {library}" for library in row.libraries)


def _python(program: str) -> None:
    _run([sys.executable, "-c", program])


def _run(command: Sequence[str]) -> None:
    folder = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PATH": folder, "_KFP_RUNTIME": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stderr}")


def _median(action: Callable[[], None]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        begun = time.monotonic()
        action()
        seconds.append(time.monotonic() - begun)
    return statistics.median(seconds)


def main() -> int:
    """Measure, print, write `build/bench/start.json`."""
    console = Console(highlight=False)
    figures = start(console)
    report("start", figures, console=console)
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
