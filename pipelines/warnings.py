"""What the stages of a run warn of, gathered from what they left behind, so that nobody has to look for it in logs.

A stage that has something to say writes sentences under `warnings` in its JSON. What is good to know but asks for
nothing, such as a column that is no feature, stands under `remarks` or `notes`.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipelines.local.run import RunResult

# By stage: which one wrote it, the artifact, the file in it where it is a folder, and the keys that lead to a list of
# sentences. What ingest has to say is part of the lineage, which the model carries.
_Place = tuple[str, str, str, str, tuple[str, ...]]
_WARNINGS: tuple[_Place, ...] = (
    ("ingest", "train", "model", "training.json", ("lineage", "warnings")),
    ("validate", "validate", "validate_report", "", ("warnings",)),
    ("prepare", "prepare", "splits", "summary.json", ("warnings",)),
    ("tune", "tune", "trials", "", ("warnings",)),
    ("train", "train", "model", "training.json", ("warnings",)),
    ("evaluate", "evaluate", "evaluate_report", "metrics.json", ("warnings",)),
    ("gate", "gate", "verdict", "", ("warnings",)),
    ("deploy", "deploy", "endpoint", "", ("warnings",)),
    ("monitor", "monitor", "drift", "", ("warnings",)),
    ("predict", "predict", "summary", "", ("warnings",)),
    ("ingest", "predict", "summary", "", ("lineage", "warnings")),
)
_REMARKS: tuple[_Place, ...] = (
    ("prepare", "prepare", "splits", "summary.json", ("remarks",)),
    ("profile", "profile", "summary", "", ("warnings",)),
    ("evaluate", "evaluate", "evaluate_report", "metrics.json", ("notes",)),
)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence and the stage that says it, such as `tune (lightgbm)`."""

    stage: str
    text: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.text}"


def warnings_of(result: RunResult) -> list[Said]:
    """Every warning of a run, in the order of its stages."""
    return _said(result, _WARNINGS)


def remarks_of(result: RunResult) -> list[Said]:
    """What is good to know about a run and asks for nothing."""
    return _said(result, _REMARKS)


def _said(result: RunResult, places: Iterable[_Place]) -> list[Said]:
    found = [Said(label, text) for place in places for label, text in _sentences(result, place)]
    return list(dict.fromkeys(found))


def _sentences(result: RunResult, place: _Place) -> Iterator[tuple[str, str]]:
    stage, wrote, artifact, file, keys = place
    for label in dict.fromkeys(record.label for record in result.records):
        if label.partition(" ")[0] == wrote:
            said = label if stage == wrote else stage
            with suppress(ValueError):  # a stage that failed, as on a full disk, may have left half a file
                yield from ((said, str(text)) for text in _at(result.json(label, artifact, file), keys))


def _at(content: Any, keys: tuple[str, ...]) -> list[Any]:
    """What stands under some keys, one inside the other; nothing where one is missing."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, list) else []
