"""`monitoring.notifications`: who is told of decisions, promotions and failures. It travels with the version."""

from typing import Literal, get_args

from pydantic import Field

from components.shared.config.base import Section

EventKind = Literal["decision", "retraining", "promotion", "rollback", "failed_run", "stale_monitor"]
_EVERYTHING: list[EventKind] = [*get_args(EventKind)]


class ReceiverConfig(Section):
    """One receiver. Its address and its key are secrets: the configuration only names the variables that hold them."""

    kind: Literal["webhook", "slack", "cloudevents"] = Field(
        description="`webhook` posts JSON, `slack` a text for an incoming webhook, `cloudevents` a CloudEvent 1.0 in "
        "structured mode."
    )
    url_variable: str = Field(
        pattern="^[A-Z][A-Z0-9_]*$", description="Environment variable that holds the address, http:// or https://."
    )
    secret_variable: str = Field(
        default="",
        description="Environment variable that holds the key by which messages are signed (HMAC-SHA256); empty for "
        "none.",
    )
    events: list[EventKind] = Field(default=_EVERYTHING, description="What it is told of.")


class NotificationsConfig(Section):
    """Who is told of what."""

    receivers: list[ReceiverConfig] = Field(default=[], description="The receivers.")
    attempts: int = Field(default=3, ge=1, le=10, description="How often a message is sent until it is taken.")
    stale_hours: float = Field(
        default=30,
        gt=0,
        description="Hours since a window was over that the monitor has not reported on, from which it counts as "
        "stale: a day, for a monitor that runs daily, and some more.",
    )

    def variables(self, kind: EventKind) -> list[str]:
        """The environment variables that sending an event of this kind reads; none when nobody is told of it."""
        told = [receiver for receiver in self.receivers if kind in receiver.events]
        names = [name for receiver in told for name in (receiver.url_variable, receiver.secret_variable) if name]
        return list(dict.fromkeys(names))
