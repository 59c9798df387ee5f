"""One beat for all streams: what arrived since the last one is read, parsed and published at once.

At fifty tokens a second, waking a task, writing to the broker's socket and waking the broker for
each token costs more than the token itself. On the beat, the tokens of all streams leave in one
write. First tokens do not wait for it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol

INTERVAL = timedelta(milliseconds=10)

IDLE_BEATS = 20
"""Beats without a byte after which a stream goes back to waiting: a slow one costs nothing."""


class OnTheBeat(Protocol):
    """A stream that is read on the beat."""

    async def beat(self) -> bool:
        """Read and publish what has come. False: there is nothing more to expect of me."""
        ...


class Beat:
    """Carries every stream that joins, until it leaves."""

    def __init__(self, interval: timedelta = INTERVAL) -> None:
        self._interval = interval.total_seconds()
        self._members: dict[OnTheBeat, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def carry(self, member: OnTheBeat) -> None:
        """Return once the stream has nothing more to expect; raises what its beat raised."""
        done = asyncio.get_running_loop().create_future()
        self._members[member] = done
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="beat")
        try:
            await done
        finally:
            self._members.pop(member, None)

    async def _run(self) -> None:
        while self._members:
            await asyncio.sleep(self._interval)
            for member, done in list(self._members.items()):
                if done.done():
                    continue
                try:
                    goes_on = await member.beat()
                except Exception as error:  # noqa: BLE001 - it belongs to that stream alone
                    if not done.done():
                        done.set_exception(error)
                else:
                    if not goes_on and not done.done():
                        done.set_result(None)
        self._task = None
