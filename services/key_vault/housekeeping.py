"""Once an hour, forget what nobody will ask for again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import structlog

from services.key_vault.sql import SQL
from shared import idempotency
from shared.database import Pool, transaction

_EVERY = timedelta(hours=1)
REPLIES = timedelta(days=2)
"""Long after any client has given up sending the same command again."""
LOANS = timedelta(days=400)
"""A year and a bit: who used which key when, for whoever has to look into it."""

log = structlog.stdlib.get_logger("housekeeping")


async def keep_house(pool: Pool) -> None:
    """Until cancelled."""
    while True:
        try:
            async with transaction(pool) as conn:
                await idempotency.forget(conn, older_than=REPLIES)
                await conn.execute(SQL["forget_leases"], LOANS)
                await conn.execute(SQL["end_old_trials"])
                await conn.execute(SQL["forget_trials"], LOANS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("could not tidy up", error=str(error))
        await asyncio.sleep(_EVERY.total_seconds())
