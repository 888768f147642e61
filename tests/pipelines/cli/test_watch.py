"""`watch`: one model that cannot be seen to keeps no other one waiting, and one look that fails no later one."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from components.shared.errors import StoreError
from pipelines.cli import watch


@pytest.mark.parametrize("error", [StoreError("away"), ValueError("no rows")])
def test_every_model_has_its_look_whatever_became_of_the_others(monkeypatch, capsys, error):
    def watcher(_store, model, *_):
        def look():
            if model == "broken":
                raise error
            return []

        return SimpleNamespace(model=model, look=look)

    monkeypatch.setattr(watch, "_on_cluster", watcher)
    assert watch._look_at_models(Mock(), ["broken", "demo"], Mock(), "") == 1
    said = capsys.readouterr()
    assert "demo: nothing new" in said.out
    assert "broken: " in said.err
    assert str(error) in said.err
    assert ("ValueError" in said.err) == isinstance(error, ValueError)


def test_a_look_that_fails_is_told_and_the_next_one_may_come(capsys):
    watch._look_and_go_on(lambda: int("none"))
    assert "ValueError: invalid literal" in capsys.readouterr().err
