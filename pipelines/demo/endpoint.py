"""Asking the endpoint of a replay, and waiting until what it was asked is in its log.

The replay goes through the real endpoint and its log instead of handing rows to the monitor, or it would show something
else than what runs in earnest. The log is written a little later than the answer, so before the clock moves on the
replay waits until all rows are in it.
"""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components.shared.errors import DeployError
from components.shared.inference_log.reading import day_folders, days
from components.shared.store import Store

_ROWS = 500  # of a request
_SECONDS = 60.0  # that an answer may take, and the way into the log


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint said of a row.

    Attributes:
        probability: Of the positive class.
        version: Which version answered.
    """

    probability: float
    version: str


def ask(url: str, rows: Sequence[dict[str, Any]], *, positive: str) -> list[Answer]:
    """Ask the endpoint about rows, some hundred at a time.

    Args:
        url: Where its predictions are.
        rows: The rows.
        positive: The class whose probability is wanted.

    Raises:
        DeployError: It cannot be reached or refuses.
    """
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
    answers = []
    try:
        for start in range(0, len(rows), _ROWS):
            body = json.dumps({"instances": rows[start : start + _ROWS]})
            connection.request("POST", place.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answers += _answers(response.status, response.read(), url, positive)
    except (OSError, http.client.HTTPException) as error:
        raise DeployError(f"{url} does not answer: {str(error) or type(error).__name__}.") from error
    finally:
        connection.close()
    return answers


def _answers(status: int, content: bytes, url: str, positive: str) -> list[Answer]:
    if status != http.client.OK:
        raise DeployError(f"{url} answered {status}: {content[:500].decode(errors='replace')}")
    found = json.loads(content)
    version = found["model_version"]
    return [Answer(one["probabilities"][positive], version) for one in found["predictions"]]


def wait_for_log(store: Store, model: str, rows: int) -> None:
    """Wait until the inference log has so many rows.

    Raises:
        DeployError: It has not within a minute.
        StoreError: The object store cannot be reached.
    """
    deadline = time.monotonic() + _SECONDS
    while (logged := _logged(store, model)) < rows:
        if time.monotonic() > deadline:
            raise DeployError(f"The endpoint was asked about {rows:,} rows, and its log has {logged:,} a minute later.")
        time.sleep(0.1)


def _logged(store: Store, model: str) -> int:
    folders = (folder for day in days(store, model) for folder in day_folders(store, model, day))
    return sum(file.rows or 0 for folder in folders for file in folder.files())
