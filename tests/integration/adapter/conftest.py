"""What tests of the adapter ask for by name: an adapter among its neighbours."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.adapters import House, house
from tests.brokers import Broker


@pytest_asyncio.fixture
async def here(broker: Broker) -> AsyncGenerator[House]:
    async with house(broker) as made:
        yield made
