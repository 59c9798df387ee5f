"""Outcomes on their way to the log: kept in memory until the broker has them, in their order.

A provider's answer must not be lost because NATS was away for a moment; so what is not
acknowledged is published again, under the same id, until it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import NamedTuple, Protocol

import msgspec
import structlog

from contracts.failures import Evidence, FailureClass
from contracts.stream import Outcome, ProviderError, StreamCompleted, StreamStarted
from contracts.subjects import outcome_subject
from shared.bus import NeverStored

ACK_WITHIN = timedelta(seconds=5)
AGAIN_AFTER = timedelta(milliseconds=250)
AGAIN_AT_MOST = timedelta(seconds=5)

LARGEST = 7 * 1024 * 1024
"""Bytes of one outcome; the broker takes messages of 8 MB."""

log = structlog.stdlib.get_logger("provider_adapter")


class StoresDurably(Protocol):
    """The part of the bus that is needed here."""

    async def publish_durable(
        self, subject: str, payload: bytes, *, id: str, within: timedelta
    ) -> int:
        """Publish to a stream and wait for its acknowledgement."""
        ...


class _Letter(NamedTuple):
    subject: str
    id: str
    payload: bytes


class Outbox:
    """Publishes one outcome after the other; `post` never waits."""

    def __init__(self, bus: StoresDurably) -> None:
        self._bus = bus
        self._letters: deque[_Letter] = deque()
        self._posted = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.stuck = False
        """The broker is there and stores nothing, e.g. for want of room: what is asked of a
        provider now would be paid for, and perhaps in vain."""

    @property
    def waiting(self) -> int:
        """Outcomes that the broker does not have yet; whoever takes work keeps this bounded."""
        return len(self._letters)

    def post(self, outcome: Outcome) -> None:
        """Hand over an outcome; it will arrive unless this process dies first."""
        self._letters.append(_letter(outcome))
        self._posted.set()
        self._empty.clear()

    async def run(self) -> None:
        """Publish for as long as the service lives."""
        while True:
            await self._posted.wait()
            while self._letters:
                await self._deliver(self._letters[0])
                self._letters.popleft()
            self._posted.clear()
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until the broker has everything."""
        await self._empty.wait()

    async def _deliver(self, letter: _Letter) -> None:
        wait = AGAIN_AFTER
        while True:
            try:
                await self._bus.publish_durable(
                    letter.subject, letter.payload, id=letter.id, within=ACK_WITHIN
                )
            except NeverStored:
                log.exception("outcome cannot be stored, ever", id=letter.id)
                self.stuck = False
                return
            except Exception as error:  # noqa: BLE001 - whatever it was, the outcome must arrive
                log.warning("outcome not stored yet", id=letter.id, error=repr(error))
                self.stuck = True
                await asyncio.sleep(wait.total_seconds())
                wait = min(wait * 2, AGAIN_AT_MOST)
            else:
                self.stuck = False
                return


def _letter(outcome: Outcome) -> _Letter:
    payload = msgspec.json.encode(outcome)
    if len(payload) > LARGEST:
        payload = msgspec.json.encode(_without_words(outcome))
    kind = "started" if isinstance(outcome, StreamStarted) else "ended"
    subject = outcome_subject(outcome.workspace, outcome.discussion, outcome.attempt)
    return _Letter(subject, f"{outcome.attempt}.{kind}", payload)


def _without_words(outcome: Outcome) -> Outcome:
    """What is left of an answer that no message can hold."""
    match outcome:
        case StreamCompleted():
            return ProviderError(
                at=outcome.at,
                workspace=outcome.workspace,
                discussion=outcome.discussion,
                turn=outcome.turn,
                attempt=outcome.attempt,
                class_=FailureClass.REQUEST,
                evidence=Evidence(message="the answer is larger than a message can be"),
                usage=outcome.usage,
                model=outcome.model,
                duration_ms=outcome.duration_ms,
                hint="too_large",
            )
        case ProviderError():
            return msgspec.structs.replace(outcome, text="", reasoning="")
        case StreamStarted():
            return outcome
