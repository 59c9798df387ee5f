"""Deleting a discussion: its words go for good, from the journal here and from the bus.

What runs is cancelled first. Who, when, which model and what it cost stay: bills must add up.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial

from contracts.failures import Gone
from contracts.keeping import DeleteDiscussion, RenameDiscussion
from contracts.keys import Done
from contracts.subjects import CHUNKS, EVENTS, discussion_chunks
from services.discussion import races
from services.discussion.aggregate import Delete, Rename
from services.discussion.sql import SQL
from services.discussion.store import Store
from services.discussion.wakeups import Wakeup, drop, postpone
from shared.bus import Bus

PUBLISHED = timedelta(seconds=1)
"""After so long it is looked again whether everything has been published that is to be purged."""


class Forgetting:
    """The verbs `delete` and `rename`, and the wake-ups `forget` and `purge`."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def delete(self, command: DeleteDiscussion) -> Done:
        with suppress(Gone):
            await races.settled(
                partial(self._delete, command.workspace, command.discussion, command.by)
            )
        return Done()

    async def _delete(self, workspace: str, discussion: str, by: str) -> None:
        async with self._store.transaction() as conn:
            await self._store.find(conn, workspace, discussion)
            loaded = await self._store.hold(conn, discussion)
            await self._store.forget_words(conn, discussion)
            await self._store.change(conn, loaded, Delete(by=by), by=by)

    async def rename(self, command: RenameDiscussion) -> Done:
        await races.settled(partial(self._rename, command))
        return Done()

    async def _rename(self, command: RenameDiscussion) -> None:
        title = " ".join(command.title.split())
        async with self._store.transaction() as conn:
            row = await self._store.find(conn, command.workspace, command.discussion)
            loaded = await self._store.hold(conn, command.discussion)
            if bytes(row["title"]).decode() != title:
                wish = Rename(title=title, by=command.by)
                await self._store.change(conn, loaded, wish, by=command.by)

    async def forget_due(self, wakeup: Wakeup) -> None:
        """Handler of `forget` wake-ups: it ended a while ago, and is not to be kept."""
        try:
            await self._delete(wakeup.workspace, wakeup.discussion, "")
        except Gone:
            async with self._store.transaction() as conn:
                await drop(conn, wakeup)

    async def purge_due(self, wakeup: Wakeup) -> None:
        """Handler of `purge` wake-ups: what the bus still has of it, once all of it is there."""
        async with self._store.reading() as conn:
            unpublished = await conn.fetchval(SQL["still_to_publish"], wakeup.discussion)
            rows = await conn.fetch(SQL["subjects_with_words"], wakeup.discussion)
        if unpublished:
            async with self._store.transaction() as conn:
                await postpone(conn, wakeup, PUBLISHED)
            return
        for row in rows:
            await self._bus.purge(EVENTS.name, row["subject"])
        chunks = discussion_chunks(wakeup.workspace, wakeup.discussion)
        await self._bus.purge(CHUNKS.name, chunks)
        async with self._store.transaction() as conn:
            await drop(conn, wakeup)
