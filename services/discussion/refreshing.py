"""Lists of models are kept fresh: each key's once an hour by itself, and whenever somebody asks.

A look is a request like any other: it takes a permit, and a provider that does not answer costs
nothing but its own line. What was seen last stays until something newer is.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import asyncpg

from contracts.attempts import KeyRef, ProbeResult
from contracts.supply import CatalogRefreshed, CatalogsRefreshed, RefreshModels
from services.discussion import endpoints
from services.discussion.accounts import AccountRef
from services.discussion.probes import HOUR, Probes, next_look
from services.discussion.settings import keyless_addresses
from services.discussion.sql import SQL
from services.discussion.store import Store
from services.discussion.wakeups import Wakeup, drop, postpone
from services.discussion.words import explain

AT_ONCE = 8
"""Looks at the same time when somebody asks for all."""


class Refreshing:
    """Looks at lists of models again."""

    def __init__(self, store: Store, probes: Probes) -> None:
        self._store = store
        self._probes = probes

    async def schedule(self) -> None:
        """See to it that each key in use has its next look."""
        async with self._store.transaction() as conn:
            for row in await conn.fetch(SQL["keys_without_a_look"]):
                await conn.execute(
                    SQL["set_look"],
                    row["key"],
                    row["workspace"],
                    HOUR * random.random(),  # noqa: S311
                )

    async def due(self, wakeup: Wakeup) -> None:
        """Handler of `look` wake-ups: one key's list, if the key is still in use."""
        async with self._store.reading() as conn:
            row = await conn.fetchrow(SQL["find_key"], wakeup.subject)
        if row is None or row["state"] != "active":
            # Its next verification sees to the next look.
            async with self._store.transaction() as conn:
                await drop(conn, wakeup)
            return
        result = await self._look(row)
        wait = next_look()
        if not result.sent and result.evidence.retry_after is not None:
            wait = timedelta(seconds=result.evidence.retry_after)  # there was no room just now
        async with self._store.transaction() as conn:
            await postpone(conn, wakeup, wait)

    async def asked(self, command: RefreshModels) -> CatalogsRefreshed:
        """The verb `refresh`: look at every list now, side by side."""
        async with self._store.reading() as conn:
            rows = await conn.fetch(SQL["keys_in_use"], command.workspace)
            there = await endpoints.known(conn, command.workspace)
        room = asyncio.Semaphore(AT_ONCE)

        async def of_key(row: asyncpg.Record) -> CatalogRefreshed:
            async with room:
                result = await self._look(row)
            return _line(row["provider"], row["endpoint"], row["key"], result)

        async def of_keyless(provider: str, address: str) -> CatalogRefreshed:
            async with room:
                ref = AccountRef(command.workspace, provider, address, "local")
                result = await self._probes.look(ref, None)
            return _line(provider, address, "", result)

        lines = await asyncio.gather(
            *(of_key(row) for row in rows),
            *(of_keyless(*each) for each in keyless_addresses(rows=there.rows).items()),
        )
        return CatalogsRefreshed(sorted(lines, key=lambda line: (line.provider, line.key)))

    async def _look(self, row: asyncpg.Record) -> ProbeResult:
        ref = AccountRef(
            row["workspace"], row["provider"], row["endpoint"], row["account"] or row["key"]
        )
        return await self._probes.look(ref, KeyRef(key=row["key"], version=row["version"]))


def _line(provider: str, endpoint: str, key: str, result: ProbeResult) -> CatalogRefreshed:
    if result.failure is None:
        return CatalogRefreshed(
            provider=provider, endpoint=endpoint, key=key, models=len(result.models)
        )
    failure = explain(
        result.failure, f"{provider}/", evidence=result.evidence, hint=result.hint, final=True
    )
    return CatalogRefreshed(
        provider=provider,
        endpoint=endpoint,
        key=key,
        reason=f"{failure.title}. {failure.detail}",
        next_step="The list that was seen last is still in use. Ask again in a while.",
    )
