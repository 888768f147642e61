"""A lease in the object store: one holder at a time, and one that is gone does not block the others for ever.

The object says who holds it, and its number, which is one higher with each holder (a fencing token). It is only ever
written on the condition that it is what was read, so that of several that want it one gets it.

**Clocks.** No two machines' clocks are compared. How old a lease is, the object store says, by its own clock alone
(`Store.age`). The holder measures on its monotonic clock, from before its last renewal was sent, and stops a margin
before the lease is over; the others wait for a margin longer. So clocks may be wrong by any amount, and may run apart,
or the servers of one store may disagree, by up to the margin.

**A holder that was stopped** for a while and goes on, not knowing that it has lost the lease, is why there is the
number: what is done under the lease is written down under its number, and refused when a higher one has been seen.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.errors import FullcircleError, PackageError, StoreError, in_short
from components.shared.store import Store

# In seconds. Example: a lease written at 0 is given up by its holder at 105, and taken by another from 135 on, if its
# holder did not renew it, which it tries to do every 30.
SECONDS, MARGIN = 120.0, 15.0
_RENEWALS = 4  # renewals within the time of a lease


class LeaseLostError(FullcircleError):
    """The lease is another's now, or it could not be renewed in time."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True)

    number: int
    holder: str = ""
    seconds: float = 0.0
    token: str = ""


@dataclass(slots=True)
class Held:
    """A lease that this process has.

    Attributes:
        lease: Of which it is one.
        content: What the object holds.
        etag: Of the object.
        until: When it has to be given up, on the monotonic clock.
    """

    lease: "Lease"
    content: _Content
    etag: str
    until: float

    @property
    def number(self) -> int:
        """One higher than that of the holder before."""
        return self.content.number

    def check(self) -> None:
        """Make sure that it is still held.

        Raises:
            LeaseLostError: It may be another's by now.
        """
        if time.monotonic() >= self.until:
            raise LeaseLostError(
                f"{self.lease.uri} was not renewed in time, so that another may do the same work by now. Nothing more "
                "is done here; the next start looks at how far it came."
            )

    def renew(self) -> None:
        """Hold it for its whole time again.

        Raises:
            LeaseLostError: It is another's.
            StoreError: The object store cannot be reached; it is held until its time is over.
        """
        self.check()
        self._write(self.content.holder)

    def release(self) -> None:
        """Let others have it. One that was lost stays the other's; where the store is away, its time runs out."""
        if time.monotonic() < self.until:
            with suppress(LeaseLostError, StoreError):
                self._write("")

    @contextmanager
    def kept(self, lost: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Renew it in the background while something runs.

        Args:
            lost: Called once when it could not be renewed in time, from another thread.
        """
        over = threading.Event()

        def renew_until_over() -> None:
            while not over.wait(self.lease.seconds / _RENEWALS):
                try:
                    self.renew()
                except StoreError:
                    continue  # the lease is held until its time is over, whatever one renewal came to
                except LeaseLostError:
                    lost()
                    return

        renewing = threading.Thread(target=renew_until_over, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()

    def _write(self, holder: str) -> None:
        begun = time.monotonic()
        content = self.content.model_copy(update={"holder": holder, "token": uuid.uuid4().hex})
        etag = self.lease.write(content, self.etag)
        if etag is None:
            self.until = 0.0
            raise LeaseLostError(f"{self.lease.uri} has been taken over by another.")
        self.content, self.etag, self.until = content, etag, self.lease.given_up_at(begun)


class Lease:
    """One lease, which nobody or one process has.

    Every method raises `StoreError` when the store cannot be reached or refuses, and `PackageError` when the object is
    damaged.

    Args:
        store: The object store.
        key: Of the object.
        holder: Who this is, for people.
        seconds: For how long it is held without being renewed.
        margin: By how much the holder gives it up earlier, and others take it later; less than half of `seconds`.
    """

    def __init__(
        self, store: Store, key: str, *, holder: str, seconds: float = SECONDS, margin: float = MARGIN
    ) -> None:
        self.store = store
        self.key = key
        self.holder = holder
        self.seconds = seconds
        self.margin = margin

    @property
    def uri(self) -> str:
        """Where it is, for messages."""
        return self.store.uri(self.key)

    def acquire(self) -> Held | None:
        """Take it; None while it is another's."""
        begun = time.monotonic()
        found = self._read()
        if found is not None and found[0].holder and not self._is_over(found[0]):
            return None
        number = found[0].number + 1 if found else 1
        content = _Content(number=number, holder=self.holder, seconds=self.seconds, token=uuid.uuid4().hex)
        etag = self.write(content, found[1] if found else None)
        return None if etag is None else Held(self, content, etag, self.given_up_at(begun))

    def given_up_at(self, written: float) -> float:
        """When the holder gives the lease up that it wrote at `written`; both on the monotonic clock, in seconds."""
        return written + self.seconds - self.margin

    def write(self, content: _Content, etag: str | None) -> str | None:
        """Write it on the condition that it is what was read.

        Args:
            content: The new content.
            etag: Of what was read; None for nothing.

        Returns:
            The etag of what was written; None when another was quicker.
        """
        data = content.model_dump_json().encode()
        written = self.store.create(self.key, data) if etag is None else self.store.replace(self.key, data, etag)
        found = self._read() if written else None
        return found[1] if found and found[0] == content else None

    def _is_over(self, content: _Content) -> bool:
        age = self.store.age(self.key)
        return age is None or age > content.seconds + self.margin

    def _read(self) -> tuple[_Content, str] | None:
        found = self.store.read_with_etag(self.key)
        if found is None:
            return None
        try:
            return _Content.model_validate_json(found[0]), found[1]
        except ValidationError as error:
            raise PackageError(f"{self.uri} is no lease: {in_short(error)}. Remove it while nothing runs.") from error
