"""What counts as new at the source, by the audit log alone."""

from datetime import timedelta

import pytest

from components.shared.config import PolicyConfig
from components.shared.decisions.arrivals import Objects
from components.shared.decisions.policy import next_record
from components.shared.decisions.records import Record
from tests.components.shared.decisions.windows import FIRST, ended, log

PLACE, OTHER = "s3://data/flights/*.csv", "s3://data/weather/*.csv"
FREE = {"cool_down_hours": 0, "budget": {"runs": 100, "cpu_hours": 1000}}


def looks(*seen: tuple[str, str], places: tuple[str, ...] = (PLACE,), past: list[Record] | None = None) -> list[Record]:
    """The audit log after looks in a mode at a set of objects, a day after one another; what is decided is done."""
    past = past or []
    for mode, digest in seen:
        policy = PolicyConfig.model_validate({"mode": mode, "new_objects": list(places), **FREE})
        objects = Objects("demo", "v1", digest, count=1, places=places)
        made = next_record([], past, policy, FIRST + timedelta(days=len(past)), champion="v1", objects=objects)
        past = log(*past, *([made] if made else []))
        if made and made.decision.retrains:
            past = log(*past, ended(made.model_copy(update={"number": len(past)}), "failed"))
    return past


def retrained(past: list[Record]) -> list[tuple[str, str]]:
    """Mode and objects of each decision to retrain."""
    decisions = [record.decision for record in past if record.kind == "decided"]
    return [(one.mode, one.objects) for one in decisions if one.action == "retrain"]


def test_each_set_is_retrained_on_once_also_when_it_comes_back():
    sets = ["first", "second", "second", "third", "second", "first", "fourth"]
    assert retrained(looks(*[("on", one) for one in sets])) == [("on", "second"), ("on", "third"), ("on", "fourth")]


def test_what_a_dry_run_would_have_done_is_done_when_it_is_on():
    past = looks(("dry_run", "first"), ("dry_run", "second"), ("dry_run", "second"), ("on", "second"), ("on", "second"))
    assert retrained(past) == [("dry_run", "second"), ("on", "second")]


def test_a_dry_run_knows_what_was_learned_before_it():
    assert retrained(looks(("on", "first"), ("on", "second"), ("dry_run", "second"))) == [("on", "second")]


@pytest.mark.parametrize("others", [(PLACE, OTHER), (OTHER,)])
def test_the_first_look_at_other_places_only_notes_what_there_is(others):
    past = looks(("on", "first"), ("on", "second"))
    past = looks(("on", "both"), places=others, past=past)
    assert retrained(past) == [("on", "second")]
    past = looks(("on", "both and more"), places=others, past=past)
    assert retrained(past) == [("on", "second"), ("on", "both and more")]
    # And back again, what was learned from these places is still known.
    assert retrained(looks(("on", "second"), past=past)) == retrained(past)
