"""The target: whether it fits the task, its classes, and whether each part can be learned from or judged.

A target that does not fit would give a model all the same: a column of free text as a thousand classes, or a test part
with one class, on which every model scores alike. It is looked at twice, as a whole before the split and in each part
after it, since the split may put all rows of a class into one part.
"""

from typing import Any

from components.prepare.columns import Column
from components.prepare.repair import ROW_INDEX
from components.prepare.split import ROW_PARTS
from components.shared.as_written import accepted_spellings
from components.shared.config import ProblemConfig
from components.shared.errors import DataError
from components.shared.frames import PARTS
from components.shared.names import TaskName
from components.shared.package.schema import label_name
from components.shared.tables import Engine, fetch, fetch_row
from components.shared.tasks import TASKS, Numbers
from components.shared.tasks.target import MOST_CLASSES

_SHOWN = 5

Label = bool | int | str


def check_type(column: Column, task: TaskName, *, fraction: Any = None) -> None:
    """Refuse a target whose type does not fit the task.

    Args:
        column: The target.
        task: What is predicted.
        fraction: A value of it that is no whole number, where it contains numbers.

    Raises:
        DataError: Names the type found and what the task takes.
    """
    rules = TASKS[task].target
    if column.kind not in rules.kinds:
        found = f"{column.type} and holds {fraction}" if fraction is not None else column.type
        raise rules.wrong_type(column.name, found, task=task)


def check_values(backend: Engine, problem: ProblemConfig) -> list[Label]:
    """The classes of the labelled rows, the positive one last when binary; none for a regression.

    The positive class is found as it is spelled: `'1'` names the class 1, and `yes` the class yes.

    Raises:
        DataError: The target is constant, infinite, or has too few or too many classes.
    """
    rules = TASKS[problem.task].target
    if isinstance(rules, Numbers):
        _check_numbers(backend, problem.target, rules)
        return []
    counted = fetch(
        backend,
        f"SELECT label, count(*) AS n FROM {ROW_INDEX} GROUP BY label ORDER BY n DESC, label LIMIT {MOST_CLASSES + 1}",
    )
    if len(counted) == 1:
        raise _constant(problem.target, counted[0][0])
    if len(counted) > rules.most:
        raise DataError(
            f"The target {problem.target!r} has {_number(counted)} classes ({_examples(counted)}){rules.if_more}"
        )
    classes: list[Label] = sorted(label for label, _ in counted)
    return _positive_last(classes, problem) if rules.has_positive else classes


def _check_numbers(backend: Engine, name: str, rules: Numbers) -> None:
    low, high = fetch_row(backend, f"SELECT min(label)::DOUBLE, max(label)::DOUBLE FROM {ROW_INDEX}")
    if low == high:
        raise _constant(name, low)
    rules.check_range(name, low, high)


# Example: of the classes 0 and 1, of which `problem.positive` names '0', the order is 1, 0.
def _positive_last(classes: list[Label], problem: ProblemConfig) -> list[Label]:
    if problem.positive is None:
        return classes
    named = [label for label in classes if label == problem.positive]
    named = named or [label for label in classes if accepted_spellings(label) & accepted_spellings(problem.positive)]
    if len(named) != 1:
        raise DataError(
            f"problem.positive is {_written(problem.positive)}; the target {problem.target!r} holds "
            f"{_written(classes[0])} and {_written(classes[1])}. {_advice(problem.positive, classes)}"
        )
    return sorted(classes, key=lambda label: label == named[0])


def _written(label: Label) -> str:
    """A label as YAML spells it."""
    return label_name(label) if isinstance(label, bool | int) else repr(label)


def _advice(positive: Label, classes: list[Label]) -> str:
    if isinstance(positive, bool):
        return (
            "YAML reads true, yes and on without quotes as true, and false, no and off as false: put the class in "
            f"quotes, such as positive: {_written(str(classes[1]))}."
        )
    if any(isinstance(label, str) for label in classes):
        return f"Write the class as the table spells it, in quotes, such as positive: {_written(str(classes[1]))}."
    return f"Write one of the two, such as positive: {_written(classes[1])}."


def _constant(target: str, value: Any) -> DataError:
    return DataError(
        f"The target {target!r} is constant: every labelled row holds {value!r}. There is nothing to learn; check the "
        "query and the data window."
    )


def _number(counted: list[Any]) -> str:
    return f"more than {MOST_CLASSES:,}" if len(counted) > MOST_CLASSES else f"{len(counted):,}"


def _examples(counted: list[tuple[Any, int]]) -> str:
    shown = ", ".join(f"{label!r}: {count:,} rows" for label, count in counted[:_SHOWN])
    return shown + (", …" if len(counted) > _SHOWN else "")


def check_parts(
    backend: Engine, problem: ProblemConfig, classes: list[Label]
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Check the target within each part.

    Returns:
        Rows by class by part (empty for a regression), and warnings.

    Raises:
        DataError: A part contains a single class, or the training part lacks a class that another one has.
    """
    if not TASKS[problem.task].has_classes:
        _check_training_numbers(backend, problem.target)
        return {}, []
    rows = fetch(backend, f"SELECT part, label, count(*) FROM {ROW_PARTS} GROUP BY ALL")
    counts = {part: {label: n for number, label, n in rows if number == place} for place, part in enumerate(PARTS)}
    unseen = [label for label in classes if label not in counts["train"]]
    for part in PARTS:
        if len(counts[part]) == 1:
            raise _single_class(problem, part, next(iter(counts[part])))
    if unseen:
        raise _unseen(problem, unseen, counts)
    ordered = {part: {label_name(label): counts[part].get(label, 0) for label in classes} for part in PARTS}
    missing = {part: [label for label in classes if label not in counts[part]] for part in PARTS[1:]}
    warnings = [f"The {part} part has no row of {_list(labels)}." for part, labels in missing.items() if labels]
    return ordered, warnings


def _check_training_numbers(backend: Engine, target: str) -> None:
    low, high = fetch_row(backend, f"SELECT min(label), max(label) FROM {ROW_PARTS} WHERE part = 0")
    if low == high:
        raise DataError(
            f"The target {target!r} is constant in the training part: every row holds {low!r}. Use more data or "
            "another split."
        )


def _single_class(problem: ProblemConfig, part: str, label: Label) -> DataError:
    consequence = "there is nothing to learn" if part == "train" else "nothing can be judged on it"
    return DataError(
        f"The {part} part holds one class only, {label!r} of {problem.target!r}: {consequence}. "
        "Use more data, larger shares in prepare.split, or the method `stratified`."
    )


def _unseen(problem: ProblemConfig, labels: list[Label], counts: dict[str, dict[Label, int]]) -> DataError:
    found = "; ".join(
        f"{part} has {sum(counts[part].get(label, 0) for label in labels):,} such rows" for part in PARTS[1:]
    )
    return DataError(
        f"The training part has no row of {_list(labels)} of {problem.target!r}, but {found}: a model cannot answer "
        "what it never saw. Use more data, the method `stratified`, or leave these rows out in the query."
    )


def _list(labels: list[Label]) -> str:
    shown = ", ".join(map(repr, labels[:_SHOWN]))
    return (
        f"class {shown}"
        if len(labels) == 1
        else f"{len(labels):,} classes ({shown}{', …' if len(labels) > _SHOWN else ''})"
    )
