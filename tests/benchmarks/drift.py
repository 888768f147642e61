"""Drift from statistics beside Evidently's `DataDriftPreset` on the full frames, with the same methods and thresholds.

Both sides read the same Parquet files (80 columns of numbers, 20 of categories, moved by differing amounts), each in a
process of its own. Ours is timed from the files to the verdict, Evidently from the frames in memory to its result.
Evidently takes a quarter of an hour on a million rows, so by default it is measured on fewer, and its time is scaled up
in proportion (it is linear in the rows or worse); `--peer-rows 1000000` measures it in full.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import Bins, Statistics, compare, gather
from components.monitor.statistics.problems import check_rows
from components.shared.config import MonitoringConfig
from tests.benchmarks.report import Figure, at_least, at_most, report, told

NUMBERS, CATEGORIES = 80, 20
ROWS, PEER_ROWS, MANY_ROWS = 1_000_000, 100_000, 100_000_000
SHARDS, CLEAN_WINDOWS = 1_000, 100
_BIN_ROWS = 100_000
_LOG_FILES = 1_000
_BATCH = 131_072
_NUMERIC = frozenset(f"n{place}" for place in range(NUMBERS))
_SETTINGS = MonitoringConfig()


def number(place: int, rows: int, *, moved: float, random: np.random.Generator) -> Any:
    """A column of one of six shapes."""
    shift = moved * (place % 10) / 9
    shapes = (
        lambda: random.normal(shift, 1, rows),
        lambda: np.exp(random.normal(shift, 1, rows)),
        lambda: random.random(rows) < 0.3 + shift / 4,
        lambda: random.poisson(3 + 2 * shift, rows),
        lambda: np.where(random.random(rows) < 0.6 - shift / 2, 0, random.exponential(1, rows)),
        lambda: random.integers(0, 1440 - int(400 * shift), rows),
    )
    return shapes[place % len(shapes)]().astype(np.float32)


def category(place: int, rows: int, *, moved: float, random: np.random.Generator) -> pa.Array:
    """A column of 4 to 80 categories."""
    count = 4 * (place + 1)
    shares = np.arange(1, count + 1) ** (-1.0 + moved * (place % 5) / 4)
    codes = random.choice(count, rows, p=shares / shares.sum()).astype(np.int32)
    return pa.DictionaryArray.from_arrays(codes, [f"category {code}" for code in range(count)]).cast(pa.string())


def block(rows: int, *, moved: float, seed: int) -> pa.Table:
    """Rows of all columns."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"n{place}": number(place, rows, moved=moved, random=random) for place in range(NUMBERS)}
    columns |= {f"c{place}": category(place, rows, moved=moved, random=random) for place in range(CATEGORIES)}
    return pa.table(columns)


def write(path: Path, rows: int, *, moved: float, seed: int) -> None:
    """A Parquet file of blocks."""
    with pq.ParquetWriter(path, block(1, moved=0, seed=0).schema) as file:
        for start in range(0, rows, _BATCH):
            file.write_table(block(min(_BATCH, rows - start), moved=moved, seed=seed + start))


def batches(path: Path) -> Iterator[pa.Table]:
    """Its rows, one block after another."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def bins_of(path: Path) -> Bins:
    """Bins by the first rows of a reference; its statistics are of all."""
    with pq.ParquetFile(path) as file:
        frame = file.read_row_group(0).slice(0, _BIN_ROWS).to_pandas()
    return Bins.of(frame, numeric=_NUMERIC)


# The two sides, each in a process of its own


def ours(reference: Path, current: Path) -> dict[str, Any]:
    """From files to the verdict."""
    started, spent = time.perf_counter(), time.process_time()
    bins = bins_of(reference)
    findings = compare(gather(batches(reference), bins), gather(batches(current), bins), _SETTINGS)
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - spent,
        "scores": {finding.column: finding.value for finding in findings.columns},
        "drifted": findings.drifted_columns,
    }


def evidently(reference: Path, current: Path) -> dict[str, Any]:
    """From frames in memory to the result of the preset."""
    from components.shared.tracking import no_tracking

    no_tracking()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(
            numerical_columns=sorted(_NUMERIC), categorical_columns=[f"c{place}" for place in range(CATEGORIES)]
        )
        before, now = pd.read_parquet(reference), pd.read_parquet(current)
        preset = DataDriftPreset(
            num_method=_SETTINGS.numeric.method,
            num_threshold=_SETTINGS.numeric.threshold,
            cat_method=_SETTINGS.categorical.method,
            cat_threshold=_SETTINGS.categorical.threshold,
        )
        started, spent = time.perf_counter(), time.process_time()
        windows = [Dataset.from_pandas(frame, data_definition=definition) for frame in (now, before)]
        found = Report([preset]).run(*windows).dict()
        seconds, cpu = time.perf_counter() - started, time.process_time() - spent
    scores = {
        metric["config"]["column"]: metric["value"] for metric in found["metrics"] if "column" in metric["config"]
    }
    return {"seconds": seconds, "cpu": cpu, "scores": scores}


def many(reference: Path, rows: int) -> dict[str, Any]:
    """Count the same block again and again, until there are so many rows, of ten columns."""
    names = [f"n{place}" for place in range(8)] + ["c3", "c9"]
    table = next(batches(reference)).select(names)
    bins = Bins.of(table.to_pandas(), numeric=frozenset(names[:8]))
    started = time.perf_counter()
    found = gather((table for _ in range(rows // len(table))), bins)
    return {"seconds": time.perf_counter() - started, "rows": found.rows}


def day(reference: Path, folder: Path) -> dict[str, Any]:
    """A day of the log, from its files to drift and problems; the reference was counted before."""
    bins = bins_of(reference)
    before = gather(batches(reference), bins)
    started = time.perf_counter()
    now = gather((pq.read_table(path) for path in sorted(folder.glob("*.parquet"))), bins)
    findings, problems = compare(before, now, _SETTINGS), check_rows(before, now, _SETTINGS, rows_before=[ROWS])
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "rows": now.rows, "drifted": len(findings.drifted_columns), "problems": len(problems)}


_SIDES = {"ours": ours, "evidently": evidently, "many": many, "day": day}


def measured(side: str, *arguments: object) -> dict[str, Any]:
    """What a side returns, and its peak memory in bytes as `peak`."""
    command = [sys.executable, "-m", "tests.benchmarks.drift", "--side", side, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _run_side(side: str, arguments: list[str]) -> None:
    given = [int(argument) if argument.isdigit() else Path(argument) for argument in arguments]
    found = _SIDES[side](*given)  # type: ignore[operator]
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


# Figures


def figures(folder: Path, console: Console, *, rows: int, peer_rows: int, many_rows: int) -> list[Figure]:
    """Measure everything."""
    console.print(f"writing {rows:,} and {peer_rows:,} rows by {NUMBERS + CATEGORIES} columns …")
    paths = {}
    for size in {rows, peer_rows}:
        paths[size] = folder / f"reference-{size}.parquet", folder / f"current-{size}.parquet"
        for path, moved in zip(paths[size], (0.0, 0.25), strict=True):
            write(path, size, moved=moved, seed=int(1e9 * moved))
    return [
        *_beside_evidently(paths, console, rows=rows, peer_rows=peer_rows),
        *_shards(paths[peer_rows], console),
        *_memory(paths[peer_rows][0], console, rows=many_rows),
        *_day(paths[rows], folder / "log", console),
        *_clean_windows(console),
    ]


def _beside_evidently(
    paths: dict[int, tuple[Path, Path]], console: Console, *, rows: int, peer_rows: int
) -> list[Figure]:
    console.print(f"ours on {rows:,} rows, and on {peer_rows:,} …")
    full, same = measured("ours", *paths[rows]), measured("ours", *paths[peer_rows])
    console.print(f"Evidently on {peer_rows:,} rows …")
    peer = measured("evidently", *paths[peer_rows])
    scale = rows / peer_rows
    how = "" if scale == 1 else f", Evidently's time on {peer_rows:,} rows times {scale:g}"
    agreed, judged, apart = _agreement(same, peer)
    return [
        at_least(f"Evidently's time by ours, {rows:,} rows{how}", peer["seconds"] * scale / full["seconds"], 40,
                 unit="times", target="at least 40"),
        told(f"the same in processor time{how}", peer["cpu"] * scale / full["cpu"], unit="times"),
        told(f"ours, {rows:,} + {rows:,} rows, files to verdict", full["seconds"], unit="s"),
        told(f"Evidently, {peer_rows:,} + {peer_rows:,} rows in memory", peer["seconds"], unit="s"),
        told(f"ours, {peer_rows:,} + {peer_rows:,} rows", same["seconds"], unit="s"),
        at_most(f"peak memory by Evidently's, {peer_rows:,} rows", same["peak"] / peer["peak"], 0.2, unit="times",
                target="at most 1/5, at 1,000,000 rows"),
        at_most(f"peak memory on {rows:,} rows by Evidently's on {peer_rows:,}", full["peak"] / peer["peak"],
                0.2 * scale, unit="times", target=f"at most {0.2 * scale:g}" + (
                    ", were Evidently's in proportion to the rows" if scale > 1 else "")),
        told(f"peak memory, ours on {rows:,} rows", full["peak"] / 1e6, unit="MB"),
        told(f"peak memory, Evidently on {peer_rows:,} rows", peer["peak"] / 1e6, unit="MB"),
        at_least("columns with Evidently's verdict, of those not within 5 % of the threshold", agreed / judged, 1,
                 unit="share", target="all"),
        told("such columns", judged, unit="columns"),
        told("largest difference of a score", apart, unit=""),
    ]  # fmt: skip


def _agreement(mine: dict[str, Any], peer: dict[str, Any]) -> tuple[int, int, float]:
    """Columns with the same verdict, columns that are not too close to call, and the largest difference of a score."""
    agreed = judged = 0
    apart = 0.0
    for column, score in peer["scores"].items():
        limit = (_SETTINGS.numeric if column in _NUMERIC else _SETTINGS.categorical).threshold
        apart = max(apart, abs(mine["scores"][column] - score))
        if abs(score - limit) > 0.05 * limit:
            judged += 1
            agreed += (column in mine["drifted"]) == (score >= limit)
    return agreed, judged, apart


def _shards(paths: tuple[Path, Path], console: Console) -> list[Figure]:
    console.print(f"{SHARDS:,} shards …")
    bins = bins_of(paths[0])
    before, table = gather(batches(paths[0]), bins), pq.read_table(paths[1])
    whole, merged = gather([table], bins), Statistics.empty(bins)
    size = -(-len(table) // SHARDS)
    for start in range(0, len(table), size):
        merged = merged.merge(gather([table.slice(start, size)], bins))
    kept = json.loads(merged.to_json())["columns"]
    one, other = (
        {found.column: found for found in compare(before, part, _SETTINGS).columns} for part in (whole, merged)
    )
    same = np.mean([one[name].drifted == other[name].drifted for name in one])
    apart = max(abs((one[name].value or 0) - (other[name].value or 0)) for name in one)
    largest = max(len(json.dumps(column, ensure_ascii=False).encode()) for column in kept.values())
    return [
        at_least(f"columns with the verdict of one pass after merging {SHARDS:,} shards", float(same), 1, unit="share",
                 target="all"),
        told("largest difference of a score to that of one pass", apart, unit=""),
        at_most("kept statistics of a column, the largest", largest / 1e3, 10, unit="kB", target="at most 10 kB"),
    ]  # fmt: skip


def _memory(reference: Path, console: Console, *, rows: int) -> list[Figure]:
    console.print(f"{rows:,} rows of ten columns …")
    few, all_rows = measured("many", reference, rows // 100), measured("many", reference, rows)
    grown = (all_rows["peak"] - few["peak"]) / 1e6
    return [
        at_most(f"memory that {rows:,} rows take beyond {rows // 100:,}", grown, 50, unit="MB", target="bounded"),
        told(f"peak memory on {rows:,} rows of ten columns", all_rows["peak"] / 1e6, unit="MB"),
        told(f"time for {rows:,} rows of ten columns", all_rows["seconds"], unit="s"),
    ]


def _day(paths: tuple[Path, Path], log: Path, console: Console) -> list[Figure]:
    console.print(f"a day of requests in {_LOG_FILES:,} files …")
    log.mkdir()
    number = 0
    for table in batches(paths[1]):
        for start in range(0, len(table), ROWS // _LOG_FILES):
            pq.write_table(table.slice(start, ROWS // _LOG_FILES), log / f"{number:05}.parquet")
            number += 1
    found = measured("day", paths[0], log)
    name = f"one day of {found['rows']:,} requests, {number:,} files to decision"
    return [at_most(name, found["seconds"], 30, unit="s", target="at most 30 s")]


def _clean_windows(console: Console) -> list[Figure]:
    console.print(f"{CLEAN_WINDOWS} clean windows …")
    alarms = columns = alone = 0
    for seed in range(CLEAN_WINDOWS):
        before, now = (block(rows, moved=0, seed=2 * seed + part).to_pandas() for part, rows in enumerate((5_000, 500)))
        reference = reference_statistics(before, numeric=_NUMERIC)
        findings = compare(reference, gather([table_of(now)], reference.bins), _SETTINGS)
        alarms += findings.drifted
        columns += len(findings.drifted_columns)
        alone += sum((finding.value or 0) >= finding.threshold for finding in findings.columns)
    of = CLEAN_WINDOWS * (NUMBERS + CATEGORIES)
    return [
        at_most(f"tables called drifted, of {CLEAN_WINDOWS} clean windows of 500 rows", alarms, 1, unit="windows",
                target="at most 1"),
        told("columns called drifted in them", columns / of * 100, unit="%"),
        told("columns that thresholds alone would call drifted", alone / of * 100, unit="%"),
    ]  # fmt: skip


def main() -> None:
    """Measure, or be one of the sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="rows that Evidently is measured on")
    parser.add_argument("--many-rows", type=int, default=MANY_ROWS)
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        _run_side(given.side, given.arguments)
        return
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as folder:
        found = figures(Path(folder), console, rows=given.rows, peer_rows=given.peer_rows, many_rows=given.many_rows)
    report("drift", found, console=console)


if __name__ == "__main__":
    main()
