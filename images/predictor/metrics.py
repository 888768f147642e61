"""The endpoint's figures, in shared memory so that any worker can answer for all of them.

Each worker counts into cells of its own, which costs as much as adding to a list; `/metrics` adds them up and leaves
the spelling to `prometheus_client`. A worker that is started anew goes on where its predecessor stopped, so no counter
goes back.
"""

import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "info": GaugeMetricFamily}


@dataclass(frozen=True)
class Family:
    """One metric.

    Attributes:
        name: As Prometheus shows it, without `_total`.
        text: What it says, with its unit.
        kind: `counter`, `gauge`, `histogram`, or `info`, whose value is always 1.
        labels: The values each label may have.
        bounds: Upper bounds of a histogram's buckets.
    """

    name: str
    text: str
    kind: str
    labels: dict[str, Sequence[str]]
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Number of cells of one combination of labels; those of a histogram are its buckets, `+Inf` and the sum."""
        return {"histogram": len(self.bounds) + 2, "info": 0}.get(self.kind, 1)

    @property
    def combinations(self) -> list[tuple[str, ...]]:
        """All combinations of labels, in order."""
        return list(product(*self.labels.values()))


# Example: with the bounds 0.1 and 0.5 there are four cells: up to 0.1, up to 0.5, above, and the sum. 0.3 is counted in
# the second one, and added to the last one.
class Histogram:
    """Cells of one histogram in one worker."""

    __slots__ = ("_cells", "_first", "_sum", "bounds")

    def __init__(self, cells: "memoryview[float]", first: int, bounds: tuple[float, ...]) -> None:
        self._cells = cells
        self._first = first
        self.bounds = bounds
        self._sum = first + len(bounds) + 1

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, once or several times."""
        self._cells[self._first + bisect_left(self.bounds, value)] += times
        self._cells[self._sum] += value * times

    def add(self, counts: Sequence[int], total: float) -> None:
        """Count many values: how many fell into each bucket, and their sum."""
        for place, count in enumerate(counts):
            if count:
                self._cells[self._first + place] += count
        self._cells[self._sum] += total


class Meters(Collector):
    """All figures of all workers.

    Args:
        families: What is counted.
        workers: Number of processes that count.
    """

    def __init__(self, families: Sequence[Family], workers: int = 1) -> None:
        self.families = families
        self.workers = workers
        self._first: dict[tuple[str, ...], int] = {}
        place = 0
        for family in families:
            for labels in family.combinations:
                self._first[(family.name, *labels)] = place
                place += family.width
        self._width = place
        self._shared = mmap.mmap(-1, 8 * place * workers)
        self._all: memoryview[float] = memoryview(self._shared).cast("d")
        self.cells = self._all
        self._lock = threading.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self.use(0)

    def use(self, worker: int) -> None:
        """Count as one of the workers from here on; its gauges start at 0."""
        self.cells = self._all[worker * self._width : (worker + 1) * self._width]
        for family in self.families:
            if family.kind == "gauge":
                for labels in family.combinations:
                    self.cells[self.cell(family.name, *labels)] = 0.0

    def cell(self, name: str, *labels: str) -> int:
        """The place in `cells` of a counter or gauge."""
        return self._first[(name, *labels)]

    def histogram(self, name: str, *labels: str) -> Histogram:
        """A histogram of this worker."""
        bounds = next(family.bounds for family in self.families if family.name == name)
        return Histogram(self.cells, self._first[(name, *labels)], bounds)

    def add(self, amount: float, name: str, *labels: str) -> None:
        """Count more of something that several threads count."""
        with self._lock:
            self.cells[self._first[(name, *labels)]] += amount

    def total(self, name: str, *labels: str) -> float:
        """A counter or gauge, over all workers."""
        return self._sum(self._first[(name, *labels)])

    def render(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What `prometheus_client` asks for."""
        for family in self.families:
            if family.kind == "histogram":
                yield self._histogram(family)
            else:
                metric = _FAMILIES[family.kind](family.name, family.text, labels=list(family.labels))
                for labels in family.combinations:
                    value = 1.0 if family.kind == "info" else self._sum(self._first[(family.name, *labels)])
                    metric.add_metric(list(labels), value)
                yield metric

    def _histogram(self, family: Family) -> Metric:
        metric = HistogramMetricFamily(family.name, family.text, labels=list(family.labels))
        for labels in family.combinations:
            first = self._first[(family.name, *labels)]
            seen, buckets = 0.0, []
            for place, bound in enumerate((*family.bounds, float("inf"))):
                seen += self._sum(first + place)
                buckets.append(("+Inf" if bound == float("inf") else repr(bound), seen))
            metric.add_metric(list(labels), buckets, sum_value=self._sum(first + len(family.bounds) + 1))
        return metric

    def _sum(self, cell: int) -> float:
        return float(sum(self._all[worker * self._width + cell] for worker in range(self.workers)))
