"""Figures that the code holds: small files and functions, few values of type Any, and no stage logic that is shared.

They are counted from the syntax tree. A function's length is the number of lines from `def` to its last statement,
docstring included and functions inside it left out, which are counted by themselves.
"""

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
QUOTED = re.compile(r"^Any$|[\[|,] ?Any\b(?=\]| \||,)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
HOUSES = ("components", "pipelines", "images")
# Left out of `components/shared/`: interfaces with their implementations, which grow by a file for each new kind, and
# the registry, the one way to the versions.
INTERFACES = {"tasks", "families", "metrics", "sources", "registry"}
SHARED = 0.322  # of the lines of `components/`: all others of `components/shared/`


class Function(NamedTuple):
    """A function and where it is."""

    place: str
    lines: int


@cache
def trees() -> dict[Path, tuple[str, ast.Module]]:
    """The product's files: text and syntax tree."""
    found = (path for house in HOUSES for path in sorted((ROOT / house).rglob("*.py")))
    return {path: (text, ast.parse(text)) for path in found for text in [path.read_text(encoding="utf-8")]}


def functions() -> Iterator[Function]:
    for path, (_, tree) in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                yield Function(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", length(node) - inside(node))


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def inside(node: ast.AST) -> int:
    """The lines of the functions directly inside another one."""
    nodes = list(ast.iter_child_nodes(node))
    return sum(length(child) if isinstance(child, FUNCTIONS) else inside(child) for child in nodes)


def lines_of(text: str) -> int:
    return len(text.splitlines())


def uses_of_any() -> dict[str, int]:
    """How often each file says Any, but for its import."""
    return {str(path.relative_to(ROOT)): sum(map(says_any, ast.walk(tree))) for path, (_, tree) in trees().items()}


def says_any(node: ast.AST) -> bool:
    """Whether a node is the name, or an annotation in quotes that holds it: one line, not the words of a text."""
    if isinstance(node, ast.Name):
        return node.id == "Any"
    quoted = isinstance(node, ast.Constant) and isinstance(node.value, str) and QUOTED.search(node.value)
    return bool(quoted)


def test_no_file_is_long():
    lengths = {str(path.relative_to(ROOT)): len(text.splitlines()) for path, (text, _) in trees().items()}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_functions_are_short():
    found = sorted(functions(), key=lambda function: function.lines)
    lengths = [function.lines for function in found]
    assert statistics.median(lengths) <= 10
    assert lengths[int(0.9 * len(lengths))] <= 22
    assert [function for function in found if function.lines > 80] == []


def test_few_values_are_of_any_type():
    found = uses_of_any()
    share = 1000 * sum(found.values()) / sum(lines_of(text) for text, _ in trees().values())
    most = sorted(found.items(), key=lambda pair: -pair[1])[:10]
    assert share <= 10, f"{share:.1f} in 1,000 lines; most in {most}"


def test_what_is_shared_does_not_grow():
    sizes = {path.relative_to(ROOT / "components"): lines_of(text) for path, (text, _) in trees().items()
             if path.is_relative_to(ROOT / "components")}  # fmt: skip
    everything = sum(sizes.values())
    shared = sum(size for path, size in sizes.items() if path.parts[0] == "shared" and path.parts[1] not in INTERFACES)
    assert shared / everything <= SHARED, f"{shared:,} of {everything:,} lines, {shared / everything:.1%}"
