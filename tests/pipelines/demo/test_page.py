"""The page of a replay: what it says is what happened."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from components.monitor.history.record import WindowEntry
from components.shared.decisions.evidence import Drifted, Estimate, Problem, Quality
from components.shared.decisions.records import Decided, Decision, Ended, Finding, Judged, Resumed
from pipelines.demo.cases import CASES
from pipelines.demo.demo import tell
from pipelines.demo.outcome import Outcome, Story
from pipelines.demo.page import figure, story_page, summary
from pipelines.demo.picture import picture

START = datetime(2013, 4, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)


def window(number: int, *, drifted: bool = False, broken: bool = False, parted: bool = False) -> WindowEntry:
    value = Estimate(value=0.7 - 0.01 * number, low=0.6, high=0.8)
    return WindowEntry(
        start=START + number * WEEK,
        end=START + (number + 1) * WEEK,
        version="a1" if number < 3 else "b2",
        rows=100,
        status="compared",
        moved={"temp": 1.5 if drifted else 0.5, "carrier": 0.1},
        drifted=(Drifted(column="temp", value=0.15, threshold=0.1, importance=0.3),) if drifted else (),
        problems=(Problem(kind="range", column="temp", severe=True, message="temp is cold"),) if broken else (),
        quality=Quality(
            metric="roc_auc", higher_is_better=True, reference=0.7, measured=value, estimated=value, mature=True,
            relation_changed=parted,
        ),
    )  # fmt: skip


def decided(number: int, week: int, action: str) -> Decided:
    finding = Finding(kind="measured_drop", action=action, latest=START + week * WEEK, message="it has dropped")
    window = (START + week * WEEK, START + (week + 1) * WEEK)
    decision = Decision(
        model="flights", version="a1", window=window, windows=(), mode="on", policy={},
        findings=(finding,), action=action, reason="it has dropped",
    )  # fmt: skip
    return Decided(number=number, when=START + week * WEEK, decision=decision)


@pytest.fixture
def story() -> Story:
    when = START + 2 * WEEK
    return Story(
        case="year",
        weeks=tuple(START + number * WEEK for number in range(4)),
        rows=(100, 100, 100, 90),
        learned=(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 3, 30, tzinfo=UTC)),
        outcomes=(
            Outcome(name="never retrain", quality=(0.7, 0.6, 0.5, None)),
            Outcome(name="ours", quality=(0.7, 0.6, 0.7, 0.7), retrained=(when, when + WEEK), deployed=(when,)),
        ),
        windows=(window(0), window(1, drifted=True), window(2, broken=True), window(3, parted=True)),
        records=(
            decided(1, 2, "retrain"),
            Ended(number=2, when=when, about=1, result="promoted", version="b2", message="it passed the gate"),
            decided(3, 3, "retrain"),
            Ended(number=4, when=when + WEEK, about=3, result="blocked", message="it is no better"),
            Judged(number=5, when=when + WEEK, about=1, helped=True, message="not found any more"),
            Resumed(number=6, when=when + WEEK, why="go on"),
        ),
        seconds=100,
    )


def test_regret_is_what_each_week_lacked_to_the_best_strategy(story):
    never, ours = story.outcomes

    assert story.lost(never) == [0, 0, pytest.approx(0.2), None]
    assert story.regret(ours) == 0
    assert story.regret(never) == pytest.approx(0.2 / 3)
    assert (never.mean, never.worst) == (pytest.approx(0.6), 0.5)


def test_the_summary_says_what_happened_and_no_more(story):
    told = "\n".join(summary(story))

    assert "In 1 of 4 windows a column that the model uses had drifted, most often temp (1); never carrier." in told
    promoted = "15 April: retrained for measured drop, promoted: it passed the gate."
    assert f"{promoted} What had asked for it was gone afterwards." in told
    assert "22 April: retrained for measured drop, blocked: it is no better." in told
    assert "22 April: the last retrainings had not helped; a person was asked, and let it go on." in told
    assert "The rows could not be trusted from 15 April to 22 April (first: temp is cold): 1 retraining began" in told
    assert "ours 0.675 with 2 retrainings; never retrain 0.6 with 0 retrainings." in told
    quiet = story.model_copy(update={"records": (), "windows": (window(0),)})
    assert "Nothing was retrained." in summary(quiet)
    assert not any("trusted" in line for line in summary(quiet))


def test_the_page_has_the_table_the_figure_and_the_months(story):
    html = story_page(story, CASES["year"]).render()

    for text in (
        "never retrain",
        "0.067",
        "April",
        "retraining promoted, retraining blocked, 1 question",
        "parted in 1 week, first",
    ):
        assert text in html
    assert "<script" not in html


def test_the_figure_is_a_file_of_its_own_with_its_legend(story, tmp_path):
    drawn = figure(story)
    root = ElementTree.fromstring(picture(drawn))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]

    assert {"ours", "never retrain", drawn.title} <= set(texts)
    told = tell(story, CASES["year"], tmp_path)
    assert told.figure.read_text(encoding="utf-8") == picture(drawn)
    assert Story.model_validate_json((tmp_path / "story.json").read_bytes()) == story
