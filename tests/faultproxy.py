"""A line between two programs that can be made bad: slow, narrow, deaf, cut or dead.

It stands in front of NATS, PostgreSQL or a provider. What it does wrong is said by `Toxics`; where
it plays dice, they come from a seed, so that a run can be had again. It may live in a thread of
its own, for tests that each have a loop of theirs.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import tempfile
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_AT_ONCE = 64 * 1024
_NOTHING = timedelta(0)
_LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing then sends a reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """What is wrong with the line; by default nothing."""

    latency: timedelta = _NOTHING
    jitter: timedelta = _NOTHING
    """Up to this much more, by the dice."""
    down: bool = False
    """Connections are cut, new ones refused."""
    black_hole: bool = False
    """Connections are taken and stay, and nothing goes through either way until it is over."""
    bytes_per_second: int | None = None
    slice: int | None = None
    """Nothing larger goes at once; how much smaller, the dice say."""
    cut_after: int | None = None
    """After so many bytes to whoever connected, the connection is closed in good order."""
    reset_after: int | None = None
    """The same, and it is torn."""
    once: bool = False
    """Only the first connection that comes so far is cut or torn; then the line is healthy."""


HEALTHY = Toxics()
Address = tuple[str, int] | Path


class FaultProxy:
    """Listens where it likes, on the kind of socket that `target` is of."""

    def __init__(self, target: Address, *, seed: int = 0) -> None:
        self.target = target
        self.connections = 0
        """That were ever taken."""
        self._toxics = HEALTHY
        self._dice = random.Random(seed)
        self._address: Address | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def port(self) -> int:
        assert isinstance(self._address, tuple), "it listens on a path"
        return self._address[1]

    @property
    def folder(self) -> Path:
        """Where the socket lies that it listens on."""
        assert isinstance(self._address, Path), "it listens on a port"
        return self._address.parent

    @property
    def open_connections(self) -> int:
        return len(self._open)

    # --- Life -------------------------------------------------------------------------------

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        await self._listen()

    async def stop(self) -> None:
        self._passable.set()
        await self._hang_up()
        if self._folder is not None:
            self._folder.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def become(self, toxics: Toxics) -> None:
        """From now on the line is like this. May be said from any loop."""
        await self._in_its_loop(self._become(toxics))

    @asynccontextmanager
    async def being(self, toxics: Toxics) -> AsyncGenerator[None]:
        """Like this for a while, then healthy."""
        await self.become(toxics)
        try:
            yield
        finally:
            await self.become(HEALTHY)

    async def cut(self) -> None:
        """Tear every connection there is; new ones are welcome."""
        await self._in_its_loop(self._tear())

    async def _in_its_loop(self, work: Coroutine[Any, Any, None]) -> None:
        if self._loop is asyncio.get_running_loop():
            await work
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _become(self, toxics: Toxics) -> None:
        self._toxics = toxics
        if toxics.black_hole:
            self._passable.clear()
        else:
            self._passable.set()
        if toxics.down:
            await self._hang_up()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        if isinstance(self.target, Path):
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="line-", dir="/tmp")
            self._address = Path(self._folder.name, self.target.name)
            self._server = await asyncio.start_unix_server(self._taken, self._address)
            return
        port = self._address[1] if isinstance(self._address, tuple) else 0
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", port, backlog=1024)
        self._address = ("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._tear()

    async def _tear(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    # --- One connection ---------------------------------------------------------------------

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connection(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            await self._passable.wait()
            there, back = await self._connect()
            ends.append(back)
            ways = [
                asyncio.create_task(self._carry(reader, back)),
                asyncio.create_task(self._carry(there, writer, limited=True)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if ways[0].done() and ways[0].exception() is None:
                    await ways[1]  # who has said all may still listen
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            for end in ends:
                _reset(end)
        finally:
            for end in ends:
                end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(*self.target)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, limited: bool = False
    ) -> None:
        """Pass on what comes. `limited`: towards whoever connected, where lines are cut."""
        carried = 0
        while piece := await reader.read(_AT_ONCE):
            while piece:
                await self._passable.wait()
                toxics = self._toxics
                size = self.size(toxics, len(piece))
                if limited:
                    size = min(size, _room(toxics, carried))
                part, piece = piece[:size], piece[size:]
                await self._delay(toxics, len(part))
                writer.write(part)
                await writer.drain()
                carried += len(part)
                if limited and _room(self._toxics, carried) == 0:
                    self._end(writer)
                    return
        with suppress(OSError):
            writer.write_eof()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self._toxics.reset_after is not None:
            _reset(writer)
        if self._toxics.once:
            self._toxics = HEALTHY

    def size(self, toxics: Toxics, length: int) -> int:
        """How much of what has come goes on at once."""
        if toxics.slice is not None:
            length = min(length, self._dice.randint(1, toxics.slice))
        if toxics.bytes_per_second is not None:
            length = min(length, max(1, toxics.bytes_per_second // 20))
        return length

    async def _delay(self, toxics: Toxics, length: int) -> None:
        wait = toxics.latency.total_seconds()
        wait += toxics.jitter.total_seconds() * self._dice.random()
        if toxics.bytes_per_second is not None:
            wait += length / toxics.bytes_per_second
        if wait:
            await asyncio.sleep(wait)


def _room(toxics: Toxics, carried: int) -> int:
    """Bytes that may still pass."""
    ends = [end for end in (toxics.cut_after, toxics.reset_after) if end is not None]
    return max(0, min(ends, default=carried + _AT_ONCE) - carried)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a reset, not an end."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    writer.transport.abort()


@contextmanager
def in_a_thread(target: Address, *, seed: int = 0) -> Generator[FaultProxy]:
    """A proxy that does not depend on the loop of any test."""
    proxy = FaultProxy(target, seed=seed)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fault proxy", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(10)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def of_url(url: str) -> Address:
    """Where a URL leads."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
