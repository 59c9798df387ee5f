"""What tests of the edge ask for by name: an edge that runs, or one at a broker of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import aiohttp
import pytest_asyncio

from services.edge.__main__ import wire
from tests.brokers import Broker
from tests.eventually import eventually
from tests.frontdoor import Edge, Started, open_edge


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
