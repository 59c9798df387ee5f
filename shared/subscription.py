"""Hearing what is said: a plain callback is called from the socket itself, an async one in turn."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from nats.aio.subscription import Subscription as NatsSubscription

from shared.connection import Connection
from shared.message import Message

log = structlog.stdlib.get_logger("bus")

WAITING: Final = 65_536
"""Messages that may wait for a slow async callback; what comes then is dropped, with a warning."""

Callback = Callable[[Message], Awaitable[None] | None]


class Subscription:
    """One interest; `stop` ends it."""

    def __init__(
        self,
        connection: Connection,
        subject: str,
        callback: Callback,
        all_of_bus: set[Subscription],
    ) -> None:
        self.subject = subject
        self._connection = connection
        self._callback = callback
        self._all = all_of_bus
        self._nats: NatsSubscription | None = None
        self._waiting: deque[Awaitable[None]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._stopped = False
        self.dropped = 0

    async def start(self, queue: str = "") -> None:
        """Hear from now on."""
        self._nats = await self._connection.listen(self.subject, self._heard, queue)
        self._all.add(self)

    async def stop(self) -> None:
        """Hear no more; what has not been worked on is let go."""
        if self._stopped:
            return
        self._stopped = True
        self._all.discard(self)
        if self._nats is not None:
            await self._connection.forget(self._nats)
        while self._waiting:
            let_go = self._waiting.popleft()
            if inspect.iscoroutine(let_go):
                let_go.close()
        worker = self._worker
        if worker is not None and worker is not asyncio.current_task():
            await asyncio.wait({worker})

    def _heard(self, message: Message) -> None:
        if self._stopped:
            return
        if len(self._waiting) >= WAITING:
            self.dropped += 1
            if self.dropped == 1:
                log.warning("a listener is too slow, messages are dropped", subject=self.subject)
            return
        try:
            rest = self._callback(message)
        except Exception:
            # Whatever it was, the next message is heard.
            log.exception("a listener failed", subject=self.subject)
            return
        if rest is not None:
            self._waiting.append(rest)
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                try:
                    await self._waiting.popleft()
                except Exception:
                    # As above: whatever it was, the next one is worked on.
                    log.exception("a listener failed", subject=self.subject)
        finally:
            self._worker = None
