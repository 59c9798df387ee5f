"""Older discussions can be found by their words too: what was said in them is noted, once."""

from __future__ import annotations

from datetime import timedelta

from services.discussion.found import said_in
from services.discussion.sql import SQL
from services.discussion.store import Store
from services.discussion.wakeups import Wakeup, drop, postpone, set_wakeup

_PAGE = 50


class Searching:
    """Sees to those that were there before it was noted what was said."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def schedule(self) -> None:
        """See to it that there is a wake-up for it."""
        async with self._store.transaction() as conn:
            now = await self._store.clock(conn)
            await set_wakeup(conn, "note", "older", workspace="", due=now)

    async def due(self, wakeup: Wakeup) -> None:
        """Handler of `note` wake-ups: some of those that were there before it was noted."""
        async with self._store.reading() as conn:
            rows = await conn.fetch(SQL["discussions_not_noted"], _PAGE)
        for row in rows:
            await self._note(row["discussion"])
        async with self._store.transaction() as conn:
            await (postpone(conn, wakeup, timedelta(0)) if rows else drop(conn, wakeup))

    async def _note(self, discussion: str) -> None:
        async with self._store.transaction() as conn:
            loaded = await self._store.hold(conn, discussion)
            for recorded, fact in zip(loaded.events, loaded.facts, strict=True):
                words = said_in(fact)
                if words or recorded.version == 1:
                    await conn.execute(SQL["note_said"], discussion, recorded.version, words)
