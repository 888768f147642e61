"""Runs on a cluster: the names of their tasks, their pods, their workflow, and what is wrong with them."""

# On one machine: what failed so far, for the exit task, which has no pods to look at.
CAUSE_VARIABLE = "FULLCIRCLE_CAUSE"
