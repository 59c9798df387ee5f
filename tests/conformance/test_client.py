"""nats-py's own weak places, each shown where it is and mended where we stand on it.

When one of the first kind fails, nats-py has mended it: look whether shared/nats_client.py can
become simpler.
"""

# nats-py's private parts are what this is about.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from contracts.subjects import chunk_subject
from shared import nats_client
from shared.message import Message, read_headers
from shared.nats_client import NatsClient
from tests.conformance.conftest import Join
from tests.eventually import eventually
from tests.nats_server import NatsServer

SUBJECT = chunk_subject("w", "d", "a")


class Wire:
    """What is written to the socket, write by write."""

    def __init__(self, client: Client) -> None:
        self.writes: list[bytes] = []
        transport: Any = client._transport
        self._write, self._writelines = transport.write, transport.writelines
        transport.write = self._seen
        transport.writelines = self._seen_lines

    def _seen(self, data: bytes) -> None:
        self.writes.append(bytes(data))
        self._write(data)

    def _seen_lines(self, lines: list[bytes]) -> None:
        self.writes.append(b"".join(lines))
        self._writelines(lines)


@pytest.fixture
def anyone(tmp_path: Path) -> NatsServer:
    return NatsServer(tmp_path / "open", open_to_all=True)


async def test_the_ping_of_nats_py_overtakes_what_was_published(anyone: NatsServer) -> None:
    await anyone.start()
    plain = await nats.connect(anyone.url)
    wire = Wire(plain)
    for _ in range(3):
        await plain.publish(SUBJECT, b"x")
    await plain.flush()
    assert wire.writes[0] == b"PING\r\n", "it answers for nothing that was published before"
    await plain.close()
    await anyone.stop()


async def test_our_ping_keeps_its_place(join: Join) -> None:
    adapter = await join("provider_adapter")
    wire = Wire(adapter.connection.client)
    for _ in range(3):
        await adapter.publish(SUBJECT, b"x")
    await adapter.connection.client.round_trip(5)
    assert b"".join(wire.writes).startswith(b"PUB ")
    assert b"".join(wire.writes).endswith(b"PING\r\n")


async def test_a_turn_of_the_loop_makes_one_write(join: Join) -> None:
    adapter = await join("provider_adapter")
    wire = Wire(adapter.connection.client)
    await asyncio.gather(*(adapter.publish(SUBJECT, b"x") for _ in range(50)))

    async def written() -> bool:
        return bool(wire.writes)

    await eventually(written)
    assert len(wire.writes) == 1
    assert wire.writes[0].count(b"PUB ") == 50


async def test_live_text_goes_at_once_and_what_follows_it_closely_goes_together(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = await join("provider_adapter")
    client = adapter.connection.client
    wire = Wire(client)
    client._written_at = 0.0  # long ago
    monkeypatch.setattr(nats_client, "_LINGER", 60)
    await adapter.publish(SUBJECT, b"first")

    async def first_is_out() -> bool:
        return len(wire.writes) == 1

    await eventually(first_is_out)
    for number in range(5):
        await adapter.publish(SUBJECT, b"%d" % number)
        await asyncio.sleep(0)
    assert len(wire.writes) == 1, "they wait for company"
    await client.round_trip(5)
    assert len(wire.writes) == 2, "what may not wait takes them along, in order"
    assert wire.writes[1].count(b"PUB ") == 5
    assert wire.writes[1].endswith(b"PING\r\n")


async def test_a_tight_loop_of_publishing_lets_others_run_and_waits_for_the_socket(
    join: Join,
) -> None:
    adapter = await join("provider_adapter")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    most = 0
    for _ in range(20_000):
        await adapter.publish(SUBJECT, b"x" * 200)
        most = max(most, adapter.connection.client.pending_data_size)
    counting.cancel()
    assert turns > 20
    assert most < 128 * 1024


async def test_a_pong_that_nobody_waits_for_any_more_does_no_harm(join: Join) -> None:
    edge = await join("edge")
    with pytest.raises(TimeoutError):
        await edge.connection.client.round_trip(0)
    await edge.connection.client.round_trip(5)
    assert edge.connected


async def test_the_read_loop_of_nats_py_ends_on_such_a_pong(anyone: NatsServer) -> None:
    await anyone.start()
    plain = await nats.connect(anyone.url)
    # What its `flush()` does when it times out before the answer is here.
    given_up: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await plain._send_ping(given_up)
    given_up.cancel()
    reading: Any = plain._reading_task

    async def ended() -> bool:
        return reading.done()

    await eventually(ended)
    await plain.close()
    await anyone.stop()


@pytest.mark.parametrize("words", ["maximum connections exceeded", "parser error"])
async def test_an_error_line_never_closes_us_for_good(join: Join, words: str) -> None:
    edge = await join("edge")
    again = asyncio.Event()
    edge.on_reconnect(again.set)
    await edge.connection.client._process_err(f"'{words}'")
    await asyncio.wait_for(again.wait(), 5)
    assert edge.connected


async def test_a_listener_is_called_without_a_task_of_its_own(join: Join) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    before = len(asyncio.all_tasks())
    heard_in: list[asyncio.Task[Any] | None] = []

    def hear(message: Message) -> None:
        heard_in.append(asyncio.current_task())

    await edge.subscribe("parley.chunk.>", hear)
    assert len(asyncio.all_tasks()) == before
    await adapter.publish(SUBJECT, b"x")

    async def heard() -> bool:
        return heard_in == [edge.connection.client._reading_task]

    await eventually(heard)


def test_headers_that_come_with_a_status_are_read() -> None:
    raw = b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 7\r\nNats-Last-Sequence:9\r\n\r\n"
    message = Message("s", b"", raw_headers=raw)
    assert (message.status, message.status_text) == (204, "EOB")
    assert message.headers == {"Nats-Num-Pending": "7", "Nats-Last-Sequence": "9"}


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"NATS/1.0\r\nA: b\r\n\r\n", 0), (b"NATS/1.0 503\r\n\r\n", 503), (b"NATS/1.0 x\r\n\r\n", 0)],
)
def test_a_status_is_only_what_the_server_says(raw: bytes, status: int) -> None:
    assert Message("s", b"", raw_headers=raw).status == status


def test_what_is_no_header_is_passed_over() -> None:
    assert read_headers(b"NATS/1.0\r\nno colon\r\n: no name\r\nA: b: c\r\nU: \xff\r\n\r\n") == {
        "A": "b: c",
        "U": "�",
    }


def test_what_we_stand_on_is_there() -> None:
    """Private parts of nats-py that shared/nats_client.py replaces or uses."""
    replaced = {
        name
        for name in vars(NatsClient)
        if name.startswith("_") and not name.startswith("__") and hasattr(Client, name)
    }
    assert replaced == {
        "_flush_pending",
        "_process_err",
        "_process_msg",
        "_process_pong",
        "_remove_sub",
        "_send_ping",
    }
    plain = Client()
    for used in ("_pending", "_pending_data_size", "_pongs", "_sid", "_transport"):
        assert hasattr(plain, used)
