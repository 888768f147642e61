"""A task's log, divided into those of the stages it ran."""

import pytest

from components.shared.errors import StoreError
from components.shared.progress import announce, borders, divide, tell_failure


def test_a_log_is_divided_where_stages_begin(capsys):
    print("I1129 launcher_v2.go: before")
    with borders("ingest"):
        announce("178 rows")
    with borders("validate"):
        print("a check")
        announce("all hold")
    log = capsys.readouterr().out

    ingest, validate = divide(log)
    assert (ingest.stage, ingest.text) == ("ingest", "▸ 178 rows\n")
    assert (validate.stage, validate.text) == ("validate", "a check\n▸ all hold\n")
    assert ingest.seconds is not None
    assert 0 <= ingest.seconds < 1


def test_what_follows_a_stage_that_failed_is_its_own(capsys):
    with borders("ingest"):
        pass
    with pytest.raises(ValueError, match="no"), borders("validate"):
        raise ValueError("no")
    log = capsys.readouterr().out + "Traceback (most recent call last):\nValueError: no\n"

    ingest, validate = divide(log)
    assert ingest.seconds is not None
    assert validate.seconds is None
    assert "ValueError: no" in validate.text
    assert ingest.text == ""


def test_a_log_of_one_stage_has_no_parts():
    assert divide("▸ 178 rows\n■ a square\n") == []


def test_a_failure_is_told_as_its_message_and_a_defect_with_its_type_and_place(capsys):
    tell_failure(StoreError("The store is away."), model="demo")
    assert capsys.readouterr().err == "\ndemo: The store is away.\n"
    try:
        int("wine")
    except ValueError as error:
        tell_failure(error)
    said = capsys.readouterr().err
    assert "test_progress.py" in said
    assert said.endswith("\n\nValueError: invalid literal for int() with base 10: 'wine'\n")
