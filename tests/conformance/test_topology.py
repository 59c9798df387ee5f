"""The broker is made from the declaration, again and again, without losing what it holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contracts.failures import Unreachable
from contracts.subjects import ADMIN, CHUNKS, EVENTS, OUTCOMES, STREAMS, event_subject
from local.ports import LOOPBACK, free_port
from shared.bus import Bus
from shared.topology import CannotEnsure, ask, broker_config, ensure
from tests.conformance.conftest import Join
from tests.nats_server import NatsServer

SOON = timedelta(seconds=5)


async def config_of(admin: Bus, path: str) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + 5
    answer = await ask(admin.connection, path, None, deadline)
    assert answer is not None
    return answer["config"]


async def test_streams_are_as_declared(join: Join) -> None:
    admin = await join(ADMIN)
    for stream in STREAMS:
        found = await config_of(admin, f"STREAM.INFO.{stream.name}")
        assert found["subjects"] == list(stream.subjects)
        assert found["storage"] == stream.storage
        assert found["max_consumers"] == stream.max_consumers > 0
        assert found["max_age"] == stream.max_age.total_seconds() * 1e9
        for consumer in stream.consumers:
            path = f"CONSUMER.INFO.{stream.name}.{consumer.name}"
            assert (await config_of(admin, path))["filter_subject"] == consumer.filter


async def test_what_is_acknowledged_is_on_disk(tmp_path: Path) -> None:
    """By default it would be there within two minutes: too late for a machine that loses power."""
    server = NatsServer(tmp_path / "nats", monitor=f"{LOOPBACK}:{free_port()}")
    await server.start()
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{server.monitor}/varz") as answer,
        ):
            told = await answer.json()
    finally:
        await server.stop()
    assert told["jetstream"]["config"]["sync_always"] is True


async def test_doing_it_again_changes_nothing(broker: NatsServer, join: Join) -> None:
    persona = await join("persona")
    await persona.publish_durable(
        event_subject("w", "persona", "p", "X"), b"kept", id="1", within=SOON
    )
    await ensure(broker.url, broker.seed(ADMIN))
    await ensure(broker.url, broker.seed(ADMIN))
    admin = await join(ADMIN)
    deadline = asyncio.get_running_loop().time() + 5
    info = await ask(admin.connection, "STREAM.INFO.EVENTS", None, deadline)
    assert info is not None
    assert info["state"]["messages"] == 1


async def test_what_was_declared_anew_is_changed(broker: NatsServer, join: Join) -> None:
    (consumer,) = OUTCOMES.consumers
    changed = replace(
        OUTCOMES,
        max_age=timedelta(days=3),
        consumers=(replace(consumer, max_ack_pending=17, ack_wait=timedelta(seconds=9)),),
    )
    await ensure(broker.url, broker.seed(ADMIN), streams=[changed])
    admin = await join(ADMIN)
    assert (await config_of(admin, "STREAM.INFO.OUTCOMES"))["max_age"] == 3 * 86400 * 10**9
    found = await config_of(admin, "CONSUMER.INFO.OUTCOMES.discussion-outcomes")
    assert (found["max_ack_pending"], found["ack_wait"]) == (17, 9 * 10**9)


async def test_what_cannot_be_changed_says_what_to_do(broker: NatsServer) -> None:
    with pytest.raises(CannotEnsure, match="nats stream rm CHUNKS"):
        await ensure(broker.url, broker.seed(ADMIN), streams=[replace(CHUNKS, storage="file")])


async def test_only_the_administrator_can(broker: NatsServer) -> None:
    with pytest.raises(Unreachable):
        await ensure(broker.url, broker.seed("edge"), within=timedelta(seconds=1))


async def test_a_server_without_keys_will_do(tmp_path: Path) -> None:
    """An outside NATS without permissions works."""
    server = NatsServer(tmp_path / "open", open_to_all=True)
    await server.start()
    try:
        await ensure(server.url, None, streams=[replace(EVENTS, max_bytes=1 << 20)])
        bus = await Bus.connect(server.url, service="persona", seed_file=None)
        subject = event_subject("w", "persona", "p", "X")
        assert await bus.publish_durable(subject, b"", id="1", within=SOON) == 1
        await bus.drain()
    finally:
        await server.stop()


async def test_without_jetstream_it_says_what_is_missing(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "open", open_to_all=True, jetstream=False)
    await server.start()
    try:
        with pytest.raises(Unreachable, match="JetStream"):
            await ensure(server.url, None, within=timedelta(milliseconds=300))
    finally:
        await server.stop()


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="no public key for admin"):
        broker_config({}, listen="127.0.0.1:4222", store="/tmp/x")
