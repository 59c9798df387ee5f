"""What tests ask for by name: real servers for the session, a clean slate for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from itertools import count
from pathlib import Path

import aiohttp
import hypothesis
import pytest
import pytest_asyncio

from tests import brokers, databases
from tests.brokers import Broker, OwnBroker
from tests.databases import Database
from tests.systems import Client, RunningSystem, started

_NUMBERS = count(1)

# A slow machine is no fault of the product: no example fails for the time it took.
hypothesis.settings.register_profile("parley", deadline=None)
# As thorough as the promises are: pytest tests/unit --hypothesis-profile=deep
hypothesis.settings.register_profile(
    "deep", deadline=None, max_examples=10_000, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile("parley")

# pytest-asyncio asks for the current loop before a test. Unless told that there is none, Python
# makes one that nobody closes, and its warning strikes whatever test runs when it is collected.
asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A PostgreSQL server: the administrator's address."""
    with databases.server(tmp_path_factory.mktemp("postgres")) as admin_dsn:
        yield admin_dsn


@pytest.fixture(scope="session")
def database_template(postgres: str) -> str:
    return asyncio.run(databases.make_template(postgres))


@pytest_asyncio.fixture
async def database(database_template: str) -> AsyncGenerator[Database]:
    """A database of this test's own, with every service's room and journal in it."""
    async with databases.copy(database_template, f"parley_test_{next(_NUMBERS)}") as made:
        yield made


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Broker]:
    """A NATS server; ask for `broker` instead."""
    with brokers.server(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest_asyncio.fixture
async def broker(nats_server: Broker) -> AsyncGenerator[Broker]:
    """The session's NATS server with the declared streams, all of them empty."""
    await nats_server.clear()
    mine = Broker(nats_server.url, nats_server.seed_file)
    yield mine
    await mine.close()


@pytest_asyncio.fixture
async def own_broker(tmp_path: Path) -> AsyncGenerator[OwnBroker]:
    """A NATS server of this test's own, to be stopped and started."""
    async with brokers.own(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    """The whole system as real processes, for all tests that leave it as it was."""
    with started(tmp_path_factory.mktemp("system"), rate=60) as running:
        yield running


@pytest_asyncio.fixture
async def client(running_system: RunningSystem) -> AsyncGenerator[Client]:
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=200)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        yield Client(running_system, http)
