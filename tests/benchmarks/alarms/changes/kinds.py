"""All kinds of change."""

from tests.benchmarks.alarms.changes import categories, faults, numbers, over_time, populations

KINDS = (*numbers.KINDS, *categories.KINDS, *faults.KINDS, *populations.KINDS, *over_time.KINDS)
