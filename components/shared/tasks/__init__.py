"""The kinds of problem: one file each, and one table.

A `Task` says all that is known of a kind of problem: its metrics, what its target may be (`target.py`), what a model
of it answers (`answer.py`), and what it is compared with (`baseline.py`). To add one, write `tasks/<name>.py` with a
`TASK` and add its name to `components.shared.names.TaskName`.

The configuration and the model server import this package: numpy and pyarrow are imported where they are used, and
nothing else that is heavy is.
"""

from importlib import import_module
from typing import get_args

from components.shared.names import TaskName
from components.shared.tasks.answer import Answer, Probabilities, Values
from components.shared.tasks.base import Task
from components.shared.tasks.baseline import Baseline, ClassShares, MeanOrMedian
from components.shared.tasks.target import Classes, Numbers, Target

TASKS: dict[TaskName, Task] = {name: import_module(f"{__name__}.{name}").TASK for name in get_args(TaskName)}

__all__ = [
    "TASKS",
    "Answer",
    "Baseline",
    "ClassShares",
    "Classes",
    "MeanOrMedian",
    "Numbers",
    "Probabilities",
    "Target",
    "Task",
    "Values",
]
