"""The demonstration: a year of flights replayed through the product, beside what others do, and a page about it.

It shows what the product does with a year of drift, and what simpler rules would have come to on the very same weeks.
The others are replayed in a process of lower priority, so that they take no time from the product where there are few
cores. All of it happens in a folder and a store of its own: a demonstration must not touch anybody's models.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from components.monitor.history.page import history_page
from components.shared.config import Config
from components.shared.errors import FullcircleError
from components.shared.files import write_text
from components.shared.pages.blocks import Link
from pipelines.demo.cases import Case
from pipelines.demo.outcome import Outcome, Story
from pipelines.demo.page import figure, story_page
from pipelines.demo.picture import picture
from pipelines.demo.replay import Replay, own_store
from pipelines.demo.rows import Rows, make_source
from pipelines.demo.strategies import replay_strategies
from pipelines.demo.timetable import Timetable

HISTORY = "history.html"
ROWS_A_WEEK = 2_000
OTHERS = "others.json"
_POLITENESS = 10  # of what runs beside the product
_OUTCOMES = TypeAdapter(list[Outcome])


@dataclass(frozen=True, slots=True)
class Told:
    """What a demonstration leaves.

    Attributes:
        story: What happened.
        page: Tells it.
        figure: Regret of each strategy, added up over the weeks, SVG.
    """

    story: Story
    page: Path
    figure: Path


def demonstrate(
    config: Config, case: Case, root: Path, *, say: Callable[[str], None], rows_a_week: int = ROWS_A_WEEK
) -> Told:
    """Replay a case.

    Args:
        config: Tables and settings of the model.
        case: What happens to the flights, and for how many weeks.
        root: Folder of everything that is written; what was there is removed.
        say: Takes a line for people.
        rows_a_week: Most rows of a week.

    Raises:
        FullcircleError: As the parts of the product.
    """
    began, root = time.monotonic(), root.resolve()
    with own_store(root) as store:
        (root / "rows").mkdir()
        config, rows = make_source(config, case, root / "rows", rows_a_week=rows_a_week)
        timetable = Timetable(case.weeks, case.learn_days)
        replay = Replay(config, timetable, rows, root, store, say)
        outcomes = _replayed(replay)
        history = replay.history()
        records = tuple(replay.records())
    history_page(history).write(root / HISTORY)
    story = Story(
        case=case.name,
        weeks=tuple(map(timetable.week, range(timetable.weeks))),
        rows=tuple(rows.between(*timetable.span(number)).num_rows for number in range(timetable.weeks)),
        learned=timetable.learned_first(),
        outcomes=outcomes,
        windows=history.windows,
        records=records,
        seconds=time.monotonic() - began,
    )
    return tell(story, case, root)


def _replayed(replay: Replay) -> tuple[Outcome, ...]:
    """What the strategies and, last, the product come to."""
    first = replay.train_first()
    replay.say(first.message)
    given = (replay.config, replay.timetable, replay.rows, first.model, replay.root / "models")
    beside = multiprocessing.get_context("spawn").Process(target=_replay_others, args=(replay.root / OTHERS, given))
    beside.start()
    try:
        replay.run(first.url)
        replay.say("… and the other strategies on the same weeks")
        beside.join()
    finally:
        beside.terminate()
    if beside.exitcode:
        raise FullcircleError("The other strategies could not be replayed; what came before this line says why.")
    return (*_OUTCOMES.validate_json((replay.root / OTHERS).read_bytes()), replay.outcome())


def _replay_others(path: Path, given: tuple[Config, Timetable, Rows, Path, Path]) -> None:
    """What the strategies come to, into a file: a process that gives way to the product where there are few cores."""
    os.nice(_POLITENESS)
    write_text(path, _OUTCOMES.dump_json(replay_strategies(*given)).decode())


def tell(story: Story, case: Case, root: Path) -> Told:
    """Write the story, its page and its figure."""
    write_text(root / "story.json", story.model_dump_json(indent=2))
    page = story_page(story, case, [Link("The monitor's own history page", HISTORY)])
    write_text(root / "regret.svg", picture(figure(story)))
    return Told(story, page.write(root / "index.html"), root / "regret.svg")
