"""Viewers who hang up, read slowly, have an old client, or hear nothing for a while."""

from __future__ import annotations

import asyncio
import socket
import struct
from urllib.parse import urlsplit

import pytest

from services.edge import hub, outlet
from services.edge.hub import Hubs
from tests.brokers import Broker
from tests.eventually import eventually
from tests.frontdoor import WORKSPACE, Behind, Edge, heard


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
    await eventually(lambda: running.feed.state is not None)
    hubs.release(WORKSPACE, behind.id)
    hubs.forget(WORKSPACE, behind.id)
    assert hubs.here(WORKSPACE, behind.id) is None

    again = await hubs.get(WORKSPACE, behind.id)
    await behind.fact("DiscussionDeleted")
    await eventually(lambda: again.feed.deleted)
    hubs.release(WORKSPACE, behind.id)
    assert await hubs.get(WORKSPACE, behind.id) is not again
    await hubs.stop()


async def test_silence_is_broken_by_heartbeats(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.HEARTBEAT == 15, "well within what impatient proxies allow"
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


async def test_viewers_are_asked_to_come_back_while_the_log_cannot_be_read(edge: Edge) -> None:
    await edge.ask("GET", "/api/v1/session")
    await edge.behind.discussion.drain()
    reader = edge.reader()

    assert await reader.follow(edge.http) == 200
    assert reader.said[0] == ": connected"
    assert reader.said[-1] == ": wait"
    assert reader.facts == []
