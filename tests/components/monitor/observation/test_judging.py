"""Which labels count for windows that are cut by event time, and how late these are."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from components.monitor.observation.counts import Counts
from components.monitor.observation.judging import Judge
from components.monitor.observation.versions import Version, Versions
from components.monitor.quality.lines import WindowQuality
from components.shared.config import MonitoringConfig, WindowsConfig
from components.shared.labels.store import Labels
from components.shared.package.model_package import verify, version_prefix
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.monitor.logged import DAY, START, requests
from tests.helpers import make_table, put_folder

ROWS = 400
DUE = START + 30 * DAY


@pytest.fixture
def version(store, packages) -> Iterator[Version]:
    """A champion of the model demo."""
    name = verify(packages()).version
    put_folder(store, version_prefix("demo", name), packages())
    Registry(store, "demo").promote(name, expected=None)
    keep_settings(store, "demo", name, MonitoringConfig())
    with Versions(store, "demo") as versions:
        found = versions.find(name)
        assert found is not None
        yield found


def asked(version: Version) -> pa.Table:
    """Invoices as they are logged, each asked about on the first day and due at some moment of the thirtieth."""
    due = [DUE + DAY * place / ROWS for place in range(ROWS)]
    return requests(version.scorer, ROWS, span=DAY / 2, events=due, seed=3)


def pay(store: Store, version: Version, *, late: timedelta, rows: slice) -> None:
    """Say of some invoices when they were paid, on the day after: so long after they were due, or before it."""
    places = range(ROWS)[rows]
    said = [str(value).lower() for value in make_table(rows=ROWS, seed=3)["target"].to_pylist()]
    table = pa.table(
        {
            "id": [str(place) for place in places],
            "label": [said[place] for place in places],
            "event_time": [DUE + DAY * place / ROWS + late for place in places],
        }
    )
    Labels(store, "demo", version.schema).append(table, source="paid", arrival=DUE + DAY + late)


def judged(store: Store, version: Version, log: pa.Table, *, now: datetime, time: str = "event") -> WindowQuality:
    judge = Judge(store, "demo", WindowsConfig.model_validate({"time": time}), now=now)
    return judge.judge(version, judge.rows(version, log, Counts(rows=ROWS)), [])


def test_labels_that_are_known_before_the_event_count(store, version):
    """Who pays in time pays before it is due: without these labels all seem to pay late."""
    pay(store, version, late=-5 * DAY, rows=slice(0, 300))
    pay(store, version, late=9 * DAY, rows=slice(300, ROWS))
    log, now = asked(version), DUE + 30 * DAY
    by_server = judged(store, version, log, now=now, time="server")
    by_event = judged(store, version, log, now=now)

    assert (by_event.joined.labelled, by_event.joined.early) == (ROWS, 0)
    assert by_event.joined.table["label"].equals(by_server.joined.table["label"])
    assert by_event.quality is not None
    assert by_event.quality.labelled == 1.0
    assert by_event.joined.table["received"].equals(log["received"])


def test_by_event_time_labels_are_late_from_the_event_on(store, version):
    pay(store, version, late=2 * DAY, rows=slice(0, ROWS))
    lags = {}
    for time in ("server", "event"):
        found = judged(store, version, asked(version), now=DUE + 90 * DAY, time=time).lag.overall
        assert found is not None
        lags[time] = found.quantile(0.5) / DAY.total_seconds()
    assert lags == pytest.approx({"event": 2.5, "server": 32.75}, abs=0.05)


def test_what_was_known_when_it_was_asked_for_says_nothing(store, version):
    pay(store, version, late=-32 * DAY, rows=slice(0, ROWS))
    found = judged(store, version, asked(version), now=DUE + 30 * DAY)
    assert (found.joined.labelled, found.joined.early) == (0, ROWS)


@pytest.mark.parametrize("logged", [None, START + 9_000 * DAY])
def test_answers_that_no_clock_of_labels_tells_of_take_any_label(store, version, logged):
    """Rows of a batch prediction have no server time; where a past is played again, that is of another clock."""
    pay(store, version, late=-5 * DAY, rows=slice(0, ROWS))
    log, name = asked(version), "received"
    column = pa.array([logged] * ROWS, log.schema.field(name).type)
    log = log.set_column(log.column_names.index(name), log.schema.field(name), column)
    found = judged(store, version, log, now=DUE + 30 * DAY)
    assert (found.joined.labelled, found.joined.early) == (ROWS, 0)
    assert found.quality is not None
    assert found.quality.measured is not None
    assert np.isfinite(found.quality.measured.value)
