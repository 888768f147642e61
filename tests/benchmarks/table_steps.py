"""Ingest, validate and prepare on ten times the flights, beside the same steps in pandas.

Each side runs as a process of its own, imports included, on the same CSV files: the flights, and the weather with them,
repeated with shifted years, so that every key stays unique and every join finds its row.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.benchmarks.measure import Measured, measure
from tests.benchmarks.report import Figure, at_most, show

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = PROJECT / "pipelines" / "configs" / "flights.yaml"
TIMES = 10
ROUNDS = 2
TABLES = ("flights", "weather", "planes")
_STEPS = "ingest to prepare on ten times the flights"


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's rounds."""

    name: str
    rounds: list[Measured]
    rows: dict[str, int]

    @property
    def seconds(self) -> float:
        return statistics.median(one.seconds for one in self.rounds)

    @property
    def peak(self) -> int:
        return max(one.peak for one in self.rounds)


def table_steps(console: Console) -> list[Figure]:
    """Measure both sides, alternately."""
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as name:
        folder = Path(name)
        console.print(f"writing {TIMES} times the flights …")
        make_tables(folder / "data", times=TIMES)
        commands = {
            "ours": ["-m", "tests.benchmarks.table_steps"],
            "pandas": [str(Path(__file__).with_name("bare_script.py")), "--until", "prepare"],
        }
        rounds: dict[str, list[Measured]] = {side: [] for side in commands}
        for number in range(ROUNDS):
            for side, command in commands.items():
                console.print(f"round {number + 1} of {ROUNDS}: {side} …")
                rounds[side].append(_measure(command, folder, side))
        ours, pandas = (_Side(side, rounds[side], _rows(folder / side)) for side in commands)
    _check_same(ours, pandas)
    show(
        _STEPS,
        ["", "seconds", "CPU s", "peak MB", "train rows"],
        [
            [side.name, side.seconds, side.rounds[-1].cpu, side.peak / 1e6, f"{side.rows['train']:,}"]
            for side in (ours, pandas)
        ],
        console=console,
    )
    return [
        at_most(
            f"{_STEPS}: time, of that in pandas",
            ours.seconds / pandas.seconds,
            0.25,
            unit="ratio",
            target="at most 1/4 of the time of the same steps in pandas",
        ),
        at_most(
            f"{_STEPS}: peak memory, of that in pandas",
            ours.peak / pandas.peak,
            0.25,
            unit="ratio",
            target="at most 1/4 of the memory of the same steps in pandas",
        ),
    ]


def _measure(command: list[str], folder: Path, side: str) -> Measured:
    output = folder / side
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    arguments = ["--data", str(folder / "data"), "--output", str(output)]
    return measure([sys.executable, *command, *arguments], cwd=PROJECT, log=folder / f"{side}.log")


def _rows(output: Path) -> dict[str, int]:
    rows: dict[str, int] = json.loads((output / "result.json").read_bytes())["rows"]
    return rows


def _check_same(ours: _Side, other: _Side) -> None:
    """Both sides have to have done the same work."""
    if ours.rows != other.rows:
        raise RuntimeError(f"The sides differ in the rows they prepared: {ours.rows} and {other.rows}.")


def make_tables(folder: Path, *, times: int) -> None:
    """Write flights.csv, weather.csv and planes.csv; the first two repeated with years counted up.

    Args:
        folder: The folder to make.
        times: How often.
    """
    import duckdb

    from tests.benchmarks.bare_script import packaged_data  # with it come the other side's libraries

    folder.mkdir(parents=True)
    source = packaged_data()
    with tempfile.TemporaryDirectory(dir=folder) as unpacked, duckdb.connect() as connection:
        zipfile.ZipFile(source / "flights.csv.zip").extract("flights.csv", unpacked)
        for table, place in (("flights", Path(unpacked)), ("weather", source)):
            later = "(left(time_hour, 4)::INTEGER + shift) || substr(time_hour, 5) AS time_hour"
            connection.execute(
                f"COPY (SELECT rows.* REPLACE (year::INTEGER + shift AS year, {later}) "
                f"FROM range({times}) AS shifts (shift), read_csv('{place / table}.csv', all_varchar = true) AS rows) "
                f"TO '{folder / table}.csv' (HEADER)"
            )
    shutil.copy(source / "planes.csv", folder / "planes.csv")


def run_stages(data: Path, output: Path) -> dict[str, int]:
    """The logic of the three stages, one after the other; the answer is the rows of each part."""
    from components.ingest.ingest import ingest_table
    from components.prepare.prepare import prepare
    from components.validate.validate import Outputs, validate
    from pipelines.config_file import load_config

    config = load_config(CONFIG)
    paths = {table: str(data / f"{table}.csv") for table in TABLES}
    table, valid = output / "table.parquet", output / "valid.parquet"
    ingest_table(config.source, config.problem, table, paths=paths)
    outputs = Outputs(valid, output / "quarantine.parquet", output / "validation.json", output / "validation.html")
    validate(table, outputs, contract=config.contract, problem=config.problem)
    summary = prepare(
        valid, output / "splits", problem=config.problem, settings=config.prepare, contract=config.contract
    )
    return {name: part.rows for name, part in summary.parts.items()}


def main() -> None:
    """Run our side once; `tests.benchmarks.laptop` measures it."""
    parser = argparse.ArgumentParser(description="Ingest, validate and prepare the flights in a folder.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the CSV files")
    parser.add_argument("--output", type=Path, required=True, help="folder for what the stages write")
    options = parser.parse_args()
    rows = run_stages(options.data, options.output)
    (options.output / "result.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
