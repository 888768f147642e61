"""Versions that wait for an answer: `models/<name>/pending/<version>.json`.

With `gate.approval: required` a version that the gate let through is stored and not deployed: a person answers. With
`live` the newest labelled requests do. What a deployment needs besides the version is kept here: what the gate compared
it with, how it is to be served, and by what it is decided. The answer is written over it, on the condition that nobody
else has answered, and stays: who, when, and why. One that waits for too long expires.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.config import EvaluationConfig, GateConfig, ServingConfig
from components.shared.errors import PackageError, in_short
from components.shared.registry.judgement import Judgement
from components.shared.store import Store

Answer = Literal["", "approved", "rejected", "expired"]


class Terms(BaseModel):
    """How a version that waits is decided about and served, as the configuration says that made it."""

    model_config = ConfigDict(frozen=True)

    serving: ServingConfig = Field(description="How the version is to be served.")
    gate: GateConfig = Field(
        default=GateConfig(approval="required"), description="`champion.metric` is the one that is compared."
    )
    evaluation: EvaluationConfig = Field(default=EvaluationConfig(), description="Resamples and confidence.")
    namespace: str = Field(
        default="",
        description="Of the endpoint on a cluster; empty on one machine, and in what was kept before this was said.",
    )


class Pending(Terms):
    """A version that waits for an answer, or waited."""

    version: str
    judgement: Judgement = Field(description="What the gate found; the champion it compared with must still be it.")
    since: datetime = Field(description="UTC.")
    run: str = Field(default="", description="The run that made the version.")
    answer: Answer = ""
    by: str = Field(default="", description="Who answered; empty for nobody.")
    when: datetime | None = Field(default=None, description="When, UTC.")
    why: str = ""

    @property
    def expires(self) -> datetime | None:
        """When it has waited for too long; None for never."""
        days = self.gate.pending_days
        return self.since + timedelta(days=days) if days else None

    @property
    def is_shadowed(self) -> bool:
        """Whether it is sent copies of requests while it waits, and has to have answered enough of them."""
        return self.serving.shadow.percent > 0

    @property
    def in_words(self) -> str:
        """What came of it, for people."""
        if not self.answer:
            what = "labelled requests" if self.gate.approval == "live" else "approval"
            until = f", until {self.expires:%Y-%m-%d %H:%M} UTC" if self.expires else ""
            return f"waits for {what} since {self.since:%Y-%m-%d %H:%M} UTC{until}"
        why = f": {self.why}" if self.why else ""
        by = "" if self.answer == "expired" else f" by {self.by or 'somebody'}"
        return f"{self.answer}{by} on {self.when:%Y-%m-%d %H:%M} UTC{why}"


class PendingVersions:
    """The versions of a model that wait for a person, or have waited.

    Every method raises `StoreError` when the store cannot be reached or refuses, and `PackageError` when an object is
    damaged.

    Args:
        store: The object store.
        name: Name of the model.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name

    def add(self, version: str, judgement: Judgement, terms: Terms, *, run: str) -> Pending:
        """Let a version wait. One that was rejected stays so; one that waits, expired or was approved waits anew.

        Returns:
            What is kept of the version now.
        """
        sections = {name: getattr(terms, name) for name in Terms.model_fields}
        pending = Pending(version=version, judgement=judgement, since=datetime.now(UTC), run=run, **sections)
        while not self.store.create(self._key(version), _json(pending)):
            found = self._read(version)
            if found and found[0].answer == "rejected":
                return found[0]
            if found and self.store.replace(self._key(version), _json(pending), found[1]):
                break
        return pending

    def all(self) -> dict[str, Pending]:
        """What is kept of each version, by its name."""
        versions = [item.key.removeprefix(self._prefix).removesuffix(".json") for item in self.store.list(self._prefix)]
        found = {version: self._read(version) for version in versions}
        return {version: one[0] for version, one in found.items() if one}

    def all_waiting(self) -> list[Pending]:
        """The versions that wait, the one that began last at the end."""
        return sorted((one for one in self.all().values() if not one.answer), key=lambda one: one.since)

    def waiting(self, version: str) -> Pending:
        """A version that waits.

        Raises:
            PackageError: It does not wait.
        """
        return self._waiting(version)[0]

    def answer(self, version: str, answer: Answer, *, by: str, why: str) -> Pending:
        """Write an answer down.

        Raises:
            PackageError: The version does not wait, or somebody else has just answered.
        """
        pending, etag = self._waiting(version)
        answered = pending.model_copy(update={"answer": answer, "by": by, "when": datetime.now(UTC), "why": why})
        if not self.store.replace(self._key(version), _json(answered), etag):
            raise PackageError(f"Somebody has just answered for version {version} of {self.name!r}. Look again.")
        return answered

    @property
    def _prefix(self) -> str:
        return f"models/{self.name}/pending/"

    def _key(self, version: str) -> str:
        return f"{self._prefix}{version}.json"

    def _waiting(self, version: str) -> tuple[Pending, str]:
        found = self._read(version)
        if found is None:
            waiting = [one.version for one in self.all_waiting()]
            known = f"there wait {', '.join(waiting)}" if waiting else "none waits"
            raise PackageError(f"Version {version!r} of {self.name!r} does not wait for approval; {known}.")
        if found[0].answer:
            raise PackageError(f"Version {version} of {self.name!r} was {found[0].in_words}.")
        return found

    def _read(self, version: str) -> tuple[Pending, str] | None:
        found = self.store.read_with_etag(self._key(version))
        if found is None:
            return None
        try:
            return Pending.model_validate_json(found[0]), found[1]
        except ValidationError as error:
            raise PackageError(
                f"{self.store.uri(self._key(version))} is no version that waits: {in_short(error)}. Run the pipeline "
                "again."
            ) from error


def _json(pending: Pending) -> bytes:
    return pending.model_dump_json(indent=2).encode()
