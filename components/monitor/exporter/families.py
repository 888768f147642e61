"""What is known of models as metrics for Prometheus. Moments are seconds since 1970, so that rules compute ages.

Prometheus keeps only what it fetches, and an alert is a rule on it. So what a rule needs is a number here: moments,
from which it computes how old a report is; ratios to thresholds, so that one rule fits all methods; and zeros for what
has not happened yet, because the first increase from nothing is none to Prometheus.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from components.monitor.drift import P_VALUES, in_thresholds
from components.monitor.exporter.known import Known
from components.shared.config.monitoring_policy import PolicyAction
from components.shared.decisions.evidence import Estimate, Evidence, PredictionDrift, Quality, next_window_end
from components.shared.decisions.records import Decided, Result, decisions_of
from components.shared.decisions.retrainings import retrainings_of

PREFIX = "fullcircle_monitor"
_VERSION = ("model_name", "model_version")
_BOUNDS = ("value", "low", "high")


def families(models: Sequence[Known]) -> Iterator[Metric]:
    """All metrics of all models."""
    yield from _windows(models)
    yield from _drift(models)
    yield from _quality(models)
    yield from _decisions(models)


class _Gauge:
    """A gauge that is filled line by line."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self.family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)

    def add(self, value: float | None, *labels: str) -> None:
        """Add a value, unless there is none."""
        if value is not None:
            self.family.add_metric(labels, float(value))


class _Predictions:
    """Gauges of the distance of the newest windows' predictions from the reference, whether they drifted or not."""

    def __init__(self) -> None:
        self.gauges = (
            _Gauge("prediction_drift", "Distance or p-value of the predictions in the newest window.", *_VERSION),
            _Gauge("prediction_drift_threshold", "From where, or of p-values below where, it counts.", *_VERSION),
            _Gauge("prediction_drift_ratio", "How far they have moved, in thresholds: from 1 on it counts.", *_VERSION),
            _Gauge("prediction_drifted", "1 when they have drifted, and chance does not explain it.", *_VERSION),
        )

    def add(self, found: PredictionDrift, *labels: str) -> None:
        """Add those of a window."""
        # Earlier releases kept no method, and records of drifted predictions alone: a p-value is below its threshold.
        is_p_value = found.method in P_VALUES if found.method else found.value < found.threshold
        ratio = in_thresholds(found.value, found.threshold, is_p_value=is_p_value)
        for gauge, value in zip(self.gauges, (found.value, found.threshold, ratio, found.drifted), strict=True):
            gauge.add(value, *labels)


def _windows(models: Sequence[Known]) -> Iterator[Metric]:
    """When the monitor last saw what, and what was wrong with the rows."""
    made = _Gauge("report_timestamp_seconds", "When something new was last found out.", "model_name")
    due = _Gauge("next_window_end_timestamp_seconds", "When the window after the newest one is over.", "model_name")
    ends = _Gauge("window_end_timestamp_seconds", "End of the newest window.", *_VERSION)
    rows = _Gauge("window_rows", "Rows of the newest window.", *_VERSION)
    problems = _Gauge(
        "problems", "What is wrong with the rows of the newest window, by kind.", *_VERSION, "kind", "severe"
    )
    for known in models:
        if not known.evidence:
            continue
        made.add(max(one.made for one in known.evidence).timestamp(), known.model)
        following = next_window_end(known.evidence)
        due.add(following.timestamp() if following else None, known.model)
        for one in _newest(known):
            labels = (known.model, one.version)
            ends.add(one.end.timestamp(), *labels)
            rows.add(one.rows, *labels)
            counts = Counter((problem.kind, str(problem.severe).lower()) for problem in one.problems)
            for (kind, severe), count in counts.items():
                problems.add(count, *labels, kind, severe)
    yield from (gauge.family for gauge in (made, due, ends, rows, problems))


def _drift(models: Sequence[Known]) -> Iterator[Metric]:
    values = _Gauge(
        "drift", "Distance or p-value of each column that has drifted in the newest window.", *_VERSION, "column"
    )
    limits = _Gauge(
        "drift_threshold", "From where, or of p-values below where, it counts as drifted.", *_VERSION, "column"
    )
    ratios = _Gauge("drift_ratio", "How far it has moved, in thresholds: from 1 on it counts.", *_VERSION, "column")
    weights = _Gauge("drift_importance", "Share of the model's importance that is its.", *_VERSION, "column")
    columns = _Gauge("drifted_columns", "Columns that have drifted in the newest window.", *_VERSION)
    predictions = _Predictions()
    for known in models:
        for one in _newest(known):
            labels = (known.model, one.version)
            columns.add(len(one.drifted), *labels)
            for drifted in one.drifted:
                values.add(drifted.value, *labels, drifted.column)
                limits.add(drifted.threshold, *labels, drifted.column)
                # Of what has drifted only a p-value lies below its threshold.
                is_p_value = drifted.value < drifted.threshold
                ratio = in_thresholds(drifted.value, drifted.threshold, is_p_value=is_p_value)
                ratios.add(ratio, *labels, drifted.column)
                weights.add(drifted.importance, *labels, drifted.column)
            if one.prediction:
                predictions.add(one.prediction, *labels)
    yield from (gauge.family for gauge in (values, limits, ratios, weights, columns, *predictions.gauges))


def _quality(models: Sequence[Known]) -> Iterator[Metric]:
    """Each line of the newest window that has it; the measured one of the newest window with enough labels."""
    lines = _Gauge("quality", "Quality by line, with its interval.", *_VERSION, "metric", "line", "bound")
    losses = _Gauge(
        "quality_loss", "How much worse than on the reference rows, in the metric's unit, with its interval.",
        *_VERSION, "metric", "line", "bound",
    )  # fmt: skip
    changed = _Gauge("relation_changed", "1 when the relation of features and target is another one.", *_VERSION)
    labelled = _Gauge("labelled_share", "Share of the newest window's rows that have a label.", *_VERSION)
    expected = _Gauge("expected_label_share", "Share that should have one by now, by the label lag.", *_VERSION)
    arrived = _Gauge("last_label_timestamp_seconds", "When the newest label arrived.", "model_name")
    for known in models:
        arrived.add(known.last_label.timestamp() if known.last_label else None, known.model)
        for version, found in _qualities(known).items():
            labels, newest = (known.model, version), found[0]
            lines.add(newest.reference, *labels, newest.metric, "reference", "value")
            _add_line(lines, losses, labels, "estimated", next((one for one in found if one.estimated), None))
            _add_line(lines, losses, labels, "measured", next((one for one in found if one.mature), None))
            changed.add(any(one.relation_changed for one in found[:1]), *labels)
            labelled.add(newest.labelled, *labels)
            expected.add(newest.expected, *labels)
    yield from (gauge.family for gauge in (lines, losses, changed, labelled, expected, arrived))


def _add_line(lines: _Gauge, losses: _Gauge, labels: tuple[str, str], line: str, quality: Quality | None) -> None:
    estimate = getattr(quality, line) if quality else None
    if quality is None or estimate is None:
        return
    loss = _loss(quality, estimate)
    for bound in _BOUNDS:
        lines.add(getattr(estimate, bound), *labels, quality.metric, line, bound)
        losses.add(getattr(loss, bound), *labels, quality.metric, line, bound)


# Example: ROC AUC was 0.70 on the reference and is estimated at 0.65, 0.62 to 0.68. The loss is 0.05, 0.02 to 0.08: the
# low end of a loss belongs to the high end of the metric.
def _loss(quality: Quality, estimate: Estimate) -> Estimate:
    """How much worse than on the reference rows; positive is worse."""
    if quality.higher_is_better:
        return Estimate(
            value=quality.reference - estimate.value,
            low=quality.reference - estimate.high,
            high=quality.reference - estimate.low,
        )
    return Estimate(
        value=estimate.value - quality.reference,
        low=estimate.low - quality.reference,
        high=estimate.high - quality.reference,
    )


def _decisions(models: Sequence[Known]) -> Iterator[Metric]:
    taken = CounterMetricFamily(
        f"{PREFIX}_decisions", "Decisions, by what was done and what it was held back by.",
        labels=["model_name", "action", "held_back"],
    )  # fmt: skip
    ended = CounterMetricFamily(
        f"{PREFIX}_retrainings", "Retrainings that have ended, by what came of them.", labels=["model_name", "result"]
    )
    last = _Gauge("decision_timestamp_seconds", "When the last decision was taken.", "model_name", "action")
    waits = _Gauge("retrainings_open", "Retrainings that are to be done, or under way.", "model_name")
    asks = _Gauge("asks_person", "1 when no more is retrained until a person has looked.", "model_name")
    for known in models:
        decided, retrainings = decisions_of(known.records), retrainings_of(known.records)
        actions = Counter((one.decision.action, one.decision.held_back) for one in decided)
        # Those that have not happened yet are 0: Prometheus sees no increase of a line that begins with 1.
        for action, held_back in sorted({*((one, "") for one in get_args(PolicyAction)), *actions}):
            taken.add_metric([known.model, action, held_back], actions[action, held_back])
        results = Counter(one.ended.result for one in retrainings if one.ended)
        for result in get_args(Result):
            ended.add_metric([known.model, result], results[result])
        waits.add(sum(one.is_open for one in retrainings), known.model)
        if decided:
            last.add(decided[-1].when.timestamp(), known.model, decided[-1].decision.action)
            asks.add(_asks(known, decided[-1]), known.model)
    yield taken
    yield ended
    yield from (gauge.family for gauge in (last, waits, asks))


def _asks(known: Known, last: Decided) -> bool:
    later = [record for record in known.records if record.number > last.number]
    return last.decision.asks_a_person and not any(record.kind == "resumed" for record in later)


def _newest(known: Known) -> list[Evidence]:
    """The newest window, once for each version that answered in it."""
    return [one for one in known.evidence if one.end == known.evidence[0].end]


def _qualities(known: Known) -> dict[str, list[Quality]]:
    """What is known of the quality of each version that answers now, the newest window first."""
    versions = [one.version for one in _newest(known)]
    found = {
        version: [one.quality for one in known.evidence if one.version == version and one.quality]
        for version in versions
    }
    return {version: lines for version, lines in found.items() if lines}
