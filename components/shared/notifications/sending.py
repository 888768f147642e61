"""One message to one receiver over HTTP: its body, its signature, and a bounded number of attempts.

A receiver that is away never stops what the message is about: it is said in the log, without the address, which with
many services is a secret.
"""

import hashlib
import hmac
import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3

from components.shared.config.notifications import EventKind, NotificationsConfig, ReceiverConfig
from components.shared.progress import announce

SIGNATURE, TIMESTAMP = "X-Fullcircle-Signature", "X-Fullcircle-Timestamp"
_TIMEOUT = urllib3.Timeout(connect=3.0, read=5.0)
_FIRST_WAIT_SECONDS = 0.5
_TAKEN, _REFUSED, _TOO_MANY = range(200, 300), range(400, 500), (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: What kind of thing.
        id: Unique with its model; the same event sent twice has the same.
        model: Name of the model.
        when: UTC.
        text: For people.
        data: For programs; plain JSON.
    """

    kind: EventKind
    id: str
    model: str
    when: datetime
    text: str
    data: dict[str, Any]


def send_to_all(event: Event, settings: NotificationsConfig) -> None:
    """Send an event to every receiver that wants its kind; one that does not take it is said in the log."""
    for receiver in settings.receivers:
        if event.kind in receiver.events and (problem := send(event, receiver, attempts=settings.attempts)):
            announce(f"{event.model}: {receiver.kind} ({receiver.url_variable}) was not told of {event.id}: {problem}")


def send(event: Event, receiver: ReceiverConfig, *, attempts: int) -> str:
    """Send a message.

    Args:
        event: What it is about.
        receiver: Who gets it.
        attempts: How often it is tried.

    Returns:
        Empty when it was taken; else why it was not, in words and without the address.
    """
    url = os.environ.get(receiver.url_variable, "")
    if urlsplit(url).scheme not in ("http", "https"):
        return f"{receiver.url_variable} holds no address that begins with http:// or https://"
    if receiver.secret_variable and not os.environ.get(receiver.secret_variable):
        return f"{receiver.secret_variable} holds no key to sign with"
    problem = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
        problem, again = _post(url, event, receiver)
        if not problem or not again:
            break
    return problem


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a message: HMAC-SHA256 of its timestamp, a dot and its body, in hexadecimal (RFC 2104)."""
    return f"sha256={hmac.new(secret.encode(), timestamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


def body_of(event: Event, receiver: ReceiverConfig) -> tuple[bytes, str]:
    """What is posted, and its media type."""
    if receiver.kind == "slack":
        return json.dumps({"text": f"*{event.model}*: {event.text}"}).encode(), "application/json"
    content = {"model": event.model, "text": event.text, **event.data}
    if receiver.kind == "webhook":
        told = {"kind": event.kind, "id": event.id, "when": event.when.isoformat(), **content}
        return json.dumps(told).encode(), "application/json"
    cloud_event = {  # CloudEvents 1.0.2, JSON format
        "specversion": "1.0",
        "id": event.id,
        "source": f"/fullcircle/{event.model}",
        "type": f"fullcircle.{event.kind}",
        "time": event.when.isoformat(),
        "datacontenttype": "application/json",
        "data": content,
    }
    return json.dumps(cloud_event).encode(), "application/cloudevents+json"


def _post(url: str, event: Event, receiver: ReceiverConfig) -> tuple[str, bool]:
    """One attempt: what went wrong, and whether another one may help."""
    body, media_type = body_of(event, receiver)
    headers = {"Content-Type": media_type}
    if receiver.secret_variable:
        timestamp = str(int(time.time()))
        secret = os.environ[receiver.secret_variable]
        headers |= {TIMESTAMP: timestamp, SIGNATURE: signature(secret, timestamp, body)}
    try:
        answer = urllib3.request(
            "POST", url, body=body, headers=headers, timeout=_TIMEOUT, retries=False, redirect=False
        )  # fmt: skip
    except urllib3.exceptions.HTTPError as error:
        return f"it could not be reached ({type(error).__name__})", True
    if answer.status in _TAKEN:
        return "", False
    return f"it answered {answer.status}", answer.status not in _REFUSED or answer.status in _TOO_MANY
