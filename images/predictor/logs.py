"""Structured logs: one JSON object a line.

Clusters collect logs line by line and search them by fields, such as the request id that the client got. Requests that
are refused are a client's fault and come in thousands when a client is broken: they are throttled, errors of the server
never.
"""

import json
import logging
import sys
import time
from datetime import UTC, datetime

import onnxruntime

_FATAL = 4  # of onnxruntime's severities
_FIELDS = ("request_id", "status", "path", "worker")


class JsonFormatter(logging.Formatter):
    """Writes a record with its time, level and message, and the request it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in _FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content)  # ASCII: some readers take other characters for ends of lines


class Throttle(logging.Filter):
    """Lets so many records of refused requests a second pass, and says how many it kept back."""

    def __init__(self, per_second: int = 10) -> None:
        super().__init__()
        self._per_second = per_second
        self._second = 0
        self._passed = 0
        self._kept_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; only those about requests are counted."""
        if record.levelno >= logging.ERROR or not hasattr(record, "request_id"):
            return True
        second = int(time.monotonic())
        if second != self._second:
            if self._kept_back:
                record.msg = f"{record.msg} (and {self._kept_back} more like it that are not shown)"
            self._second, self._passed, self._kept_back = second, 0, 0
        self._passed += 1
        if self._passed > self._per_second:
            self._kept_back += 1
            return False
        return True


def set_up(level: int = logging.INFO) -> None:
    """Write this process's logs to standard error, one JSON object a line."""
    # What onnxruntime itself prints is no JSON; its errors are raised as well.
    onnxruntime.set_default_logger_severity(_FATAL)
    logging.captureWarnings(True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Throttle())
    logging.basicConfig(level=level, handlers=[handler], force=True)
