"""A replica of discussion in a process of its own, to be frozen and killed at a chosen moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from local.home import CHECKOUT
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually

LOCK = 42
"""Number of the advisory lock that stands for a moment in which something happens."""


class Replica:
    """`python -m services.discussion`, running or not."""

    def __init__(self, process: asyncio.subprocess.Process, said: Path) -> None:
        self._process = process
        self._said = said

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """`kill -9`, also of one that is frozen."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def says(self, word: str) -> None:
        """Wait until its log has this word."""

        async def there() -> bool:
            assert self._process.returncode is None, self._said.read_text()
            return word in self._said.read_text()

        await eventually(there, within=timedelta(seconds=60))


@asynccontextmanager
async def replica(
    database: Database, broker: Broker, folder: Path, name: str
) -> AsyncGenerator[Replica]:
    """One that answers; killed at the end, if it was not before."""
    said = folder / f"{name}.log"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "PARLEY_NATS_URL": broker.url,
        "PARLEY_NATS_SEED_FILE": str(broker.seed_file("discussion")),
        "PARLEY_DATABASE_URL": database.dsn("discussion"),
    }
    with said.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "services.discussion"),
            cwd=CHECKOUT,
            env=environment,
            stdout=output,
            stderr=output,
        )
    made = Replica(process, said)
    try:
        await made.says("ready")
        yield made
    finally:
        await made.kill()


async def pause_at(database: Database, moment: str) -> None:
    """From now on what comes to this moment waits while somebody else has the lock.

    `moment`: the `insert` of an attempt's place, or the `commit` of all that begins it.
    """
    pool = await database.pool("discussion")
    await pool.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END $$;"
    )
    await pool.execute(
        {
            "insert": "CREATE TRIGGER pause BEFORE INSERT ON attempts "
            "FOR EACH ROW EXECUTE FUNCTION pause()",
            "commit": "CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON attempts "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pause()",
        }[moment]
    )


@asynccontextmanager
async def paused(database: Database) -> AsyncGenerator[None]:
    """Whoever comes to that moment waits there until the block ends."""
    pool = await database.pool("discussion")
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        yield


async def somebody_waits(database: Database) -> int:
    """The database's process id of who came to that moment."""
    pool = await database.pool("discussion")

    async def waits() -> int | None:
        found: int | None = await pool.fetchval(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            f"AND objid = {LOCK} LIMIT 1"
        )
        return found

    pid = await eventually(waits)
    assert pid is not None
    return pid
