"""What the stages of a run warn of, gathered from what they left behind, so that nobody has to look for it in logs.

A stage that has something to say writes sentences under `warnings` in its JSON. What is good to know but asks for
nothing, such as a column that is no feature, stands under `remarks` or `notes`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.shared.stages import STAGES, Sentences
from pipelines.local.run import RunResult


@dataclass(frozen=True, slots=True)
class StageMessage:
    """A sentence and the stage that says it, such as `tune (lightgbm)`."""

    stage: str
    text: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.text}"


def warnings_of_run(result: RunResult) -> list[StageMessage]:
    """Every warning of a run, in the order of its stages."""
    return _messages(result, ((stage.name, place) for stage in STAGES for place in stage.warnings))


def remarks_of_run(result: RunResult) -> list[StageMessage]:
    """What is good to know about a run and asks for nothing."""
    return _messages(result, ((stage.name, place) for stage in STAGES for place in stage.remarks))


def _messages(result: RunResult, places: Iterable[tuple[str, Sentences]]) -> list[StageMessage]:
    found = [StageMessage(label, text) for stage, place in places for label, text in _sentences(result, stage, place)]
    return list(dict.fromkeys(found))


def _sentences(result: RunResult, stage: str, place: Sentences) -> Iterator[tuple[str, str]]:
    """Each sentence that a stage has written at a place, with the label of the stage that says it."""
    wrote = place.written_by or stage
    for label in dict.fromkeys(record.label for record in result.records):
        if label.partition(" ")[0] == wrote:
            described = label if stage == wrote else stage
            content = result.json(label, place.artifact, place.file)
            yield from ((described, str(text)) for text in _at(content, place.keys))


def _at(content: Any, keys: tuple[str, ...]) -> list[Any]:
    """What stands under some keys, one inside the other; nothing where one is missing."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, list) else []
