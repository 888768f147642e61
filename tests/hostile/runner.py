"""Sends attacks to a server and counts what it answers."""

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tests.hostile.corpus import Attack

_STATUS = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)[ \r]")
_PATIENCE = 0.2  # seconds until the client stops sending, when no answer has come: it may owe the server a body
_SAMPLES = 20
_RESET = struct.pack("ii", 1, 0)  # close at once: no port is left waiting


@dataclass
class Outcome:
    """What became of attacks.

    Attributes:
        answers: How often each family got which status; 0 is no answer.
        faults: Some of the attacks that were answered 5xx, but for 503, with their answers.
        hung: Attacks that were neither answered nor closed in time.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[tuple[Attack, bytes]] = field(default_factory=list)
    hung: list[Attack] = field(default_factory=list)

    def count(self, low: int, high: int, *, without: tuple[int, ...] = ()) -> int:
        """Answers with a status from low to below high."""
        return sum(
            number for (_, status), number in self.answers.items() if low <= status < high and status not in without
        )

    def answers_with(self, status: int) -> int:
        """Answers with one status; 0 is no answer."""
        return self.count(status, status + 1)

    def of(self, family: str) -> "Outcome":
        """What became of one family's attacks."""
        answers = Counter({key: number for key, number in self.answers.items() if key[0] == family})
        return Outcome(answers, hung=[attack for attack in self.hung if attack.family == family])

    @property
    def client_faults(self) -> int:
        """Answers that blame the server; 503 tells of a full queue and is counted apart."""
        return self.count(500, 600, without=(503,))

    def add(self, attack: Attack, statuses: list[int], answer: bytes, hung: bool) -> None:
        """Count one attack's answers."""
        for status in statuses or [0]:
            self.answers[attack.family, status] += 1
        if any(status >= 500 and status != 503 for status in statuses) and len(self.faults) < _SAMPLES:
            self.faults.append((attack, answer[:2000]))
        if hung and len(self.hung) < _SAMPLES:
            self.hung.append(attack)


async def run(port: int, attacks: Iterable[Attack], *, clients: int = 16, seconds: float = 10.0) -> Outcome:
    """Send all attacks, several at a time.

    Args:
        port: The server's, on this machine.
        attacks: What to send.
        clients: How many connections at a time.
        seconds: Longest wait for the end of an answer.
    """
    outcome = Outcome()
    waiting = iter(attacks)
    await asyncio.gather(*(_client(port, waiting, outcome, seconds) for _ in range(clients)))
    return outcome


async def _client(port: int, attacks: Iterator[Attack], outcome: Outcome, seconds: float) -> None:
    for attack in attacks:
        answer, hung = await send(port, attack, seconds)
        statuses = [int(status) for status in _STATUS.findall(answer)]
        outcome.add(attack, statuses, answer, hung)


async def send(port: int, attack: Attack, seconds: float = 10.0) -> tuple[bytes, bool]:
    """Send one attack on a connection of its own.

    Returns:
        What came back, and whether the server neither answered nor closed in time.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    try:
        # A server that has answered already may close while this still sends.
        with suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(_write(writer, attack), seconds)
        if attack.end == "reset":
            return b"", False
        return await _read(reader, writer, attack, seconds)
    finally:
        writer.close()


async def _write(writer: asyncio.StreamWriter, attack: Attack) -> None:
    for part in attack.parts:
        writer.write(part)
        await writer.drain()
        if attack.pause:
            await asyncio.sleep(attack.pause)
    if attack.end == "half":
        writer.write_eof()


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, attack: Attack, seconds: float
) -> tuple[bytes, bool]:
    answer = bytearray()
    patient = attack.end == "half" or attack.hang
    while len(_STATUS.findall(answer)) < max(1, attack.answers):
        try:
            data = await asyncio.wait_for(reader.read(65536), seconds if patient else _PATIENCE)
        except TimeoutError:
            if patient:
                return bytes(answer), True
            patient = True
            with suppress(OSError):
                writer.write_eof()
            continue
        except ConnectionError:
            break
        if not data:
            break
        answer += data
    return bytes(answer), False
