"""False alarms and misses: changes of many kinds put into the windows of real tables, and who finds them.

`make bench-alarms`. Models of two tables (`tables`) are made by the project's own stages. A seed deals the rows that a
model has not learned from to a reference and to windows: five without a change, and then, for each kind of change at
each of three strengths, four with it, whose labels come a window late. Ours is the product's own way from the rows of a
window to a decision with the default settings (`watching`); a change is found when a decision warns or retrains.
Evidently and nannyml look at the same windows of the first seeds (`peers`); Evidently, a look of which takes seconds,
only at the third window of each change. `build/bench/alarms_kinds.json` has every kind by itself, `alarms.md` tables by
family of changes. What is done is kept in `build/bench/alarms_done`, each table and seed by itself: with `--resume` a
benchmark that was cut short goes on from there.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from components.shared.files import write_text
from components.shared.resources import cpu_count
from tests.benchmarks.alarms.changes.kinds import KINDS
from tests.benchmarks.alarms.figures import PEERS, behind, by_kind, figures
from tests.benchmarks.alarms.measuring import Outcome, Work, measure
from tests.benchmarks.alarms.page import markdown
from tests.benchmarks.alarms.tables import TABLES, train
from tests.benchmarks.report import FOLDER, report, show

SEEDS, NANNYML_SEEDS, EVIDENTLY_SEEDS = 20, 3, 1
_OUTCOMES = TypeAdapter(list[Outcome])


def main() -> None:
    """Measure, print, and write."""
    options = _options()
    console = Console()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fullcircle-alarms-") as folder:
        work = list(_work(options, Path(folder)))
        done = FOLDER / f"{options.name}_done"
        if not options.resume:
            shutil.rmtree(done, ignore_errors=True)
        outcomes = list(_outcomes(work, done, console, processes=options.processes))
    kinds = by_kind(outcomes)
    columns = ["kind", "strength", *kinds[0]["found"]]
    rows = [[one["kind"], one["strength"], *one["found"].values()] for one in kinds]
    show("Share of the changes that were found", columns, rows, console=console)
    for outcome in outcomes:
        if not outcome.kind and outcome.why:
            console.print(f"without a change, {outcome.table}, seed {outcome.seed}: {outcome.why}", highlight=False)
    for peer in PEERS:
        for line in behind(kinds, peer):
            console.print(f"{peer} finds more: {line}", highlight=False)
    report(options.name, figures(outcomes), console=console)
    (FOLDER / f"{options.name}_kinds.json").write_text(json.dumps(kinds, indent=1) + "\n", encoding="utf-8")
    (FOLDER / f"{options.name}.md").write_text(markdown(outcomes), encoding="utf-8")
    console.print(f"took {time.perf_counter() - started:,.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how often rows are dealt anew ({SEEDS})")
    for name, most in (("evidently", EVIDENTLY_SEEDS), ("nannyml", NANNYML_SEEDS)):
        parser.add_argument(f"--{name}", type=int, default=most, help=f"seeds that {name} looks at ({most})")
    parser.add_argument("--tables", nargs="*", choices=[table.name for table in TABLES], help="only these")
    parser.add_argument("--kinds", default="", help="only kinds of change with this text in their name")
    parser.add_argument("--processes", type=int, default=cpu_count())
    parser.add_argument("--resume", action="store_true", help="go on where a benchmark of this code was cut short")
    parser.add_argument("--name", default="alarms", help="of the files in build/bench (alarms)")
    return parser.parse_args()


def _work(options: argparse.Namespace, folder: Path) -> Iterator[Work]:
    """Train a model of each table, and say what is to be done with it; what takes longest comes first."""
    kinds = tuple(kind.name for kind in KINDS if options.kinds in kind.name)
    packages = {}
    for table in TABLES:
        if not options.tables or table.name in options.tables:
            (folder / table.name).mkdir()
            packages[table.name] = train(table, folder / table.name).package
    for seed in range(options.seeds):
        for name, package in packages.items():
            yield Work(name, package, seed, seed < options.evidently, seed < options.nannyml, kinds)


def _outcomes(work: Sequence[Work], kept: Path, console: Console, *, processes: int) -> Iterator[Outcome]:
    """Do it all, some at once, each on one core; what is kept already is not done again."""
    os.environ["OMP_NUM_THREADS"] = "1"
    kept.mkdir(parents=True, exist_ok=True)
    left = []
    for one in work:
        if (file := kept / one.file).is_file():
            yield from _OUTCOMES.validate_json(file.read_bytes())
        else:
            left.append(one)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(measure, one): one for one in left}
        for number, done in enumerate(as_completed(running), len(work) - len(left) + 1):
            one, found = running[done], done.result()
            console.print(f"{number} of {len(work)}: {one.table}, seed {one.seed}", highlight=False)
            write_text(kept / one.file, _OUTCOMES.dump_json(found).decode())
            yield from found


if __name__ == "__main__":
    main()
