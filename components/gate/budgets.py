"""What a candidate may cost: bytes to store and load, time to answer.

What a model costs shows only once it serves, which is late: a forest of a gigabyte starts slowly and fills the servers'
memory. So both are measured before. The median of many single rows is hardly disturbed by what else the machine does
meanwhile; what a request takes on its way to the model is not in it.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from components.gate.verdict import Check
from components.shared import frames
from components.shared.errors import DataError
from components.shared.formatting import format_against, format_limit
from components.shared.package.scoring import Scorer

_ROWS = 300  # rows that are timed, one request each
_WARM_UP = 50
_MEGABYTE = 1_000_000


def check_size(files: Iterable[Path], limit: float) -> Check:
    """Hold the size of the package against its limit.

    Args:
        files: What will be published.
        limit: In MB (10^6 bytes).
    """
    size = sum(path.stat().st_size for path in files) / _MEGABYTE
    found = f"The package has {format_against(size, limit, digits=3)} MB, {format_limit(limit)} MB allowed"
    remedy = "." if size <= limit else "; limit the model's size in search.space, or raise gate.package_megabytes."
    return Check(name="package_size", value=size, limit=limit, holds=size <= limit, detail=found + remedy)


def check_latency(model: Path, splits: Path, limit: float) -> Check:
    """Hold the median time to score one row, on one thread, against its limit.

    Args:
        model: The candidate's folder.
        splits: The folder that prepare writes; rows of the test part are scored.
        limit: In ms.

    Raises:
        DataError: The test part has no rows.
    """
    found = median(time_rows(model, splits)) * 1000
    shown = format_against(found, limit, digits=3)
    outcome = f"One row is scored in {shown} ms (median of {_ROWS}, one thread), "
    allowed = f"{format_limit(limit)} ms allowed"
    remedy = "." if found <= limit else "; prefer a smaller model, or raise gate.row_milliseconds."
    return Check(name="latency", value=found, limit=limit, holds=found <= limit, detail=outcome + allowed + remedy)


def time_rows(model: Path, splits: Path) -> list[float]:
    """Time single rows of the test part, after a warm-up.

    Returns:
        Seconds, one a row.
    """
    scorer = Scorer.load(model, threads=1)
    file = pq.ParquetFile(frames.part_path(splits, "test"))
    head = next(file.iter_batches(batch_size=_ROWS, columns=scorer.schema.columns), None)
    if head is None or not head.num_rows:
        raise DataError("The test part has no rows to time the model with. Raise prepare.split.test.")
    inputs = frames.inputs(frames.features(pa.Table.from_batches([head]), scorer.schema), scorer.schema)
    single = [inputs.rows(slice(index % len(inputs), index % len(inputs) + 1)) for index in range(_WARM_UP + _ROWS)]
    seconds = []
    for row in single:
        start = time.perf_counter()
        scorer.score(row)
        seconds.append(time.perf_counter() - start)
    return seconds[_WARM_UP:]
