"""Stand-ins for the other services around one that is tested for real: they answer on the bus.

Only neighbours are stood in for; the database and the broker are true ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from contracts.attempts import (
    Accepted,
    CancelAttempt,
    LiveModel,
    ProbeResult,
    RunAttempt,
    RunProbe,
)
from contracts.event import Event, name_of
from contracts.failures import NotFound
from contracts.keys import (
    Done,
    KeyAccountSeen,
    KeyActivated,
    KeyAdded,
    KeyList,
    KeyView,
    ListKeys,
    ReportKey,
)
from contracts.personas import GetPersona, PersonaView
from contracts.stream import (
    ChunkKind,
    Outcome,
    ProviderError,
    StreamChunk,
    StreamCompleted,
    Usage,
    UsageStatus,
)
from contracts.subjects import chunk_subject, event_subject, outcome_subject
from shared.bus import Bus, Verb
from shared.ids import fresh
from tests.brokers import Broker

WORKSPACE = "default"
ENDPOINT = "https://api.test/v1"
MODELS = ["kimi-k2.6", "kimi-k3"]
PERSONAS = {"riley-engstrom": "Riley Engstrom", "morgan-castellano": "Morgan Castellano"}


@dataclass
class Adapter:
    """provider_adapter, as far as discussion can tell: what it is asked, and what it says."""

    bus: Bus
    attempts: list[RunAttempt] = field(default_factory=list[RunAttempt])
    cancelled: list[str] = field(default_factory=list[str])
    probes: list[RunProbe] = field(default_factory=list[RunProbe])
    script: Callable[[Adapter, RunAttempt], Awaitable[None]] | None = None
    """What happens to an attempt; by default it is answered at once."""
    probe: ProbeResult = field(
        default_factory=lambda: ProbeResult(models=[LiveModel(id=model) for model in MODELS])
    )

    async def serve(self) -> None:
        await self.bus.serve(
            "provider_adapter",
            [
                Verb("attempt", RunAttempt, self._attempt),
                Verb("probe", RunProbe, self._probe),
                Verb("cancel", CancelAttempt, self._cancel, everyone=True),
            ],
        )

    async def _attempt(self, command: RunAttempt) -> Accepted:
        self.attempts.append(command)
        await (self.script or answer)(self, command)
        return Accepted(attempt=command.attempt)

    async def _probe(self, command: RunProbe) -> ProbeResult:
        self.probes.append(command)
        return self.probe

    async def _cancel(self, command: CancelAttempt) -> Done:
        self.cancelled.append(command.attempt)
        return Done()

    def hold(self) -> list[RunAttempt]:
        """From now on attempts are taken and not answered: those that are, as they come."""
        held: list[RunAttempt] = []

        async def take(_: Adapter, command: RunAttempt) -> None:
            held.append(command)

        self.script = take
        return held

    async def say(self, command: RunAttempt, text: str, *, offset: int = 0) -> None:
        chunk = StreamChunk(
            turn=command.turn,
            attempt=command.attempt,
            kind=ChunkKind.TEXT,
            offset=offset,
            text=text,
        )
        await self.bus.publish(
            chunk_subject(WORKSPACE, command.discussion, command.attempt),
            msgspec.json.encode(chunk),
        )

    async def end(self, outcome: Outcome) -> None:
        await self.bus.publish_durable(
            outcome_subject(WORKSPACE, outcome.discussion, outcome.attempt),
            msgspec.json.encode(outcome),
            id=f"{outcome.attempt}.{type(outcome).__name__}",
            within=timedelta(seconds=5),
        )


def completed(command: RunAttempt, text: str) -> StreamCompleted:
    return StreamCompleted(
        at=datetime.now(UTC),
        workspace=WORKSPACE,
        discussion=command.discussion,
        turn=command.turn,
        attempt=command.attempt,
        text=text,
        finish_reason="stop",
        model=command.model,
        usage=Usage(input_tokens=10, output_tokens=20, status=UsageStatus.MEASURED),
    )


def error(command: RunAttempt, class_: str, **more: object) -> ProviderError:
    wire = {
        "type": "stream.error.v1",
        "at": datetime.now(UTC),
        "workspace": WORKSPACE,
        "discussion": command.discussion,
        "turn": command.turn,
        "attempt": command.attempt,
        "class": class_,
        **more,
    }
    return msgspec.convert(wire, ProviderError)


async def answer(adapter: Adapter, command: RunAttempt) -> None:
    """The well-behaved provider."""
    text = f"{command.model} says hello."
    await adapter.say(command, text)
    await adapter.end(completed(command, text))


def of_key(
    kind: Callable[..., Event],
    key: str,
    *,
    version: int = 1,
    at: datetime | None = None,
    **rest: object,
) -> Event:
    """A fact about a key of the one endpoint that the neighbours know."""
    return kind(
        at=at or datetime.now(UTC),
        workspace=WORKSPACE,
        key=key,
        version=version,
        provider="kimi",
        endpoint=ENDPOINT,
        **rest,
    )


@dataclass
class Vault:
    """key_vault, as far as discussion can tell."""

    bus: Bus
    keys: list[KeyView] = field(default_factory=list[KeyView])
    reports: list[ReportKey] = field(default_factory=list[ReportKey])

    async def serve(self) -> None:
        await self.bus.serve(
            "key_vault",
            [Verb("list", ListKeys, self._list), Verb("report", ReportKey, self._report)],
        )

    async def _list(self, command: ListKeys) -> KeyList:
        return KeyList([key for key in self.keys if command.provider in (None, key.provider)])

    async def _report(self, command: ReportKey) -> Done:
        self.reports.append(command)
        return Done()

    async def state(self, fact: Event, key: str) -> None:
        await self.bus.publish_durable(
            event_subject(WORKSPACE, "key_vault", key, name_of(fact)),
            msgspec.json.encode(fact),
            id=fresh(),
            within=timedelta(seconds=5),
        )

    async def add(self, key: str, *, pool: bool = False) -> None:
        await self.state(
            of_key(KeyAdded, key, region="ai", fingerprint=f"of {key}", pool=pool),
            key,
        )

    async def name_account(self, key: str, account: str) -> None:
        await self.state(
            of_key(KeyAccountSeen, key, account=account),
            key,
        )

    async def activate(self, key: str, *, version: int = 1) -> None:
        await self.state(
            of_key(KeyActivated, key, version=version, account=key),
            key,
        )


async def serve_personas(bus: Bus) -> None:
    async def get(command: GetPersona) -> PersonaView:
        if command.slug not in PERSONAS:
            raise NotFound("Nobody of that name.", nearest=["riley-engstrom"])
        return PersonaView(
            id=command.slug,
            slug=command.slug,
            name=PERSONAS[command.slug],
            title="a persona",
            version=1,
            prompt=f"You are {PERSONAS[command.slug]}.",
        )

    await bus.serve("persona", [Verb("get", GetPersona, get)])


async def neighbours(broker: Broker) -> tuple[Adapter, Vault]:
    """Everybody that discussion talks to."""
    adapter = Adapter(await broker.bus("provider_adapter"))
    vault = Vault(await broker.bus("key_vault"))
    await adapter.serve()
    await vault.serve()
    await serve_personas(await broker.bus("persona"))
    return adapter, vault
