import io
import json
import logging
import sys
import warnings

import pytest

from images.predictor import logs
from images.predictor.logs import JsonFormatter, Throttle


@pytest.fixture
def logger():
    """A logger that writes as the server does, and what it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Throttle(3))
    found = logging.Logger("test")
    found.addHandler(handler)
    return found, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_whatever_is_in_it(logger):
    log, lines = logger
    log.warning("Größe %s\n%s", "\u2028\x00", '"}', extra={"request_id": "a", "status": 400, "path": "/é", "other": 1})
    (line,) = lines()
    assert line["message"] == 'Größe \u2028\x00\n"}'
    assert (line["level"], line["request_id"], line["status"], line["path"]) == ("warning", "a", 400, "/é")
    assert line["time"].endswith("+00:00")
    assert "other" not in line


def test_an_error_has_its_traceback(logger):
    log, lines = logger
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("failed")
    (line,) = lines()
    assert line["level"] == "error"
    assert line["traceback"].endswith("ValueError: no")


def test_of_many_refused_requests_some_are_told_and_all_others(logger, monkeypatch):
    log, lines = logger
    now = 100.0
    monkeypatch.setattr("images.predictor.logs.time.monotonic", lambda: now)
    for number in range(10):
        log.info("refused", extra={"request_id": str(number)})
    log.info("told to stop")
    log.error("failed", extra={"request_id": "x"})
    now = 101.0
    log.info("refused: 5%% of %s", "these", extra={"request_id": "10"})
    log.info("refused", extra={"request_id": "11"})
    assert [line["message"] for line in lines()] == [
        *(["refused"] * 3),
        "told to stop",
        "failed",
        "refused: 5% of these (and 7 more like it that are not shown)",
        "refused",
    ]


def test_warnings_of_libraries_are_lines_too(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.set_up()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("an old\nway", stacklevel=1)
        assert "an old\nway" in json.loads(stream.getvalue())["message"]
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = before
