"""The connection to the broker: nats-py, mended where it would lose, delay or hide something.

What is different from nats-py 2.16.0, and why (tests/conformance/test_client.py shows each):

- a message goes straight from the parser to whoever listens, without a queue and a task for each
  subscription: a chunk then costs one wake-up of the process, not two;
- what is published in one turn of the event loop leaves in one write, live text even in one for
  a few milliseconds;
- a PING keeps its place behind what was published before it. nats-py writes it past the queue, so
  its `flush()` returns before the messages have left;
- a late PONG cannot end the read loop (nats-py sets the result of a cancelled future there);
- an error line of the server never closes the client for good: it connects again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any, Final

from nats import errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription

from shared.message import Message, checked_pattern, checked_subject

Heard = Callable[[Message], None]
"""Called at once for each message, in the order of arrival; must neither wait nor raise."""

_PING: Final = b"PING\r\n"
_BURST: Final = 64 * 1024
"""Bytes after which a publisher waits for the socket, however busy it is."""
_LINGER: Final = 0.004
"""Seconds. A chunk costs little to write but much to wake up for, here, in the broker and in every
reader. At 20 streams of 50 chunks a second this makes one wake-up of five."""
_WHILE_AWAY: Final = 2 * 1024 * 1024
"""Bytes kept for the broker while it is away."""

_DENIED = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"')


class NatsClient(Client):
    """One connection. `denied(kind, subject)` hears what the broker does not permit."""

    def __init__(self, denied: Callable[[str, str], None]) -> None:
        super().__init__()
        self.denied = denied
        self._listeners: dict[int, Heard] = {}
        self._write_is_due = False
        self._written_at = 0.0
        self._lingering: asyncio.TimerHandle | None = None
        self._put_since_room = 0

    # --- Out --------------------------------------------------------------------------------

    def put(
        self,
        subject: str,
        payload: bytes,
        reply: str = "",
        headers: bytes = b"",
        *,
        lingering: bool = False,
    ) -> bool:
        """Send at the end of this turn of the loop; False if it was dropped: no broker, no room.

        What may linger goes at once too, unless something was written a moment ago: then it waits
        out that moment for company. Everything keeps its order.
        """
        checked_subject(subject)
        if headers:
            total = len(headers) + len(payload)
            line = f"HPUB {subject} {reply} {len(headers)} {total}\r\n".encode()
            command = b"%b%b%b\r\n" % (line, headers, payload)
        else:
            command = b"%b%b\r\n" % (f"PUB {subject} {reply} {len(payload)}\r\n".encode(), payload)
        if not self.is_connected and self._pending_data_size + len(command) > _WHILE_AWAY:
            return False
        self._pending.append(command)
        self._pending_data_size += len(command)
        self._put_since_room += len(command)
        if not self._write_is_due and not (lingering and self._lingering):
            self._schedule_write(lingering)
        return True

    def _schedule_write(self, lingering: bool) -> None:
        loop = asyncio.get_running_loop()
        if lingering and (due := self._written_at + _LINGER) > loop.time():
            self._lingering = loop.call_at(due, self._write)
        else:
            self._write_is_due = True
            loop.call_soon(self._write)

    @property
    def crowded(self) -> bool:
        """So much was put that it is time to wait for `room()`."""
        return self._put_since_room > _BURST

    async def room(self) -> None:
        """Wait until the socket has taken what was put; let others run meanwhile."""
        self._put_since_room = 0
        if self.is_connected:
            await self._flush_pending(force_flush=True)
        await asyncio.sleep(0)

    async def leave(self) -> None:
        """Close for good; what is still to be said cannot reach a broker that is away."""
        if not self.is_connected:
            self._pending.clear()
            self._pending_data_size = 0
        with contextlib.suppress(OSError):
            await self.close()

    def _write(self) -> None:
        self._write_is_due = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if not self._pending or not self.is_connected or self._transport is None:
            return
        waiting, self._pending = self._pending, []
        self._pending_data_size = 0
        self._written_at = asyncio.get_running_loop().time()
        self._transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))

    async def _flush_pending(self, force_flush: bool = False) -> None:
        self._write()
        if force_flush and self.is_connected and self._transport is not None:
            try:
                await self._transport.drain()
            except OSError as error:
                await self._process_op_err(error)

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        self._pongs_due.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(_PING)
        await self._flush_pending()

    @property
    def _pongs_due(self) -> list[asyncio.Future[Any]]:
        return self._pongs  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    async def round_trip(self, within: float) -> None:
        """Until the broker has seen all that was put before this.

        TimeoutError if it does not answer in time, ConnectionResetError if it went away.
        """
        pong: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._send_ping(pong)
        async with asyncio.timeout(within):
            if not await pong:
                raise ConnectionResetError("the broker went away")

    def no_more_pongs(self) -> None:
        """The connection broke: nats-py would forget who waits, and let them."""
        for waiting in self._pongs_due:
            if not waiting.done():
                waiting.set_result(False)

    # --- In ---------------------------------------------------------------------------------

    async def listen(self, pattern: str, heard: Heard, queue: str = "") -> NatsSubscription:
        """Call `heard` for each message from now on, also after the broker was away."""
        checked_pattern(pattern)
        # nats-py numbers the subscription in the very next step, before anything can arrive.
        self._listeners[self._sid + 1] = heard
        return await self.subscribe(pattern, queue=queue)  # pyright: ignore[reportUnknownMemberType]

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        heard = self._listeners.get(sid)
        if heard is not None:
            heard(Message(subject.decode(), data, reply.decode(), headers))

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._listeners.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_pong(self) -> None:
        self._pings_outstanding = 0
        self._pongs_received += 1
        if self._pongs_due:
            waiting = self._pongs_due.pop(0)
            if not waiting.done():
                waiting.set_result(True)

    async def _process_err(self, err_msg: str) -> None:
        if refused := _DENIED.search(err_msg):
            self.denied(refused[1], refused[2])
            return
        await self._process_op_err(errors.Error(f"nats: {err_msg.strip(chr(39))}"))
