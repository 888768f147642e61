"""Windows of an endpoint's log as time goes by: estimated at once, measured when labels come, and what differs."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from components.monitor.quality.lines import History, WindowQuality, quality_of
from components.monitor.quality.model import QualityModel
from components.shared.config import LabelsConfig, TaskName
from components.shared.decisions.evidence import Quality
from components.shared.evaluation import Scores, Slice
from components.shared.labels.layout import LabelColumns
from components.shared.labels.store import Labels
from components.shared.metrics import TABLE
from components.shared.store import Store
from components.shared.tasks import TASKS
from tests.components.monitor.quality.conftest import DAY, MONDAY, Endpoint

SETTINGS = LabelsConfig()
Endpoints = Callable[[TaskName], tuple[Endpoint, QualityModel]]
NOTHING = History()


def known(endpoint: Endpoint, table: pa.Table, arrival: datetime | Sequence[datetime]) -> pa.Table:
    """Labels as the store gives them."""
    columns = LabelColumns(endpoint.schema)
    arrived = [arrival] * table.num_rows if isinstance(arrival, datetime) else list(arrival)
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in table["label"].to_pylist()]
    found = pa.table({columns.request_id: table["request_id"], columns.label: texts, columns.arrival: arrived})
    for field in columns.arrow():
        if field.name not in found.column_names:
            found = found.append_column(field, pa.nulls(found.num_rows, field.type))
    return found.select(columns.arrow().names).cast(columns.arrow())


def judged(
    endpoints: Endpoints, answers: pa.Table, labels: pa.Table, *, task: TaskName = "binary", now: datetime,
    history: History = NOTHING,
) -> WindowQuality:  # fmt: skip
    return quality_of(answers, labels, history, endpoints(task)[1], SETTINGS, now=now)


def test_estimated_at_once_and_measured_when_labels_have_come(endpoints):
    endpoint, model = endpoints("binary")
    answers, told = endpoint.day(0, amount=1.0)
    labels = known(endpoint, told, MONDAY + 2 * DAY)
    before = judged(endpoints, answers, labels.slice(0, 0), now=MONDAY + DAY).quality
    after = judged(endpoints, answers, labels, now=MONDAY + 3 * DAY).quality

    assert before is not None
    assert after is not None
    assert (before.labelled, before.measured, before.mature, before.expected) == (0.0, None, False, None)
    assert (after.metric, after.higher_is_better, after.reference) == ("roc_auc", True, model.reference_quality.value)
    assert (after.labelled, after.mature, after.relation_changed) == (1.0, True, False)
    assert before.estimated is not None
    assert after.measured is not None
    assert before.estimated.low <= after.measured.value <= before.estimated.high
    assert after.measured.low < after.measured.value < after.measured.high


@pytest.mark.parametrize(
    ("task", "metric"), [(name, metric) for name, task in TASKS.items() for metric in task.metrics]
)
def test_every_metric_of_every_kind_of_problem(endpoints, task, metric):
    endpoint, model = endpoints(task)
    answers, told = endpoint.day(0, amount=0.5)
    labels = known(endpoint, told, MONDAY + DAY)
    by_it = QualityModel(model.schema, metric, model.reference, ())
    quality = quality_of(answers, labels, NOTHING, by_it, SETTINGS, now=MONDAY + 2 * DAY).quality
    assert quality is not None
    assert (quality.metric, quality.higher_is_better) == (metric, not TABLE[metric].lower_is_better)
    assert quality.measured is not None
    assert (quality.estimated is not None) == (TASKS[task].has_classes or TABLE[metric].row_loss is not None)
    if quality.estimated:
        assert quality.estimated.low - 0.1 <= quality.measured.value <= quality.estimated.high + 0.1
    assert not quality.relation_changed


def days(endpoint: Endpoint, count: int, *, late: timedelta = 2 * DAY) -> tuple[list[pa.Table], pa.Table]:
    """The answers of some days, and all of their labels, each two days late."""
    answers, tables = [], []
    for day in range(count):
        logged, told = endpoint.day(day)
        answers.append(logged)
        arrivals = [moment + late for moment in logged["received"].to_pylist()]
        tables.append(known(endpoint, told, arrivals))
    return answers, pa.concat_tables(tables)


def as_of(labels: pa.Table, now: datetime) -> pa.Table:
    return labels.filter(pa.compute.less_equal(labels["arrival"], pa.scalar(now, pa.timestamp("us", tz="UTC"))))


def test_the_lag_says_which_window_is_mature(endpoints):
    endpoint, _ = endpoints("binary")
    answers, labels = days(endpoint, 12)
    now = MONDAY + 11.5 * DAY
    found = {}
    for day in (8, 9, 10):
        history = History(windows=answers[:day])
        found[day] = judged(endpoints, answers[day], as_of(labels, now), now=now, history=history).quality
    assert [quality.mature for quality in found.values() if quality] == [True, False, False]
    assert found[8] is not None
    assert found[9] is not None
    assert found[8].expected == pytest.approx(1.0, abs=0.02)
    assert found[9].labelled == pytest.approx(0.5, abs=0.02)
    assert found[9].expected == pytest.approx(0.5, abs=0.05)


def test_corrected_labels_leave_a_mature_window_mature(endpoints, store: Store):
    """A wrong mapping is put right for a seventh of all labels: they were there all the time."""
    endpoint, _ = endpoints("binary")
    labels, now = Labels(store, "demo", endpoint.schema), MONDAY + 11.5 * DAY
    answers, tables = zip(*(endpoint.day(day, rows=300) for day in range(11)), strict=True)
    for day, told in enumerate(tables):
        labels.append(told.slice(0, 150), source="half", arrival=MONDAY + (day + 1.2) * DAY)
    history = History(windows=answers[:9])
    before = judged(endpoints, answers[9], labels.known_at(now), now=now, history=history)
    wrong = pa.concat_tables([told.slice(0, 21) for told in tables])
    flipped = pa.array([not value for value in wrong["label"].to_pylist()])
    labels.append(wrong.set_column(1, "label", flipped), source="corrected", arrival=now - DAY / 2)
    after = judged(endpoints, answers[9], labels.known_at(now), now=now, history=history)

    assert after.joined.table["label"].to_pylist() != before.joined.table["label"].to_pylist()
    assert after.lag.overall is not None
    assert before.lag.overall is not None
    assert after.lag.overall.lags.tolist() == before.lag.overall.lags.tolist()
    assert [found.quality and found.quality.mature for found in (before, after)] == [True, True]


def test_a_changed_relation_is_told_and_a_shift_of_inputs_is_none(endpoints):
    endpoint, _ = endpoints("binary")
    qualities: list[Quality] = []
    for day in range(8):
        answers, told = endpoint.day(day, amount=0.5 if day % 2 else 0.0)
        labels = known(endpoint, told, MONDAY + (day + 1) * DAY)
        found = judged(endpoints, answers, labels, now=MONDAY + (day + 2) * DAY, history=History((), qualities)).quality
        assert found is not None
        assert found.off is not None
        qualities.append(found)
    assert not any(quality.relation_changed for quality in qualities)
    history = History((), qualities)
    outcomes = {}
    for name, change in (("shifted", {"amount": 1.0}), ("flipped", {"flipped": 0.4})):
        answers, told = endpoint.day(9, **change)
        labels = known(endpoint, told, MONDAY + 10 * DAY)
        outcomes[name] = judged(endpoints, answers, labels, now=MONDAY + 11 * DAY, history=history).quality
    assert outcomes["shifted"] is not None
    assert outcomes["flipped"] is not None
    assert not outcomes["shifted"].relation_changed
    assert outcomes["flipped"].relation_changed
    assert outcomes["flipped"].off is not None
    assert outcomes["flipped"].off.high < 0
    # What was changed is not what was usual: the next window is held against those before.
    later = History((), [*qualities, outcomes["flipped"]])
    answers, told = endpoint.day(10, flipped=0.4)
    again = judged(endpoints, answers, known(endpoint, told, MONDAY + 11 * DAY), now=MONDAY + 12 * DAY, history=later)
    assert again.quality is not None
    assert again.quality.relation_changed


def test_estimates_follow_the_newest_mature_window(endpoints):
    endpoint, _ = endpoints("binary")
    answers, told = zip(*(endpoint.day(day, flipped=0.5) for day in range(3)), strict=True)
    labels = known(endpoint, pa.concat_tables(told[:2]), MONDAY + 3 * DAY)
    now = MONDAY + 4 * DAY
    fresh = judged(endpoints, answers[2], labels.slice(0, 0), now=now).quality
    learned = judged(endpoints, answers[2], labels, now=now, history=History(answers[:2])).quality
    true = judged(endpoints, answers[2], known(endpoint, told[2], MONDAY + 3 * DAY), now=now).quality
    assert fresh is not None
    assert learned is not None
    assert true is not None
    assert fresh.estimated is not None
    assert learned.estimated is not None
    assert true.measured is not None
    assert abs(learned.estimated.value - true.measured.value) < abs(fresh.estimated.value - true.measured.value) / 2


def test_slices_and_their_gaps(endpoints):
    endpoint, model = endpoints("binary")
    answers, told = endpoint.day(0)
    values = [("colour", "green"), ("colour", None), ("member", "true"), ("member", "false"), ("amount", "0 to 1")]
    slices = tuple(Slice(column=column, value=value, rows=9, scores=Scores(values={})) for column, value in values)
    with_slices = QualityModel(model.schema, model.metric, model.reference, slices)
    labels = known(endpoint, told, MONDAY + DAY)
    found = quality_of(answers, labels, NOTHING, with_slices, SETTINGS, now=MONDAY + 2 * DAY)

    assert [(item.column, item.value) for item in found.slices] == [
        ("colour", "green"), ("member", "true"), ("member", "false"),
    ]  # fmt: skip
    (gap,) = found.gaps
    assert (gap.column, gap.metric, gap.compared) == ("member", "roc_auc", 1)
    assert gap.gap is not None
    assert gap.interval is not None
    assert gap.interval[0] <= gap.gap <= gap.interval[1]


def test_what_cannot_be_told_is_none_and_never_an_error(endpoints):
    endpoint, model = endpoints("binary")
    answers, told = endpoint.day(0, rows=200)
    labels = known(endpoint, told, MONDAY + DAY)
    now = MONDAY + 2 * DAY
    empty = judged(endpoints, answers.slice(0, 0), labels, now=now).quality
    assert empty is not None
    assert (empty.measured, empty.estimated, empty.labelled, empty.mature) == (None, None, 0.0, False)
    few = judged(endpoints, answers, labels.slice(0, 5), now=now).quality
    assert few is not None
    assert (few.measured, few.mature) == (None, False)
    one_class = labels.filter(pa.compute.equal(labels["label"], "true"))
    told_nothing = judged(endpoints, answers, one_class, now=now).quality
    assert told_nothing is not None
    assert told_nothing.measured is None
    place = answers.column_names.index("prediction")
    lost = answers.set_column(
        place, answers.schema.field(place), pa.array([None, "maybe", *["true"] * 198], pa.string())
    )
    found = judged(endpoints, lost, labels, now=now)
    assert (found.unanswered, found.quality.labelled if found.quality else 0) == (2, 1.0)
    nothing_before = QualityModel(model.schema, model.metric, None, ())
    assert quality_of(answers, labels, NOTHING, nothing_before, SETTINGS, now=now).quality is None


def test_with_labels_from_the_store(endpoints, store: Store):
    endpoint, _ = endpoints("binary")
    answers, told = endpoint.day(0, rows=300)
    labels = Labels(store, "demo", endpoint.schema)
    labels.append(told, source="a", arrival=MONDAY + DAY)
    odd = pa.table({"request_id": ["r0-0", "r9-9"], "label": ["maybe", "true"]})
    labels.append(odd, source="b", arrival=MONDAY + 2 * DAY)
    found = judged(endpoints, answers, labels.known_at(MONDAY + 3 * DAY), now=MONDAY + 3 * DAY)
    assert (found.joined.labelled, found.joined.unknown, found.unreadable) == (300, 1, 1)
    assert found.quality is not None
    assert found.quality.labelled == pytest.approx(299 / 300)
    assert np.isfinite(found.quality.measured.value if found.quality.measured else np.nan)
