"""Once a day, what nobody can ask for again is forgotten."""

from __future__ import annotations

from datetime import timedelta

from services.discussion.store import Store
from services.discussion.wakeups import Wakeup, postpone, set_wakeup
from shared import idempotency, inbox

EACH = timedelta(days=1)

FACTS_KEPT = timedelta(days=35)
"""Longer than EVENTS keeps its messages: none can come again."""

REPLIES_KEPT = timedelta(days=7)


class Tidying:
    """Deletes from the inbox and from the remembered replies."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def schedule(self) -> None:
        """See to it that there is a wake-up for it."""
        async with self._store.transaction() as conn:
            now = await self._store.clock(conn)
            await set_wakeup(conn, "tidy", "daily", workspace="", due=now)

    async def due(self, wakeup: Wakeup) -> None:
        """Handler of `tidy` wake-ups."""
        async with self._store.transaction() as conn:
            await inbox.forget(conn, older_than=FACTS_KEPT)
            await idempotency.forget(conn, older_than=REPLIES_KEPT)
            await postpone(conn, wakeup, EACH)
