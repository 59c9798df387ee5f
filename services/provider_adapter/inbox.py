"""What discussion asks of this room, and what the vault states that matters here."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import structlog
from msgspec import Struct

from contracts.attempts import Accepted, CancelAttempt, ProbeResult, RunAttempt, RunProbe
from contracts.keys import Done
from services.provider_adapter.keys import Keyring
from services.provider_adapter.probe import probe
from services.provider_adapter.running import Running
from services.provider_adapter.ways import Ways
from shared.bus import Message, Verb

log = structlog.stdlib.get_logger("provider_adapter")

DROPPING = frozenset({"KeyRotated", "KeyRevoked", "KeyDisabled", "KeyQuarantined"})
"""Facts after which a key that was lent must not be used again."""


class _OfKey(Struct):
    key: str


@dataclass(frozen=True, slots=True)
class Inbox:
    """Each method answers one verb or hears one kind of fact."""

    running: Running
    ways: Ways
    keys: Keyring

    def verbs(self) -> list[Verb[RunAttempt] | Verb[CancelAttempt] | Verb[RunProbe]]:
        """What is answered here."""
        return [
            Verb("attempt", RunAttempt, self.attempt),
            Verb("cancel", CancelAttempt, self.cancel, everyone=True),
            Verb("probe", RunProbe, self.probe),
        ]

    async def attempt(self, command: RunAttempt) -> Accepted:
        """Taken at once; its end is an outcome."""
        self.running.take(command)
        return Accepted(attempt=command.attempt)

    async def cancel(self, command: CancelAttempt) -> Done:
        """Every replica hears it; one of them has it."""
        self.running.cancel(command.attempt)
        return Done()

    async def probe(self, command: RunProbe) -> ProbeResult:
        """Answered when the provider has."""
        return await probe(command, self.ways, self.keys)

    def key_changed(self, fact: Message) -> None:
        """Drop a key that was rotated, revoked, disabled or quarantined."""
        if fact.subject.rpartition(".")[2] not in DROPPING:
            return
        try:
            self.keys.forget(msgspec.json.decode(fact.data, type=_OfKey).key)
        except msgspec.DecodeError:
            log.warning("a fact about a key cannot be read: every key is dropped")
            self.keys.forget_all()
