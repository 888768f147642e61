"""The verdict: which columns drifted, by how much, and whether it concerns the model.

Of a hundred columns, about five are below a p-value of 0.05 by chance alone, every window; people stop reading such
alarms. So p-values are adjusted for their number. And of a million rows every difference is certain, however small: a
distance has to reach its threshold first. `distances` measures, `chance` tells how likely it is, `problems` looks at
the rows themselves.
"""

from collections.abc import Mapping

from components.monitor.drift import P_VALUES, ColumnFinding, DriftFindings, choose_tests
from components.monitor.statistics.chance import p_value
from components.monitor.statistics.distances import distance
from components.monitor.statistics.statistics import Statistics
from components.shared.config import ColumnDrift, MonitoringConfig


def compare(
    reference: Statistics,
    current: Statistics,
    settings: MonitoringConfig,
    *,
    importance: Mapping[str, float] | None = None,
) -> DriftFindings:
    """Compare rows with the reference, by their statistics.

    A column drifted when its distance reaches its threshold and chance does not explain that, or when its p-value is
    below its threshold; p-values are adjusted for the number of columns, so that of the columns said to have drifted no
    more than a small share have not (Benjamini and Hochberg, "Controlling the False Discovery Rate", 1995).

    Args:
        reference: Of the reference.
        current: Of the rows, counted into the same bins. A column that none of their tables had is left out.
        settings: Methods and thresholds.
        importance: Share of the model's importance by feature. Drift of a feature below `least_importance` is told and
            is no alarm; a column that is not named (the prediction) always counts. None: all columns count.

    Returns:
        What was found. A column without any value on one side cannot be measured: it is listed as empty, and its share
        of nulls tells.

    Raises:
        DataError: The settings do not fit the columns.
    """
    names = [name for name in reference.columns if current.columns[name].rows]
    pinned = choose_tests(names, settings, numeric=reference.bins.numeric)
    empty = [name for name in names if not (reference.columns[name].values and current.columns[name].values)]
    values = {name: _distance(name, pinned[name], reference, current) for name in names if name not in empty}
    chances = adjusted({name: _chance(name, pinned[name], values[name], reference, current) for name in values})
    columns = []
    for name in names:
        level = pinned[name].threshold if pinned[name].method in P_VALUES else settings.false_discovery_rate
        share = importance.get(name) if importance else None
        before, now = reference.columns[name].null_share, current.columns[name].null_share
        columns.append(
            ColumnFinding(
                column=name,
                method=pinned[name].method,
                threshold=pinned[name].threshold,
                value=values.get(name),
                p_value=chances.get(name),
                drifted=chances.get(name, 1.0) < level,
                importance=share,
                used=share is None or share >= settings.least_importance,
                reference_nulls=before,
                current_nulls=now,
                nulls_changed=now != before and abs(now - before) >= settings.null_share_change,
            )
        )
    return DriftFindings.of(columns, empty=empty, limit=settings.drift_share)


def _distance(name: str, chosen: ColumnDrift, reference: Statistics, current: Statistics) -> float | None:
    return distance(chosen.method, reference.columns[name], current.columns[name], reference.bins.columns[name])


def _chance(
    name: str, chosen: ColumnDrift, value: float | None, reference: Statistics, current: Statistics
) -> float | None:
    """How likely chance makes the value what it is; 1 for one that does not reach its threshold, None for none."""
    if value is None or chosen.method == "ks":
        return value
    if value >= chosen.threshold if chosen.method in P_VALUES else value < chosen.threshold:
        return 1.0
    return p_value(chosen.method, reference.columns[name], current.columns[name], reference.bins.columns[name])


# Example: of three columns the p-values 0.01, 0.02 and 0.9 become 0.03, 0.03 and 0.9.
def adjusted(p_values: Mapping[str, float | None]) -> dict[str, float]:
    """P-values adjusted for their number (`scipy.stats.false_discovery_control`), without those that are None."""
    from scipy.stats import false_discovery_control

    there = {name: value for name, value in p_values.items() if value is not None}
    found = false_discovery_control(list(there.values())) if there else []
    return dict(zip(there, map(float, found), strict=True))
