"""One viewer's connection, written to without waiting.

Text for a hundred viewers must not cost a hundred task switches for each piece, so an outlet
hands bytes straight to the connection's own buffer. That buffer is the viewer's queue and it is
bounded: who reads too slowly is sent away with a time to come back, and loses nothing by it,
since the log is read again from where it had got to.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from aiohttp import web

from services.edge.batch import Batch
from services.edge.frames import chunked

QUEUE = 1 << 20
"""Bytes that may wait for a viewer, beside what it was given when it joined."""

PATIENCE = 20.0
"""Seconds in which a viewer must take something of what waits for it."""

PARTING = 10.0
"""Seconds for the last bytes to be taken before the connection is cut."""


class Ending(StrEnum):
    """Why a stream ended."""

    FINISHED = "finished"
    SLOW = "slow"
    STUCK = "stuck"
    GONE = "gone"
    STOPPING = "stopping"
    REVOKED = "revoked"


_MAY_COME_BACK = frozenset({Ending.SLOW, Ending.STOPPING})


class Outlet:
    """Where one viewer's bytes go."""

    def __init__(
        self, request: web.BaseRequest, response: web.StreamResponse, *, parting: bytes
    ) -> None:
        """`parting` is said to a viewer that is sent away and may come back."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the viewer has left")
        self._transport = transport
        self._chunked = response.headers.get("Transfer-Encoding") == "chunked"
        self._parting = parting
        self._allowance = QUEUE
        self._waiting = 0
        self._stuck_since: float | None = None
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    @property
    def ended(self) -> bool:
        return self._ended.done()

    async def wait(self) -> Ending:
        """Until the stream has ended, for whatever reason."""
        return await asyncio.shield(self._ended)

    def write(self, data: bytes) -> None:
        """Bytes for this viewer only."""
        self._write(chunked(data) if self._chunked else data)

    def write_shared(self, data: Batch) -> None:
        """Bytes that other viewers get as well."""
        self._write(data.chunk if self._chunked else data.plain)

    def replay(self, data: bytes) -> None:
        """What the viewer missed; it does not count as slow while it takes that."""
        self._allowance = QUEUE + self._transport.get_write_buffer_size() + len(data)
        self.write(data)

    def _write(self, data: bytes) -> None:
        if self._ended.done():
            return
        if self._transport.is_closing():
            self.end(Ending.GONE)
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._allowance:
            self.end(Ending.SLOW)

    def end(self, why: Ending) -> None:
        """Let the connection close once its last bytes are taken, but do not wait for ever."""
        if self._ended.done():
            return
        if why in _MAY_COME_BACK and not self._transport.is_closing():
            last = self._parting
            self._transport.write(chunked(last) if self._chunked else last)
        self._ended.set_result(why)
        asyncio.get_running_loop().call_later(PARTING, self._cut)

    def check(self, now: float) -> None:
        """Cut the connection of a viewer that has not taken a byte for too long."""
        waiting = self._transport.get_write_buffer_size()
        if waiting == 0 or waiting < self._waiting:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > PATIENCE:
            self.end(Ending.STUCK)
            self._cut()
        self._waiting = waiting

    def _cut(self) -> None:
        if self._transport.get_write_buffer_size() > 0:
            self._transport.abort()
