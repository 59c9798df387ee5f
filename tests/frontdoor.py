"""The edge between a true broker and stand-ins for the services behind it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec

from contracts.discussion import (
    DiscussionState,
    DiscussionView,
    GetDiscussion,
    GetHistory,
    History,
    HistoryEntry,
    OpenDiscussion,
    Opened,
    TurnState,
    TurnView,
)
from contracts.event import name_of
from contracts.failures import NotFound, Unauthenticated
from contracts.keys import (
    AddKey,
    DescribeVault,
    Identity,
    Introspect,
    KeyState,
    KeyView,
    Role,
    TokenRevoked,
    VaultIdentity,
)
from contracts.modes import Mode
from contracts.stream import ChunkKind, StreamChunk
from contracts.subjects import chunk_subject, event_subject
from services.edge.settings import EdgeSettings
from shared.bus import Bus, Verb
from shared.ids import fresh
from shared.sealing import RecipientKey
from shared.service import Service
from tests.brokers import Broker
from tests.readers import Reader

WORKSPACE = "default"
TOKENS = {"owner": Role.OWNER, "viewer": Role.VIEWER}
WITHIN = timedelta(seconds=5)
TERMINAL = {"DiscussionCompleted": DiscussionState.COMPLETED}


@dataclass
class Behind:
    """The services behind the edge, as far as it can tell."""

    vault: Bus
    discussion: Bus
    adapter: Bus
    id: str = field(default_factory=fresh)
    log: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    others: dict[str, list[tuple[str, dict[str, Any]]]] = field(
        default_factory=dict[str, list[tuple[str, dict[str, Any]]]]
    )
    """Logs of other discussions."""
    histories: int = 0
    expires_at: datetime | None = None
    """When every token ends."""
    opened: list[OpenDiscussion] = field(default_factory=list[OpenDiscussion])
    added: list[AddKey] = field(default_factory=list[AddKey])
    key: RecipientKey = field(default_factory=RecipientKey.generate)

    @classmethod
    async def at(cls, broker: Broker) -> Behind:
        made = cls(
            await broker.bus("key_vault"),
            await broker.bus("discussion"),
            await broker.bus("provider_adapter"),
        )
        await made.vault.serve(
            "key_vault",
            [
                Verb("introspect", Introspect, made._introspect),
                Verb("identity", DescribeVault, made._identity),
                Verb("add", AddKey, made._add),
            ],
        )
        await made.discussion.serve(
            "discussion",
            [
                Verb("history", GetHistory, made._history),
                Verb("open", OpenDiscussion, made._open),
                Verb("get", GetDiscussion, made._get),
            ],
        )
        return made

    async def _introspect(self, command: Introspect) -> Identity:
        for name, role in TOKENS.items():
            if hashlib.sha256(name.encode()).digest() == command.token_hash:
                return Identity(
                    token=name, workspace=WORKSPACE, role=role, expires_at=self.expires_at
                )
        raise Unauthenticated("No such token.")

    async def _identity(self, _: DescribeVault) -> VaultIdentity:
        return VaultIdentity(sealing_key=self.key.public, signing_key=b"")

    async def _add(self, command: AddKey) -> KeyView:
        self.added.append(command)
        return KeyView(
            id=fresh(),
            version=1,
            provider=command.provider,
            state=KeyState.ACTIVE,
            endpoint="https://api.test/v1",
            region="ai",
            fingerprint="f",
        )

    async def _open(self, command: OpenDiscussion) -> Opened:
        self.opened.append(command)
        return Opened(discussion=self.id, version=1)

    async def _get(self, command: GetDiscussion) -> DiscussionView:
        turn = TurnView(id="t", model="kimi/k", state=TurnState.RUNNING, attempts=1, attempt="a")
        now = datetime.now(UTC)
        return DiscussionView(
            id=command.discussion,
            state=DiscussionState.RUNNING,
            mode=Mode.SINGLE,
            title="Tea?",
            topic="Tea?",
            created_at=now,
            updated_at=now,
            version=len(self.log),
            participants=[],
            turns=[turn],
        )

    async def _history(self, command: GetHistory) -> History:
        self.histories += 1
        log = self.log if command.discussion == self.id else self.others.get(command.discussion)
        if log is None:
            raise NotFound("No such discussion.")
        entries = [
            HistoryEntry(version=at, event=data, name=name)
            for at, (name, data) in enumerate(log, 1)
        ]
        ended = TERMINAL.get(log[-1][0]) if log else None
        return History(
            items=entries[command.after :][: command.limit],
            version=len(log),
            state=ended or DiscussionState.RUNNING,
        )

    async def fact(self, name: str, *, lost: bool = False, **data: Any) -> None:
        """Something happened; `lost` when the bus does not bring the news."""
        self.log.append((name, {"discussion": self.id, **data}))
        if not lost:
            await self.tell(len(self.log))

    async def tell(self, version: int) -> None:
        await self._tell(self.id, version, *self.log[version - 1])

    async def fact_of(self, other: str, name: str) -> None:
        log = self.others.setdefault(other, [])
        log.append((name, {"discussion": other, "turn": "o", "attempt": "o"}))
        await self._tell(other, len(log), *log[-1])

    async def _tell(self, discussion: str, version: int, name: str, data: dict[str, Any]) -> None:
        await self.discussion.publish_durable(
            event_subject(WORKSPACE, "discussion", discussion, name),
            msgspec.json.encode(data),
            id=fresh(),
            headers={"Parley-Version": str(version)},
            within=WITHIN,
        )

    async def say(self, text: str, *, at: int, attempt: str = "a") -> None:
        chunk = StreamChunk(turn="t", attempt=attempt, kind=ChunkKind.TEXT, offset=at, text=text)
        await self.adapter.publish(
            chunk_subject(WORKSPACE, self.id, attempt), msgspec.json.encode(chunk)
        )

    async def begin(self) -> None:
        await self.fact("DiscussionOpened")
        await self.fact("AttemptStarted", turn="t", attempt="a")

    async def finish(self, text: str) -> None:
        await self.fact("TurnCompleted", turn="t", attempt="a", text=text)
        await self.fact("DiscussionCompleted")

    async def revoke(self, token: str) -> None:
        revoked = TokenRevoked(at=datetime.now(UTC), workspace=WORKSPACE, token=token)
        await self.vault.publish_durable(
            event_subject(WORKSPACE, "key_vault", token, name_of(revoked)),
            msgspec.json.encode(revoked),
            id=fresh(),
            within=WITHIN,
        )


@dataclass
class Edge:
    """The edge itself, in this process."""

    url: str
    service: Service[EdgeSettings]
    http: aiohttp.ClientSession
    behind: Behind

    def reader(self, token: str = "owner") -> Reader:
        address = f"{self.url}/api/v1/discussions/{self.behind.id}/events"
        return Reader(address, {"Authorization": f"Bearer {token}"})

    def follow(self, reader: Reader) -> asyncio.Task[int]:
        return asyncio.create_task(reader.follow(self.http))

    async def ask(self, method: str, path: str, body: object = None, token: str = "owner") -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.text())


async def open_edge(broker: Broker, http: aiohttp.ClientSession) -> Edge:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = EdgeSettings(nats_url=broker.url, nats_seed_file=broker.seed_file("edge"), port=port)
    behind = await Behind.at(broker)
    return Edge(f"http://127.0.0.1:{port}", Service("edge", settings), http, behind)


Started = Callable[[Broker], Awaitable[Edge]]


def heard(reader: Reader, text: str) -> Callable[[], Awaitable[bool]]:
    async def whole() -> bool:
        return reader.text.get(("a", "text")) == text

    return whole


def reached(reader: Reader, version: int) -> Callable[[], Awaitable[bool]]:
    """It has read the journal up to there."""

    async def so_far() -> bool:
        return reader.last == version

    return so_far


def connected(reader: Reader, *, times: int) -> Callable[[], Awaitable[bool]]:
    async def so_often() -> bool:
        return reader.said.count(": connected") == times

    return so_often
