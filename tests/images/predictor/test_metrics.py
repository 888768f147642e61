"""Figures of several workers."""

import math
import os

from prometheus_client.parser import text_string_to_metric_families

from images.predictor.metrics import Family, Meters

FAMILIES = [
    Family("asked", "Requests.", "counter", {"status": ["200", "400"]}),
    Family("waiting", "Requests that wait.", "gauge", {}),
    Family("seconds", "Seconds.", "histogram", {"step": ["one"]}, (0.1, 1.0)),
    Family("about", "What serves.", "info", {"version": ['a "b"\n\\']}),
    Family("none", "Of no column.", "counter", {"column": []}),
]


def samples(meters: Meters) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(meters.render().decode())
        for sample in family.samples
    }


def test_workers_add_up():
    meters = Meters(FAMILIES, workers=2)
    for worker in range(2):
        process = os.fork()
        if process == 0:
            meters.use(worker)
            meters.cells[meters.cell("asked", "200")] += 3
            meters.add(worker + 1, "waiting")
            meters.histogram("seconds", "one").observe(0.05, 2)
            meters.histogram("seconds", "one").observe(1.0)
            meters.histogram("seconds", "one").add([0, 0, 1], 7.0)
            os._exit(0)
        assert os.waitpid(process, 0)[1] == 0
    found = samples(meters)
    assert found["asked_total", "200"] == 6
    assert found["asked_total", "400"] == 0
    assert found["waiting",] == 3
    assert found["about", 'a "b"\n\\'] == 1
    assert [found["seconds_bucket", "one", bound] for bound in ("0.1", "1.0", "+Inf")] == [4, 6, 8]
    assert found["seconds_count", "one"] == 8
    assert math.isclose(found["seconds_sum", "one"], 2 * (0.1 + 1.0 + 7.0))
    assert meters.total("asked", "200") == 6


def test_a_worker_started_anew_goes_on_counting():
    meters = Meters(FAMILIES, workers=2)
    meters.use(1)
    meters.cells[meters.cell("asked", "400")] += 2
    meters.cells[meters.cell("waiting")] = 9
    meters.use(1)
    meters.cells[meters.cell("asked", "400")] += 1
    assert samples(meters)["asked_total", "400"] == 3
    assert samples(meters)["waiting",] == 0
