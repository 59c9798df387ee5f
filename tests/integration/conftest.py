"""What these tests ask for by name: discussion as a service among its neighbours."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.brokers import Broker
from tests.databases import Database
from tests.house import House, running
from tests.neighbours import neighbours


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    """Nobody has brought a key yet."""
    adapter, vault = await neighbours(broker)
    async with running(database, broker):
        yield House(await broker.bus("edge"), adapter, vault, database, broker)
