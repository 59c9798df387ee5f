"""What tests ask for by name: real servers for the session, a clean slate for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from itertools import count

import pytest
import pytest_asyncio

from tests import databases
from tests.databases import Database

_NUMBERS = count(1)


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
