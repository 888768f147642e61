"""`make bench-day`: a day of a million requests, from the files of the log to the decision; build/bench/day.json.

    python -m tests.benchmarks.day [--package FOLDER] [--rows N]

The log is that of an endpoint that writes a file every 5 seconds, 17,280 a day, in a real S3 server (weed), with a
label for every request. What is timed is a program of its own from its start to its end, libraries and all: it reads
the day, judges drift and quality, makes the pages, and takes the decision by the version's rule, as the scheduled jobs
do. It is timed as the hourly compaction leaves the day, which is how a monitor finds it, and before, on the raw files.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from components.monitor.observation.observe import observed
from components.shared import frames
from components.shared.config import MonitoringConfig
from components.shared.decisions.records import Decided
from components.shared.inference_log.compaction import compact_log
from components.shared.inference_log.layout import HOUR, hour_prefix, raw_name
from components.shared.inference_rows import RECEIVED, REQUEST_ID, log_schema, logged_name
from components.shared.labels.layout import LABEL
from components.shared.labels.store import Labels
from components.shared.package.model_package import REFERENCE, verify
from components.shared.package.scoring import Scorer, score_rows
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.registry import Registry
from components.shared.store import Store
from components.shared.tasks import TASKS
from pipelines.decisions.watching import Watcher
from tests.benchmarks.inference_log import FILES_AN_HOUR, NAME, SECONDS_A_FILE, champion_store, encoded
from tests.benchmarks.report import Figure, at_most, report, told
from tests.pipelines.decisions.retrainers import QuickRetrainer

ROWS = 1_000_000
_PUTTERS = 16
_FILES = 24 * FILES_AN_HOUR
_SETTINGS = MonitoringConfig.model_validate({"windows": {"size": "1d", "look_back": "3d"}})


@dataclass(frozen=True, slots=True)
class Day:
    """Rows of the log with what became of them, hour by hour.

    Attributes:
        package: Of the version that answers.
        version: Its id.
        start: The first moment.
        rows: Of a raw file.
    """

    package: Path
    version: str
    start: datetime
    rows: int

    def hours(self) -> Iterator[tuple[datetime, pa.Table, pa.Array]]:
        """Each hour: its beginning, its rows as logged, in the order of time, and their labels."""
        scorer = Scorer.load(self.package, version=self.version)
        schema = scorer.schema
        reference = pq.read_table(self.package / REFERENCE)
        reference = reference.filter(reference[schema.target].is_valid())
        scores = score_rows(scorer, frames.inputs(frames.features(reference, schema), schema))
        answered = pa.Table.from_pydict(_columns(TASKS[schema.task].answer.rows(scores, schema, schema.labels)))
        random = np.random.default_rng(0)
        for number in range(24):
            chosen = random.integers(0, reference.num_rows, self.rows * FILES_AN_HOUR)
            hour = self.start + number * HOUR
            logged = self._logged(reference.take(chosen), answered.take(chosen), hour, number, schema=schema)
            yield hour, logged, reference[schema.target].take(chosen)

    def _logged(self, rows: pa.Table, answers: pa.Table, hour: datetime, number: int, *, schema: Any) -> pa.Table:
        count = rows.num_rows
        moments = np.datetime64(hour.replace(tzinfo=None), "us") + np.arange(count) * (3_600_000_000 // count)
        known = {
            logged_name(RECEIVED, schema): pa.array(moments, pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            logged_name(REQUEST_ID, schema): pa.array([f"{number:02}-{place}" for place in range(count)]),
            logged_name("model_version", schema): pa.array([self.version] * count),
            logged_name("request_row", schema): pa.array(np.zeros(count, np.int64)),
            logged_name("latency_ms", schema): pa.array(np.full(count, 2.0)),
        }
        columns = []
        for field in log_schema(schema, ()):
            source = known.get(field.name)
            for table in (answers, rows):
                if source is None and field.name in table.column_names:
                    source = table[field.name].combine_chunks()
            if source is None:
                source = pa.nulls(count)
            columns.append(source.cast(field.type, safe=False))
        return pa.Table.from_arrays(columns, schema=log_schema(schema, ()))


def _columns(answers: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Answers as the log has them: the label and a probability for each class."""
    found: dict[str, list[Any]] = {"prediction": [answer["label"] for answer in answers]}
    for label in answers[0]["probabilities"]:
        found[f"probability_{label}"] = [answer["probabilities"][label] for answer in answers]
    return found


def fill(store: Store, day: Day) -> int:
    """Put the log of the day, and a label for each row; how many files."""
    ids, labels, puts = [], [], 0
    with ThreadPoolExecutor(_PUTTERS) as workers:
        for hour, table, targets in day.hours():
            files = []
            for number in range(FILES_AN_HOUR):
                moment = hour + timedelta(seconds=SECONDS_A_FILE * number)
                key = hour_prefix(NAME, hour) + raw_name(moment, f"flights-predictor-0-7-{number}", day.rows)
                files.append((key, table.slice(number * day.rows, day.rows)))
            for _ in workers.map(lambda file: store.put_bytes(file[0], encoded(file[1])), files, chunksize=16):
                puts += 1
            schema = Registry(store, NAME).schema()
            ids.append(table[logged_name(REQUEST_ID, schema)])
            labels.append(targets)
    known = pa.table({"request_id": pa.concat_arrays([one.combine_chunks() for one in ids]),
                      LABEL: pa.concat_arrays([one.combine_chunks() for one in labels])})  # fmt: skip
    Labels(store, NAME, schema).append(known, source="bench", arrival=day.start + timedelta(hours=30))
    return puts


# The program that is timed


def decide(now: datetime) -> dict[str, Any]:
    """One look at everything: the windows of the log, and a decision on them."""
    store = Store.connect()
    found = observed(store, NAME, now=now)
    watched = time.perf_counter()
    records = Watcher(store, NAME, QuickRetrainer(store), lambda: now, by="bench").look()
    (evidence,) = found.evidence
    quality = evidence.quality
    return {
        "rows": evidence.rows,
        "deciding": time.perf_counter() - watched,
        "labelled": quality.labelled if quality else 0.0,
        "decisions": [record.decision.action for record in records if isinstance(record, Decided)],
        "message": found.message,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def timed(store: Store, now: datetime) -> dict[str, Any]:
    """What the program says of itself, and how long it took from its start to its end."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "tests.benchmarks.day", "--decide", now.isoformat()]
    environment = {**os.environ, **store.settings.environment()}
    ran = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = dict(json.loads(ran.stdout.splitlines()[-1]))
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found | {"seconds": time.monotonic() - begun, "cpu": spent}


def figures(package: Path, console: Console, *, rows: int) -> list[Figure]:
    """Measure with a package of a flights run."""
    version = verify(package).version
    start = (datetime.now(UTC) - timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    now = start + timedelta(hours=36)  # the day is over, and its labels are there
    day = Day(package, version, start, max(1, round(rows / _FILES)))
    with champion_store(package, version) as store:
        keep_settings(store, NAME, version, _SETTINGS)
        begun = time.monotonic()
        files = fill(store, day)
        console.print(f"{files:,} files of {day.rows} rows, and their labels, put in {time.monotonic() - begun:.0f} s")
        raw = timed(store, now)
        compacted = compact_log(store, NAME)
        console.print(f"compaction: {compacted.message}")
        store.delete_many([item.key for item in store.list(f"monitoring/{NAME}/") if "settings" not in item.key])
        keep_settings(store, NAME, version, _SETTINGS)
        after = timed(store, now)
        again = timed(store, now)
    console.print(after["message"])
    console.print(f"labelled {after['labelled']:.0%}; decided {', '.join(after['decisions'])}")
    return [
        told("requests of the day", after["rows"], unit="rows"),
        at_most("files to decision, compacted by the hour", after["seconds"], 30, unit="s", target="at most 30 s"),
        at_most(f"files to decision, {files:,} raw files", raw["seconds"], 30, unit="s", target="at most 30 s"),
        told("the same once more, nothing new", again["seconds"], unit="s"),
        told("processor seconds, compacted", after["cpu"], unit="s"),
        told("processor seconds, raw files", raw["cpu"], unit="s"),
        told("the decision alone", after["deciding"], unit="s"),
        told("peak memory, compacted", after["peak"] / 1e6, unit="MB"),
        told("peak memory, raw files", raw["peak"] / 1e6, unit="MB"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure and report; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day", description=__doc__)
    parser.add_argument("--package", type=Path, help="a flights package (default: trained for it)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"requests of the day ({ROWS:,})")
    parser.add_argument("--decide", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.decide:
        print(json.dumps(decide(given.decide)))
        return 0
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as folder:
        package = given.package
        if package is None:
            from tests.benchmarks.flights import trained_package

            package = trained_package(Path(folder))
        found = figures(package, console, rows=given.rows)
    report("day", found, console=console)
    return 0 if all(figure.holds is not False for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
