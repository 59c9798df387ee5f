"""The edge between a true broker and stand-ins for the services behind it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
import pytest_asyncio

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
from services.edge import feed, hub, outlet
from services.edge.__main__ import wire
from services.edge.hub import Hubs
from services.edge.settings import EdgeSettings
from shared.bus import Bus, Verb
from shared.ids import fresh
from shared.sealing import RecipientKey, submission_info
from shared.service import Service
from tests.brokers import Broker, OwnBroker
from tests.eventually import eventually
from tests.readers import Reader, Several

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


@pytest_asyncio.fixture
async def start() -> AsyncGenerator[Started]:
    """Start an edge at a broker; it is stopped at the end."""
    running: list[tuple[Edge, asyncio.Task[int]]] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:

        async def start(broker: Broker) -> Edge:
            edge = await open_edge(broker, http)
            running.append((edge, asyncio.create_task(edge.service.run(wire))))

            async def listens() -> bool:
                try:
                    async with http.get(f"{edge.url}/healthz") as answer:
                        return answer.status == 200
                except OSError:
                    return False

            await eventually(listens)
            return edge

        yield start
        for edge, life in running:
            edge.service.stop()
            assert await life == 0


@pytest_asyncio.fixture
async def edge(broker: Broker, start: Started) -> Edge:
    return await start(broker)


def heard(reader: Reader, text: str) -> Callable[[], Awaitable[bool]]:
    async def whole() -> bool:
        return reader.text.get(("a", "text")) == text

    return whole


def connected(reader: Reader, *, times: int) -> Callable[[], Awaitable[bool]]:
    async def so_often() -> bool:
        return reader.said.count(": connected") == times

    return so_often


# --- Joining ----------------------------------------------------------------------------------


async def test_who_joins_in_the_middle_gets_the_facts_the_text_so_far_and_the_rest(
    edge: Edge,
) -> None:
    behind = edge.behind
    await behind.begin()
    await behind.say("Hello", at=0)
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(heard(reader, "Hello"))
    assert reader.names() == ["DiscussionOpened", "AttemptStarted"]

    await behind.say(" there", at=5)
    await eventually(heard(reader, "Hello there"))
    await behind.finish("Hello there")

    assert await following == 200
    assert reader.ended == {"state": "completed"}
    assert await reader.follow(edge.http) == 204


async def test_viewers_share_one_reading_of_the_log(edge: Edge) -> None:
    await edge.behind.begin()
    readers = [edge.reader() for _ in range(30)]
    following = [edge.follow(reader) for reader in readers]
    await edge.behind.say("Hi", at=0)
    for reader in readers:
        await eventually(heard(reader, "Hi"))
    await edge.behind.finish("Hi")
    await asyncio.gather(*following)

    assert all(reader.ended for reader in readers)
    assert edge.behind.histories == 1


async def test_who_comes_late_is_read_what_the_hub_has_forgotten(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LOG", 10_000)
    monkeypatch.setattr(hub, "PAGE", 7)
    await edge.behind.begin()
    first = edge.reader()
    following = edge.follow(first)
    for number in range(100):
        await edge.behind.fact("TurnWaiting", turn="t", reason="rate", note="x" * 500 + str(number))
    await edge.behind.say("Hello", at=0)
    await eventually(heard(first, "Hello"))
    late = edge.reader()
    await late.follow(edge.http, leave_after=50)
    coming = edge.follow(late)
    await eventually(heard(late, "Hello"))
    await edge.behind.finish("Hello")
    await asyncio.gather(following, coming)

    assert [fact.data for fact in late.facts] == [fact.data for fact in first.facts]
    assert len(late.facts) == 104
    after_the_end = edge.reader()
    await after_the_end.follow(edge.http)
    assert after_the_end.names() == first.names()


async def test_what_runs_is_read_with_what_it_has_said_so_far(edge: Edge) -> None:
    await edge.behind.begin()
    await edge.behind.say("Hello", at=0)
    path = f"/api/v1/discussions/{edge.behind.id}"

    async def text() -> str:
        status, said = await edge.ask("GET", path)
        assert status == 200
        return said["turns"][0]["text"]

    async def unwatched() -> bool:
        return await text() == "Hello"

    await eventually(unwatched)
    reader = edge.reader()
    following = edge.follow(reader)
    await edge.behind.say(" there", at=5)
    await eventually(heard(reader, "Hello there"))
    assert await text() == "Hello there"
    await edge.behind.finish("Hello there")
    await following


async def test_a_discussion_that_is_not_there(edge: Edge) -> None:
    status, said = await edge.ask("GET", f"/api/v1/discussions/{fresh()}/events")

    assert (status, said["type"]) == (404, "urn:parley:problem:not-found")


async def test_who_comes_back_to_silence_is_kept_until_something_happens(edge: Edge) -> None:
    await edge.behind.fact("DiscussionOpened")
    reader = edge.reader()
    assert await reader.follow(edge.http, leave_after=1) == 200

    following = edge.follow(reader)
    await eventually(connected(reader, times=2))
    await edge.behind.fact("TurnParked", turn="t")
    await edge.behind.fact("DiscussionCompleted")

    assert await following == 200
    assert reader.ended == {"state": "completed"}
    assert reader.connections == 2


# --- What the bus loses -----------------------------------------------------------------------


async def test_a_fact_that_the_bus_lost_is_read_from_the_log(edge: Edge) -> None:
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)

    async def joined() -> bool:
        return reader.last == 2

    await eventually(joined)
    await edge.behind.fact("TurnWaiting", lost=True, turn="t", reason="throttled")
    await edge.behind.finish("done")

    assert await following == 200
    assert reader.names()[2:] == ["TurnWaiting", "TurnCompleted", "DiscussionCompleted"]


async def test_text_that_overtakes_its_attempt_waits_for_it(edge: Edge) -> None:
    await edge.behind.fact("DiscussionOpened")
    reader = edge.reader()
    following = edge.follow(reader)

    async def joined() -> bool:
        return reader.last == 1

    await eventually(joined)
    await edge.behind.say("Hello", at=0)
    await edge.behind.fact("AttemptStarted", turn="t", attempt="a")
    await eventually(heard(reader, "Hello"))
    await edge.behind.finish("Hello")
    await following


async def test_text_of_an_attempt_that_nobody_announced_makes_the_edge_look(edge: Edge) -> None:
    await edge.behind.fact("DiscussionOpened")
    reader = edge.reader()
    following = edge.follow(reader)

    async def joined() -> bool:
        return reader.last == 1

    await eventually(joined)
    await edge.behind.fact("AttemptStarted", lost=True, turn="t", attempt="a")
    await edge.behind.say("Hello", at=0)
    await eventually(heard(reader, "Hello"))
    await edge.behind.finish("Hello")
    await following


async def test_a_hole_in_the_text_is_filled_from_what_the_stream_keeps(edge: Edge) -> None:
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(heard(reader, ""))
    await edge.behind.say(" there", at=5)
    await edge.behind.say("Hello", at=0)

    await eventually(heard(reader, "Hello there"))
    await edge.behind.finish("Hello there")
    await following


async def test_a_broker_that_restarts_costs_a_viewer_nothing(
    own_broker: OwnBroker, start: Started
) -> None:
    edge = await start(own_broker.broker)
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await edge.behind.say("Hello", at=0)
    await eventually(heard(reader, "Hello"))

    await own_broker.stop()
    await edge.behind.fact("TurnWaiting", lost=True, turn="t", reason="transient")
    await own_broker.start()
    await own_broker.broker.ensure()

    async def caught_up() -> bool:
        return reader.last == 3

    await eventually(caught_up, within=timedelta(seconds=20))
    await edge.behind.finish("Hello there")
    assert await following == 200
    assert reader.connections == 1


async def test_a_crowd_that_hangs_up_at_once_leaves_nothing_behind(edge: Edge) -> None:
    await edge.behind.begin()
    address = urlsplit(edge.reader().address)
    assert address.port is not None
    request = (
        f"GET {address.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer owner\r\n\r\n"
    )
    loop = asyncio.get_running_loop()

    async def hang_up(at: int) -> None:
        line = socket.socket()
        line.setblocking(False)
        await loop.sock_connect(line, ("127.0.0.1", address.port))
        await loop.sock_sendall(line, request.encode())
        # A close that sends RST instead of FIN.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if at % 2:
            await loop.sock_recv(line, 1)
        line.close()

    await asyncio.gather(*(hang_up(at) for at in range(200)))

    async def nobody() -> bool:
        async with edge.http.get(f"{edge.url}/metrics") as answer:
            return "parley_edge_streams 0.0" in await answer.text()

    await eventually(nobody)


async def test_an_old_client_gets_a_plain_body(edge: Edge) -> None:
    await edge.behind.begin()
    await edge.behind.finish("Hello")
    address = urlsplit(edge.reader().address)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(
        f"GET {address.path} HTTP/1.0\r\nHost: 127.0.0.1\r\n"
        "Authorization: Bearer owner\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        whole = await reader.read()
    writer.close()
    await writer.wait_closed()

    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body.startswith(b": connected\n\nretry: ")
    assert body.endswith(b'event: end\ndata: {"state":"completed"}\n\n')


# --- Several at once ---------------------------------------------------------------------------


def several(edge: Edge, *discussions: str) -> Several:
    headers = {"Authorization": "Bearer owner"}
    return Several(f"{edge.url}/api/v1/discussions/events", headers, list(discussions))


async def test_several_discussions_are_told_over_one_connection(edge: Edge) -> None:
    behind, other, missing = edge.behind, fresh(), fresh()
    await behind.begin()
    await behind.say("Hello", at=0)
    await behind.fact_of(other, "DiscussionOpened")
    await behind.fact_of(other, "AttemptStarted")
    told = several(edge, behind.id, other, missing)
    mine, others = told.of[behind.id], told.of[other]
    following = asyncio.create_task(told.follow(edge.http))

    async def both() -> bool:
        return mine.text.get(("a", "text")) == "Hello" and others.last == 2

    await eventually(both)
    assert told.missing == [missing]
    await behind.finish("Hello")

    async def one_has_ended() -> bool:
        return mine.ended is not None

    await eventually(one_has_ended)
    assert others.ended is None

    # It breaks; the browser comes back with the id that it was given last.
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    again = asyncio.create_task(told.follow(edge.http))
    await behind.fact_of(other, "DiscussionCompleted")
    assert await again == 200

    assert others.names() == ["DiscussionOpened", "AttemptStarted", "DiscussionCompleted"]
    assert others.ended == {"state": "completed"}
    assert await told.follow(edge.http) == 204


async def test_of_several_that_are_all_missing_there_is_nothing_to_tell(edge: Edge) -> None:
    assert await several(edge, fresh(), fresh()).follow(edge.http) == 204


async def test_what_is_no_list_of_discussions_is_refused(edge: Edge) -> None:
    for wrong in ("", "?follow=", "?follow=x", f"?follow={fresh()}:-1"):
        status, said = await edge.ask("GET", f"/api/v1/discussions/events{wrong}")
        assert (status, said["errors"][0]["field"]) == (422, "follow")


# --- Leaving ----------------------------------------------------------------------------------


async def test_a_hub_ends_when_nobody_watches_any_more(broker: Broker) -> None:
    behind = await Behind.at(broker)
    await behind.begin()
    hubs = Hubs(await broker.bus("edge"), linger=0)
    await hubs.get(WORKSPACE, behind.id)
    assert len(hubs) == 1
    hubs.release(WORKSPACE, behind.id)

    async def nobody() -> bool:
        return len(hubs) == 0

    await eventually(nobody)
    await hubs.stop()


async def test_what_a_hub_holds_of_a_deleted_discussion_is_shown_to_nobody(
    broker: Broker,
) -> None:
    behind = await Behind.at(broker)
    await behind.begin()
    hubs = Hubs(await broker.bus("edge"), linger=60)
    running = await hubs.get(WORKSPACE, behind.id)
    hubs.forget(WORKSPACE, behind.id)
    assert hubs.here(WORKSPACE, behind.id) is running, "its viewers are told the end first"

    await behind.finish("Said once.")
    await eventually(lambda: _truth(running.feed.state is not None))
    hubs.release(WORKSPACE, behind.id)
    hubs.forget(WORKSPACE, behind.id)
    assert hubs.here(WORKSPACE, behind.id) is None

    again = await hubs.get(WORKSPACE, behind.id)
    await behind.fact("DiscussionDeleted")
    await eventually(lambda: _truth(again.feed.deleted))
    hubs.release(WORKSPACE, behind.id)
    assert await hubs.get(WORKSPACE, behind.id) is not again
    await hubs.stop()


async def test_silence_is_broken_by_heartbeats(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT", 0.2)
    monkeypatch.setattr(hub, "SWEEP", 0.1)
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)

    async def beats() -> bool:
        return reader.said.count(": hb") >= 2

    await eventually(beats)
    await edge.behind.finish("")
    await following


async def test_who_reads_too_slowly_is_sent_away_and_loses_nothing(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "QUEUE", 1 << 16)
    await edge.behind.begin()
    quick, slow = edge.reader(), edge.reader()
    following = edge.follow(quick)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    address = urlsplit(slow.address)
    assert address.port is not None
    line.connect(("127.0.0.1", address.port))
    reader, writer = await asyncio.open_connection(sock=line, limit=1024)
    writer.write(
        f"GET {address.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Authorization: Bearer owner\r\n\r\n".encode()
    )
    await reader.readuntil(b"AttemptStarted")
    piece = "x" * 200_000
    for at in range(40):
        await edge.behind.say(piece, at=at * len(piece))
        await eventually(heard(quick, piece * (at + 1)))
    rest = b""
    async with asyncio.timeout(20):
        while read := await reader.read(1 << 20):
            rest = (rest + read)[-100:]
    writer.close()
    await writer.wait_closed()

    assert b"retry: " in rest
    await edge.behind.fact("AttemptFailed", turn="t", attempt="a")
    await edge.behind.fact("DiscussionCompleted")
    await following
    await slow.follow(edge.http)
    assert quick.ended == slow.ended == {"state": "completed"}
    assert quick.names() == slow.names()


async def test_a_withdrawn_token_ends_its_streams_and_is_refused(edge: Edge) -> None:
    await edge.behind.begin()
    mine, others = edge.reader("viewer"), edge.reader("owner")
    leaving, staying = edge.follow(mine), edge.follow(others)
    await eventually(heard(mine, ""))
    await eventually(heard(others, ""))
    del TOKENS["viewer"]
    try:
        await edge.behind.revoke("viewer")
        async with asyncio.timeout(5):
            await leaving
        assert mine.ended is None
        assert await mine.follow(edge.http) == 401
    finally:
        TOKENS["viewer"] = Role.VIEWER
    await edge.behind.finish("")
    await staying
    assert others.ended


async def test_a_token_that_expires_ends_its_streams(edge: Edge) -> None:
    await edge.behind.begin()
    edge.behind.expires_at = datetime.now(UTC) + timedelta(seconds=1)
    reader = edge.reader()
    async with asyncio.timeout(6):
        assert await edge.follow(reader) == 200

    assert reader.ended is None
    assert await reader.follow(edge.http) == 401


async def test_a_token_withdrawn_while_the_bus_was_away_ends_its_streams(
    own_broker: OwnBroker, start: Started
) -> None:
    edge = await start(own_broker.broker)
    await edge.behind.begin()
    mine, others = edge.reader("viewer"), edge.reader("owner")
    leaving, staying = edge.follow(mine), edge.follow(others)
    await eventually(heard(mine, ""))
    await eventually(heard(others, ""))
    del TOKENS["viewer"]
    try:
        await own_broker.stop()
        await own_broker.start()
        await own_broker.broker.ensure()
        async with asyncio.timeout(20):
            await leaving
        assert mine.ended is None
    finally:
        TOKENS["viewer"] = Role.VIEWER
    await edge.behind.finish("")
    await staying
    assert others.ended


async def test_an_edge_that_stops_sends_its_viewers_away_with_a_time_to_come_back(
    edge: Edge,
) -> None:
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(heard(reader, ""))
    edge.service.stop()

    assert await following == 200
    assert reader.ended is None
    assert len([line for line in reader.said if line.startswith("retry: ")]) == 2


async def test_viewers_are_asked_to_come_back_while_the_log_cannot_be_read(edge: Edge) -> None:
    await edge.ask("GET", "/api/v1/session")
    await edge.behind.discussion.drain()
    reader = edge.reader()

    assert await reader.follow(edge.http) == 200
    assert reader.said[0] == ": connected"
    assert reader.said[-1] == ": wait"
    assert reader.facts == []


# --- Rights, secrets, health ------------------------------------------------------------------


async def test_a_viewer_may_look_but_not_ask(edge: Edge) -> None:
    body = {"topic": "Hello", "participants": [{"model": "kimi/k2"}]}
    status, said = await edge.ask("POST", "/api/v1/discussions", body, token="viewer")

    assert (status, said["type"]) == (403, "urn:parley:problem:forbidden")
    assert edge.behind.opened == []


async def test_what_is_asked_arrives_as_it_was_asked(edge: Edge) -> None:
    body: Mapping[str, Any] = {
        "topic": "Hello",
        "participants": [{"persona": "riley-engstrom"}, {"model": "kimi/k2"}],
        "options": {"temperature": 0.5},
    }
    async with edge.http.post(
        f"{edge.url}/api/v1/discussions",
        json=body,
        headers={"Authorization": "Bearer owner", "Idempotency-Key": "once"},
    ) as answer:
        assert answer.status == 201
        assert answer.headers["Location"].endswith(edge.behind.id)
    [command] = edge.behind.opened

    assert (command.workspace, command.mode, command.by) == (WORKSPACE, "parallel", "owner")
    assert [(who.persona, who.model) for who in command.participants] == [
        ("riley-engstrom", None),
        (None, "kimi/k2"),
    ]
    assert command.parameters is not None
    assert command.parameters.temperature == 0.5
    assert (command.idempotency_key, len(command.body_hmac)) == ("once", 32)


async def test_a_secret_is_sealed_for_the_vault_alone(edge: Edge) -> None:
    body = {"provider": "kimi", "secret": " sk-canary-123 "}
    status, said = await edge.ask("POST", "/api/v1/keys", body)
    [command] = edge.behind.added

    assert (status, "canary" in json.dumps(said)) == (201, False)
    assert b"canary" not in msgspec.json.encode(command)
    info = submission_info(workspace=WORKSPACE, request=command.request, provider="kimi")
    assert edge.behind.key.open(command.sealed_secret, info) == b"sk-canary-123"


async def test_ready_means_all_five(edge: Edge) -> None:
    status, said = await edge.ask("GET", "/readyz")

    assert status == 503
    assert said["services"] == {
        "key_vault": "ready",
        "provider_adapter": "silent",
        "discussion": "ready",
        "persona": "silent",
        "edge": "ready",
    }
    away, problem = await edge.ask("GET", "/api/v1/personas")
    assert (away, problem["type"]) == (503, "urn:parley:problem:unavailable")


@pytest.mark.parametrize(
    ("method", "path", "body", "token"),
    [
        ("GET", "/v1/models", None, "nobody"),
        ("GET", "/v1/nothing", None, "owner"),
        ("DELETE", "/v1/models", None, "owner"),
        ("POST", "/v1/chat/completions", {"model": "kimi/kimi-k2.6"}, "owner"),
        ("POST", "/v1/chat/completions", ["not", "an", "object"], "owner"),
        ("POST", "/v1/chat/completions", {"model": "panel/debate", "messages": []}, "owner"),
    ],
)
async def test_every_error_of_the_openai_door_tells_clients_not_to_try_again(
    edge: Edge, method: str, path: str, body: object, token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with edge.http.request(method, edge.url + path, json=body, headers=headers) as answer:
        assert 400 <= answer.status < 500
        assert answer.headers["x-should-retry"] == "false"


async def _truth(value: object) -> object:
    return value
