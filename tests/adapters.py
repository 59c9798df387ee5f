"""A whole provider_adapter in the test's own process, between a true broker and a scripted
provider; the vault and discussion are stood in for, with the real sealing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp.abc import AbstractResolver

from contracts.attempts import (
    Accepted,
    KeyRef,
    Message,
    Parameters,
    ProbeResult,
    RunAttempt,
    RunProbe,
)
from contracts.event import Event, name_of
from contracts.failures import Conflict
from contracts.keys import DescribeVault, KeyLease, LeaseKey, VaultIdentity
from contracts.stream import ChunkKind, Outcome, ProviderError, StreamChunk, StreamCompleted
from contracts.subjects import KEY_FACTS, command_subject, event_subject
from local.scripted import ScriptedProvider
from services.provider_adapter.attempt import Surroundings
from services.provider_adapter.beat import Beat
from services.provider_adapter.inbox import Inbox
from services.provider_adapter.keys import Keyring
from services.provider_adapter.outbox import Outbox
from services.provider_adapter.patience import Patience
from services.provider_adapter.running import Rules, Running
from services.provider_adapter.ways import Ways
from shared import sealing
from shared.bus import Bus, Delivery, Verb
from shared.bus import Message as BusMessage
from shared.ids import fresh
from tests.brokers import Broker
from tests.eventually import eventually
from tests.recorded import FOLDER

WORKSPACE = "default"
WITHIN = timedelta(seconds=5)
OUTCOME = msgspec.json.Decoder(Outcome)
CHUNK = msgspec.json.Decoder(StreamChunk)
TICK = timedelta(milliseconds=20)


@dataclass
class VaultStandIn:
    """Lends one key, by the real sealing."""

    bus: Bus
    secret: str = "sk-good"
    version: int = 1
    leases: list[LeaseKey] = field(default_factory=list[LeaseKey])
    refuses: bool = False
    _sealing: sealing.RecipientKey = field(default_factory=sealing.RecipientKey.generate)
    _signing: sealing.SigningKey = field(default_factory=sealing.SigningKey.generate)

    async def serve(self) -> None:
        await self.bus.serve(
            "key_vault",
            [
                Verb("identity", DescribeVault, self._identity),
                Verb("lease", LeaseKey, self._lease),
            ],
        )

    async def _identity(self, _: DescribeVault) -> VaultIdentity:
        return VaultIdentity(sealing_key=self._sealing.public, signing_key=self._signing.public)

    async def _lease(self, wish: LeaseKey) -> KeyLease:
        self.leases.append(wish)
        if self.refuses or wish.version != self.version:
            raise Conflict("This key is quarantined.")
        info = sealing.lease_info(
            workspace=wish.workspace,
            request=wish.request,
            key=wish.key,
            version=wish.version,
            endpoint=wish.endpoint,
        )
        sealed = sealing.seal(wish.recipient, self.secret.encode(), info)
        return KeyLease(
            sealed=sealed,
            signature=self._signing.sign(sealed, info),
            expires_at=datetime.now(UTC) + timedelta(minutes=5),
        )

    async def state(self, fact: Event, key: str) -> None:
        await self.bus.publish_durable(
            event_subject(WORKSPACE, "key_vault", key, name_of(fact)),
            msgspec.json.encode(fact),
            id=fresh(),
            within=WITHIN,
        )


def joined(chunks: list[StreamChunk]) -> str:
    """What a reader holds who goes by the offsets; what comes after a gap has to come again."""
    held = ""
    for chunk in chunks:
        if chunk.offset <= len(held):
            held += chunk.text[len(held) - chunk.offset :]
    return held


@dataclass
class House:
    """Everything around one adapter, and what was said."""

    provider: ScriptedProvider
    running: Running
    keys: Keyring
    outbox: Outbox
    ways: Ways
    vault: VaultStandIn
    discussion: Bus
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    chunks: list[StreamChunk] = field(default_factory=list[StreamChunk])

    def request(self, prompt: str = "Hello", **changes: Any) -> RunAttempt:
        now = datetime.now(UTC)
        wish: dict[str, Any] = {
            "workspace": WORKSPACE,
            "discussion": fresh(),
            "turn": fresh(),
            "attempt": fresh(),
            "provider": "kimi",
            "endpoint": self.provider.base_url,
            "model": "kimi-k2.6",
            "key": KeyRef(key="k1", version=1),
            "messages": [Message(role="user", content=prompt)],
            "parameters": Parameters(max_completion_tokens=1024),
            "expires_at": now + timedelta(seconds=30),
            "deadline": now + timedelta(minutes=5),
        }
        return RunAttempt(**(wish | changes))

    async def ask(self, prompt: str = "Hello", **changes: Any) -> RunAttempt:
        """What discussion does: one request, accepted at once."""
        return await self.send(self.request(prompt, **changes))

    async def send(self, request: RunAttempt) -> RunAttempt:
        await self.discussion.request(
            command_subject("provider_adapter", "attempt"), request, Accepted, within=WITHIN
        )
        return request

    async def end_of(self, request: RunAttempt) -> StreamCompleted | ProviderError:
        """The one outcome of the attempt; there must never be two."""

        async def ended() -> list[StreamCompleted | ProviderError]:
            return [
                outcome
                for outcome in self.outcomes
                if outcome.attempt == request.attempt
                and isinstance(outcome, StreamCompleted | ProviderError)
            ]

        (outcome,) = await eventually(ended, within=timedelta(seconds=20))
        return outcome

    async def error_of(self, request: RunAttempt) -> ProviderError:
        outcome = await self.end_of(request)
        assert isinstance(outcome, ProviderError), outcome
        return outcome

    async def answer_of(self, request: RunAttempt) -> StreamCompleted:
        outcome = await self.end_of(request)
        assert isinstance(outcome, StreamCompleted), outcome
        return outcome

    async def hears(self, request: RunAttempt, text: str) -> None:
        """Wait until a viewer has seen this much."""

        async def seen() -> bool:
            return self.text_of(request).startswith(text)

        await eventually(seen)

    def text_of(self, request: RunAttempt, kind: ChunkKind = ChunkKind.TEXT) -> str:
        """What a viewer holds who goes by the offsets."""
        mine = [chunk for chunk in self.chunks if chunk.attempt == request.attempt]
        return joined([chunk for chunk in mine if chunk.kind is kind])

    @property
    def asked(self) -> int:
        """Requests that the provider has seen."""
        return len(self.provider.requests)


@asynccontextmanager
async def house(
    broker: Broker,
    rules: Rules | None = None,
    *,
    rate: float = 0,
    resolver: AbstractResolver | None = None,
) -> AsyncGenerator[House]:
    """Wired as `python -m services.provider_adapter` wires it."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ScriptedProvider(fixtures=FOLDER, rate=rate))
        vault = VaultStandIn(await broker.bus("key_vault"))
        await vault.serve()
        bus = await broker.bus("provider_adapter")
        ways = Ways.open({}, resolver)
        stack.push_async_callback(ways.close)
        keys, outbox = Keyring(bus), Outbox(bus)
        around = Surroundings(
            ways=ways,
            keys=keys,
            outbox=outbox,
            beat=Beat(),
            publish=bus.publish,
            connected=lambda: bus.connected,
        )
        running = Running(around, rules)
        inbox = Inbox(running, ways, keys)
        discussion = await broker.bus("discussion")
        made = House(provider, running, keys, outbox, ways, vault, discussion)
        bus.on_reconnect(running.broker_is_back)
        await bus.subscribe(KEY_FACTS, inbox.key_changed)
        await bus.serve("provider_adapter", inbox.verbs())
        work = [asyncio.create_task(outbox.run()), asyncio.create_task(running.look_after())]
        await _watch(made, broker, work)
        try:
            yield made
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


async def _watch(made: House, broker: Broker, work: list[asyncio.Task[None]]) -> None:
    """Hear what a viewer and discussion hear."""

    def chunk(message: BusMessage) -> None:
        made.chunks.append(CHUNK.decode(message.data))

    async def outcome(delivery: Delivery) -> None:
        made.outcomes.append(OUTCOME.decode(delivery.data))

    edge = await broker.bus("edge")
    await edge.subscribe("parley.chunk.>", chunk)
    consuming = made.discussion.consume("OUTCOMES", "discussion-outcomes", outcome)
    work.append(asyncio.create_task(consuming))


def impatient(**patience: float) -> Rules:
    spans = {name: timedelta(seconds=value) for name, value in patience.items()}
    return Rules(ordinary=Patience(**spans), look_every=TICK, farewell=timedelta(seconds=0.2))


async def client_leaves(here: House) -> None:
    """The provider sees that nobody listens any more."""

    async def left() -> bool:
        return here.provider.requests[0].ended in {"client left", "stall"}

    await eventually(left)


async def probe(here: House, **changes: Any) -> ProbeResult:
    wish: dict[str, Any] = {
        "workspace": WORKSPACE,
        "request": "r1",
        "provider": "kimi",
        "endpoint": here.provider.base_url,
        "key": KeyRef(key="k1", version=1),
        "expires_at": datetime.now(UTC) + timedelta(seconds=10),
    }
    return await here.discussion.request(
        command_subject("provider_adapter", "probe"),
        RunProbe(**(wish | changes)),
        ProbeResult,
        within=WITHIN,
    )
