"""A PostgreSQL server for the session, and in it a fresh database for each test.

Migrating takes long, copying does not: a template is prepared once and copied per test.
PARLEY_TEST_CONTAINERS=1 takes PostgreSQL 17 out of a container instead of the embedded one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from local.postgres import EmbeddedPostgres
from shared import database as parley
from shared.journal import SCHEMA

PASSWORDS = {service: f"{service} in tests" for service in ("key_vault", "discussion", "persona")}
IN_CONTAINERS = os.environ.get("PARLEY_TEST_CONTAINERS") == "1"
_TEMPLATE = "parley_template"


@contextmanager
def server(home: Path) -> Generator[str]:
    """A running server; yields the administrator's address."""
    with _container() if IN_CONTAINERS else _embedded(home) as admin_dsn:
        yield admin_dsn


@contextmanager
def _embedded(home: Path) -> Generator[str]:
    postgres = EmbeddedPostgres(home, fast=True)
    try:
        yield asyncio.run(postgres.start())
    finally:
        asyncio.run(postgres.erase())


@contextmanager
def _container() -> Generator[str]:
    from tests import containers  # noqa: PLC0415 - half a second that most runs need not wait

    with containers.postgres() as admin_dsn:
        yield admin_dsn


async def make_template(admin_dsn: str) -> str:
    """The database that tests get copies of: every service's room, with an empty journal."""
    dsn = at(admin_dsn, _TEMPLATE)
    await parley.prepare(dsn, PASSWORDS)
    for service, password in PASSWORDS.items():
        pool = await parley.connect(parley.service_dsn(dsn, service, password), service)
        await parley.migrate(pool, service, [SCHEMA])
        await pool.close()
    return dsn


@dataclass
class Database:
    """One test's own database."""

    admin_dsn: str
    _pools: dict[str, parley.Pool] = field(default_factory=dict[str, "parley.Pool"])
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def dsn(self, service: str) -> str:
        """The address that a process of this service would be given."""
        return parley.service_dsn(self.admin_dsn, service, PASSWORDS[service])

    async def pool(self, service: str, files: Sequence[Path] = ()) -> parley.Pool:
        """The pool for the service, its own SQL files applied after the journal's.

        One for the whole test, however often it is asked for: the server has a hundred
        connections for everybody in the session.
        """
        async with self._connecting:
            if service not in self._pools:
                self._pools[service] = await parley.connect(self.dsn(service), service)
                await parley.migrate(self._pools[service], service, [SCHEMA])
        if files:
            await parley.migrate(self._pools[service], service, [SCHEMA, *files])
        return self._pools[service]

    async def close(self) -> None:
        """Let go of every pool, whatever still hangs on it."""
        for pool in self._pools.values():
            pool.terminate()
        self._pools.clear()


@asynccontextmanager
async def copy(template_dsn: str, name: str) -> AsyncGenerator[Database]:
    """A copy of the template, gone afterwards."""
    admin = await asyncpg.connect(at(template_dsn, "postgres"))
    database = Database(at(template_dsn, name))
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_TEMPLATE}"')
        yield database
    finally:
        await database.close()
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


def at(dsn: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
