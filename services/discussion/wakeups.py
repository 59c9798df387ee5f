"""The alarm clock: rows that are due are claimed, handed to who knows them, and looked at again
should that one die. No timer lives in memory, so none is lost with a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.discussion import races
from services.discussion.sql import SQL
from shared.database import AWAY, Connection, Pool, transaction

POLL = timedelta(milliseconds=200)
"""How late a wake-up can be that another process has set."""

CLAIM = timedelta(seconds=20)
"""After this a claimed wake-up is taken for abandoned. Longer than any handler runs."""

AGAIN = timedelta(seconds=1)
"""After a handler's error, times the tries so far."""

LONGEST_AGAIN = timedelta(seconds=30)

FINISH = timedelta(seconds=3)
"""Who is told to stop leaves a handler so long; who waits for a service that has left already would
wait in vain."""

AT_ONCE = 16


class Overtaken(Exception):
    """What was looked at has changed before it could be acted upon: look again, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeup:
    kind: str
    subject: str
    workspace: str
    discussion: str
    tries: int
    """This one included, since it last did what it is for."""
    payload: bytes
    insists: bool = False
    """A person wants it tried although its gate is closed."""


Handler = Callable[[Wakeup], Awaitable[None]]
"""Does what is due and removes or moves the wake-up in the transaction of its effect."""


async def set_wakeup(
    conn: Connection,
    kind: str,
    subject: str,
    *,
    workspace: str,
    due: datetime | None,
    discussion: str = "",
    waits_for: str = "",
    payload: bytes = b"",
) -> None:
    """Set it, or set it anew. Without a time only what it waits for wakes it."""
    await conn.execute(
        SQL["set_wakeup"], kind, subject, workspace, discussion, due, waits_for, payload
    )


class Wakeups:
    """Claims what is due and hands it out, at most `AT_ONCE` at a time."""

    def __init__(self, pool: Pool, handlers: Mapping[str, Handler]) -> None:
        self._pool = pool
        self._handlers = handlers
        self._signal = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._leaving = False
        self._log = structlog.stdlib.get_logger("wakeups")

    def look(self) -> None:
        """Something may be due now: look at once instead of at the next poll."""
        self._signal.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._leaving:
            self._signal.clear()
            async with self._claiming:
                claimed = await self._claim()
                for wakeup in claimed:
                    task = asyncio.create_task(self._handle(wakeup), name=f"wake {wakeup.kind}")
                    self._busy.add(task)
                    task.add_done_callback(self._done)
            if len(self._busy) >= AT_ONCE:
                await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
            elif not claimed:
                await self._rest()

    async def stop(self) -> None:
        """Claim nothing more, and finish what was begun.

        What does not end in time is broken off, as if we had died: it comes again by its claim.
        """
        self._leaving = True
        self._signal.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH.total_seconds()):
                async with self._claiming:  # what is being claimed just now is ours, too
                    pass
                if self._busy:
                    await asyncio.wait(self._busy)
        for task in self._busy:
            self._log.warning("broken off while stopping", work=task.get_name())
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._signal.wait(), POLL.total_seconds())

    async def _claim(self) -> list[Wakeup]:
        room = AT_ONCE - len(self._busy)
        try:
            async with transaction(self._pool) as conn:
                rows = await conn.fetch(SQL["claim_wakeups"], room, CLAIM)
        except AWAY as error:
            # Without the database nothing is admitted; what is due stays due.
            self._log.warning("cannot look for wake-ups", error=type(error).__name__)
            await asyncio.sleep(AGAIN.total_seconds())
            return []
        return [
            Wakeup(
                kind=row["kind"],
                subject=row["subject"],
                workspace=row["workspace"],
                discussion=row["discussion"],
                tries=row["tries"],
                payload=bytes(row["payload"]),
                insists=row["insists"],
            )
            for row in rows
        ]

    async def _handle(self, wakeup: Wakeup) -> None:
        try:
            await self._handlers[wakeup.kind](wakeup)
        except (Overtaken, *races.LOST):
            await self._postpone(wakeup, timedelta(0))  # somebody was faster: look again
        except Exception:  # noqa: BLE001 - whatever it was, the wake-up must come again
            self._log.exception("wake-up failed", kind=wakeup.kind, subject=wakeup.subject)
            await self._postpone(wakeup, min(AGAIN * wakeup.tries, LONGEST_AGAIN))

    async def _postpone(self, wakeup: Wakeup, wait: timedelta) -> None:
        try:
            async with self._pool.acquire() as conn:
                await postpone(conn, wakeup, wait, failed=True)
        except AWAY:
            self._log.warning("wake-up comes back when its claim ends", subject=wakeup.subject)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._signal.set()


async def postpone(
    conn: Connection, wakeup: Wakeup, wait: timedelta, *, failed: bool = False
) -> None:
    """Due again after `wait`, for whoever is there then. `failed`: the tries go on counting."""
    await conn.execute(SQL["postpone_wakeup"], wakeup.kind, wakeup.subject, wait, failed)


async def drop(conn: Connection, wakeup: Wakeup) -> None:
    """It has done its work."""
    await conn.execute(SQL["drop_wakeup"], wakeup.kind, wakeup.subject)
