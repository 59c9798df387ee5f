"""The bus: how the services ask one another, tell one another, and hear one another.

A thin layer over NATS, the only one that anybody imports. Nothing here is ever sent twice by
itself: who wants to try again decides that, knowing what it costs.

    request        ask one service and wait for its answer
    serve          answer
    publish        say something that may be lost (live text)
    publish_durable  say something that must not be lost (facts, outcomes)
    subscribe      hear what is said from now on
    consume        work off what was said, each message at least once
    last_chunk, stored_chunks  look up what a stream still has
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

import msgspec
import structlog
from prometheus_client import Counter

from contracts.failures import Internal, Invalid, Problem, TimedOut, Unreachable, refusal
from contracts.subjects import STREAMS
from shared import durable, trace
from shared.answering import Answering, Verb
from shared.connection import Connection, NotPermitted
from shared.durable import NeverStored, NotStored
from shared.message import Message, write_headers
from shared.pull import Consuming, Delivery, Handler, Quarantine
from shared.stored import StoredMessage, last_message, stored_messages
from shared.subscription import Subscription
from shared.topology import ask, remake

__all__ = [
    "Bus",
    "Delivery",
    "Message",
    "NeverStored",
    "NotPermitted",
    "NotStored",
    "StoredMessage",
    "Subscription",
    "Verb",
]

log = structlog.stdlib.get_logger("bus")

DROPPED = Counter("parley_bus_dropped", "Live messages dropped while the broker was away.")

CONNECT_WITHIN: Final = timedelta(seconds=30)
_FINISH: Final = timedelta(seconds=8)
"""How long requests and deliveries that were begun may take to finish when we leave."""

T = TypeVar("T")

_json: Final = msgspec.json.Encoder()


class Bus:
    """One service's place on the bus."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """What the bus stands on; for the machinery beside it, not for services."""
        self._client = connection.client
        self._answering: list[Answering] = []
        self._consuming: set[Consuming] = set()
        self._subscriptions: set[Subscription] = set()
        self._keeping: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._dropping = False

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        service: str,
        seed_file: Path | None,
        within: timedelta = CONNECT_WITHIN,
    ) -> Self:
        """Connect under the service's own key; Unreachable if there is no broker in time.

        From then on a lost broker is looked for until it is back, for however long.
        """
        connection = Connection(service)
        try:
            await connection.open(url, seed_file, within)
        except BaseException:
            await connection.client.leave()
            raise
        bus = cls(connection)
        bus._keep_streams()
        return bus

    @property
    def connected(self) -> bool:
        """Whether the broker is there, as far as is known."""
        return self.connection.connected

    def on_reconnect(self, callback: Callable[[], Awaitable[None] | None]) -> None:
        """Call after the broker was away: live messages of that time are lost."""
        self.connection.on_reconnect(callback)

    def _keep_streams(self) -> None:
        """Streams in memory are gone after the broker was away; their keeper makes them again."""
        kept = [stream for stream in STREAMS if stream.keeper == self.connection.service]

        def make() -> None:
            for stream in kept:
                task = asyncio.create_task(remake(self.connection, stream))
                self._keeping.add(task)
                task.add_done_callback(self._keeping.discard)

        if kept:
            make()
            self.on_reconnect(make)

    # --- Asking and answering ---------------------------------------------------------------

    async def request(
        self, subject: str, command: msgspec.Struct, answer: type[T], *, within: timedelta
    ) -> T:
        """Ask once and wait for the answer.

        Raises what the other side refused with (contracts.failures.Refused), Unreachable if it is
        proven that nobody got it, TimedOut if it is not known whether it was carried out.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within.total_seconds()
        payload = _json.encode(command)
        headers = write_headers(trace.outgoing())
        if len(headers) + len(payload) > self._client.max_payload:
            raise Invalid(
                "The request is too large.", slug="too-large", next_step="Send less at once."
            )
        if not await self.connection.until_connected(deadline):
            raise Unreachable(f"The broker is away; {subject} was not asked.")
        reply, expected = self.connection.expect(subject)
        try:
            self._client.put(subject, payload, reply, headers)
            async with asyncio.timeout_at(deadline):
                message = await expected
        except TimeoutError as error:
            raise TimedOut(f"No answer from {subject} within {within}.") from error
        finally:
            self.connection.give_up(reply)
        return _read_answer(subject, message, answer)

    async def serve(
        self,
        service: str,
        verbs: Sequence[Verb[Any]],
        *,
        passing: tuple[type[Exception], ...] = (),
    ) -> None:
        """Answer these verbs, and NATS's own questions about this service, until `drain`.

        Whoever asks while a handler raises one of `passing` is asked to come again: the database
        is away, for example.
        """
        answering = Answering(self.connection, service, passing)
        self._answering.append(answering)
        await answering.start(verbs)

    # --- Saying -----------------------------------------------------------------------------

    async def publish(self, subject: str, payload: bytes) -> None:
        """Say it once, without knowing whether anybody heard: for live text.

        While the broker is away a little is kept for it, the rest is dropped and counted.
        """
        if self._client.put(subject, payload, lingering=True):
            self._dropping = False
        else:
            DROPPED.inc()
            if not self._dropping:
                self._dropping = True
                log.warning("the broker is away, live messages are being dropped")
        if self._client.crowded:
            await self._client.room()

    async def publish_durable(
        self,
        subject: str,
        payload: bytes,
        *,
        id: str,
        headers: Mapping[str, str] | None = None,
        within: timedelta,
    ) -> int:
        """Store it in the stream of `subject`; returns its sequence there.

        Raises NotStored when that was not learnt within the deadline, or when the connection
        broke in between: publish it again with the same `id`. Many may wait at the same time.
        """
        return await durable.publish_durable(
            self.connection, subject, payload, id=id, headers=headers or {}, within=within
        )

    # --- Hearing ----------------------------------------------------------------------------

    async def subscribe(
        self,
        subject: str,
        callback: Callable[[Message], Awaitable[None] | None],
        *,
        queue: str = "",
    ) -> Subscription:
        """Hear what is said from now on. When this returns, the broker has the subscription.

        A plain callback is called straight from the socket: the cheapest way. What an async one
        returns is awaited in the order of arrival, one at a time.
        """
        subscription = Subscription(self.connection, subject, callback, self._subscriptions)
        await subscription.start(queue)
        return subscription

    async def consume(
        self,
        stream: str,
        consumer: str,
        handler: Handler,
        *,
        batch: int = 64,
        quarantine: Quarantine | None = None,
        passing: tuple[type[BaseException], ...] = (),
    ) -> None:
        """Work off a durable consumer until `drain`: each message at least once.

        A delivery is acknowledged after `handler` returns; while it works, the broker is told so.
        Messages of different subjects are worked on at the same time, those of one subject in
        order (unless one of them fails: it comes again, later). An exception puts the message
        back with a growing delay. One that fails as often as its consumer's `max_deliver` says
        goes to `quarantine` and is done with; without `quarantine` it is stored in the stream of
        that name. Failures that are not the message's fault (the broker or a service away, an
        OSError, and the kinds in `passing`, e.g. the database's) do not count.
        """
        consuming = Consuming(
            self.connection,
            stream,
            consumer,
            handler,
            batch=batch,
            quarantine=quarantine,
            passing=passing,
        )
        self._consuming.add(consuming)
        try:
            if not self._leaving:
                await consuming.run()
        finally:
            self._consuming.discard(consuming)

    # --- Looking up -------------------------------------------------------------------------

    async def last_chunk(
        self, subject: str, *, stream: str = "CHUNKS", within: timedelta = timedelta(seconds=2)
    ) -> StoredMessage | None:
        """The newest message of `subject` that the stream still has; None if it has none.

        `stream` may be OUTCOMES too: what it has is what nobody has journaled yet.

        Unreachable if the stream itself is not there: a memory stream goes with its broker.
        """
        return await last_message(self.connection, stream, subject, within)

    async def stored_chunks(
        self,
        subject: str,
        *,
        after_sequence: int = 0,
        stream: str = "CHUNKS",
        within: timedelta = timedelta(seconds=5),
    ) -> list[StoredMessage]:
        """All messages of `subject` (or pattern) that the stream has after a sequence, in order."""
        return await stored_messages(self.connection, stream, subject, after_sequence, within)

    async def purge(
        self, stream: str, subject: str, *, within: timedelta = timedelta(seconds=5)
    ) -> None:
        """Delete what the stream has of `subject` (or pattern), for good.

        Unreachable or CannotEnsure (shared.topology): it may still be there.
        """
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        await ask(self.connection, f"STREAM.PURGE.{stream}", {"filter": subject}, deadline)

    # --- Leaving ----------------------------------------------------------------------------

    async def drain(self) -> None:
        """Leave in good order: take nothing new, finish what was begun, say what was to be said."""
        if self._leaving:
            return
        self._leaving = True
        try:
            async with asyncio.timeout(_FINISH.total_seconds()):
                await asyncio.gather(
                    *(answering.stop() for answering in self._answering),
                    *(consuming.stop() for consuming in self._consuming),
                    *(subscription.stop() for subscription in list(self._subscriptions)),
                )
        except TimeoutError:
            log.warning("left while something was still being worked on")
        for task in self._keeping:
            task.cancel()
        await self.connection.close()


_PROBLEM: Final = msgspec.json.Decoder(Problem)


@lru_cache(maxsize=256)
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _read_answer(subject: str, message: Message, answer: type[T]) -> T:
    if message.status == 503:
        raise Unreachable(f"Nobody answers {subject}.")
    headers = message.headers
    if "Nats-Service-Error" in headers:
        try:
            problem = _PROBLEM.decode(message.data)
        except msgspec.DecodeError:
            problem = Internal("It failed without saying why.").problem
        raise refusal(problem)
    try:
        return cast(T, _decoder(answer).decode(message.data))
    except msgspec.DecodeError as error:
        raise Internal(f"The answer of {subject} is not readable: {error}") from error
