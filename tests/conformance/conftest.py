"""A broker for each test that asks for one, with the real permissions and streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from shared.bus import Bus
from tests.nats_server import NatsServer, equipped

Join = Callable[[str], Awaitable[Bus]]


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncGenerator[NatsServer]:
    async with equipped(tmp_path / "nats") as server:
        yield server


@pytest_asyncio.fixture
async def join(broker: NatsServer) -> AsyncGenerator[Join]:
    """Join the bus as one of the services, with that service's own key."""
    async with AsyncExitStack() as leaving:

        async def joined(service: str) -> Bus:
            bus = await Bus.connect(broker.url, service=service, seed_file=broker.seed(service))
            leaving.push_async_callback(bus.drain)
            return bus

        yield joined
