from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.failures import Unreachable
from contracts.subjects import EVENTS, event_subject
from local.broker import EmbeddedBroker
from shared.bus import Bus
from shared.ids import fresh
from shared.topology import CREDENTIALS
from tests.brokers import Broker

SOON = timedelta(seconds=5)


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncGenerator[EmbeddedBroker]:
    async with EmbeddedBroker(tmp_path) as server:
        yield server


async def test_every_credential_is_a_file_for_its_owner_only(server: EmbeddedBroker) -> None:
    for credential in CREDENTIALS:
        assert server.seed_file(credential).stat().st_mode & 0o777 == 0o600


async def test_nobody_comes_in_without_a_key(server: EmbeddedBroker) -> None:
    with pytest.raises(Unreachable):
        await Bus.connect(server.url, service="persona", seed_file=None, within=SOON)


async def test_a_service_comes_in_with_its_own(server: EmbeddedBroker) -> None:
    seed = server.seed_file("persona")
    bus = await Bus.connect(server.url, service="persona", seed_file=seed, within=SOON)

    assert bus.connected
    await bus.drain()


async def test_after_a_kill_it_is_found_at_the_same_port_with_what_was_stored(
    server: EmbeddedBroker,
) -> None:
    url = server.url
    broker = Broker(url, server.seed_file)
    await broker.ensure()
    bus = await broker.bus("persona")
    subject = event_subject("default", "persona", fresh(), "PersonaCreated")
    await bus.publish_durable(subject, b"{}", id=fresh(), within=SOON)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()

    assert await server.start() == url
    await broker.ensure()

    assert [message.subject for message in await broker.stored(EVENTS.name)] == [subject]
    await broker.close()


async def test_its_keys_stay_the_same_from_one_start_to_the_next(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path) as first:
        before = first.seed_file("integration").read_bytes()
    async with EmbeddedBroker(tmp_path) as second:
        assert second.seed_file("integration").read_bytes() == before
