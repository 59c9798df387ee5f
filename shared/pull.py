"""Working off a durable consumer: pull, work, acknowledge.

One request for more is open at a time, for as many messages as there is room for. The broker says
at least every two seconds that it still knows of it, so a broker that was restarted is asked again
at once, not after the request's own time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from contracts.failures import TimedOut, Unavailable, Unreachable
from contracts.subjects import STREAMS, quarantine_subject
from shared import trace
from shared.connection import Connection
from shared.durable import MESSAGE_ID, NeverStored, NotStored, publish_durable
from shared.message import Message

log = structlog.stdlib.get_logger("bus")

QUARANTINED = Counter("parley_bus_quarantined", "Messages nobody could work on.", ["consumer"])

_OPEN_FOR: Final = timedelta(seconds=30)
_HEARTBEAT: Final = timedelta(seconds=2)
_SILENCE: Final = 2.5 * _HEARTBEAT
"""Without a heartbeat for so long, the request for more is taken for lost."""
_ASK_AGAIN: Final = 0.2
"""Seconds before asking a broker again that cannot answer yet."""
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 30.0
_STORED_WITHIN: Final = timedelta(seconds=10)

_ACKNOWLEDGED: Final = b"+ACK"
_STILL_WORKING: Final = b"+WPI"
_DONE_WITH: Final = b"+TERM"

_PASSING: Final = (OSError, TimeoutError, Unavailable, Unreachable, TimedOut, NotStored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message of a stream, on its way through a consumer."""

    message: Message
    sequence: int
    """In the stream."""
    delivered: int
    """How often, this time included."""
    stored_at: datetime

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self.message.subject

    @property
    def data(self) -> bytes:
        """Its payload."""
        return self.message.data

    @property
    def id(self) -> str:
        """The id under which it was published; the same whenever it comes again."""
        return self.message.headers.get(MESSAGE_ID, "")


Handler = Callable[[Delivery], Awaitable[None]]
Quarantine = Callable[[Delivery, BaseException], Awaitable[None]]


def read_delivery(message: Message) -> Delivery:
    """What the acknowledgement subject says about it (ADR-15): 9 tokens, or more with a domain."""
    tokens = message.reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < 9:
        raise ValueError("not a delivery of a consumer")
    at = 4 if len(tokens) == 9 else 6
    delivered, sequence, _, nanoseconds = (int(token) for token in tokens[at : at + 4])
    return Delivery(
        message=message,
        sequence=sequence,
        delivered=delivered,
        stored_at=datetime.fromtimestamp(nanoseconds / 1e9, UTC),
    )


class Consuming:
    """One consumer being worked off by this process."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        consumer: str,
        handler: Handler,
        *,
        batch: int,
        quarantine: Quarantine | None,
        passing: tuple[type[BaseException], ...],
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._consumer = consumer
        self._handler = handler
        self._batch = batch
        self._quarantine = quarantine or self._store_away
        self._passing = (*_PASSING, *passing)
        self._most_tries, self._ack_wait = _declared(stream, consumer)
        self._tries: dict[int, int] = {}
        self._lanes: dict[str, deque[Delivery]] = {}
        self._lane_tasks: set[asyncio.Task[None]] = set()
        self._in_hand = 0
        self._news = asyncio.Event()
        """Set when a message is done with, a request for more has ended, or it is time to stop."""
        self._request = _NO_REQUEST
        self._requests = 0
        self._inbox = connection.client.new_inbox()
        self._stopping = False
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        self._connection.on_loss(self._lost)
        # Of its own, since a delivery comes to the inbox under the subject it was published to.
        inbox = await self._connection.listen(f"{self._inbox}.*", self._heard)
        alive = asyncio.create_task(self._say_still_working())
        try:
            while not self._stopping:
                await self._pull()
            while self._lane_tasks:
                await asyncio.wait(self._lane_tasks)
        finally:
            alive.cancel()
            for task in self._lane_tasks:
                task.cancel()
            await asyncio.gather(alive, *self._lane_tasks, return_exceptions=True)
            self._connection.no_longer_on_loss(self._lost)
            await self._connection.forget(inbox)
            self._stopped.set()

    async def stop(self) -> None:
        """Take nothing more; give back what was not begun; wait for what was."""
        self._stopping = True
        self._news.set()
        for lane in self._lanes.values():
            while len(lane) > 1:  # the first is being worked on
                self._in_hand -= 1
                self._give_back(lane.pop(), 0)
        await self._stopped.wait()

    # --- Asking for more --------------------------------------------------------------------

    async def _pull(self) -> None:
        room = self._batch - self._in_hand
        if room <= 0:
            await self._wait_for_news(None)
            return
        loop = asyncio.get_running_loop()
        if not await self._connection.until_connected(loop.time() + 1.0):
            return
        self._requests += 1
        request = self._request = _Request(
            reply=f"{self._inbox}.{self._requests:x}", wanted=room, heard_at=loop.time()
        )
        asked = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        query = {
            "batch": room,
            "expires": _nanoseconds(_OPEN_FOR),
            "idle_heartbeat": _nanoseconds(_HEARTBEAT),
        }
        self._connection.client.put(asked, msgspec.json.encode(query), request.reply)
        while not request.ended and not self._stopping:
            await self._wait_for_news(_SILENCE.total_seconds())
            if loop.time() - request.heard_at >= _SILENCE.total_seconds():
                request.ended = True
        if request.unanswered and not self._stopping:
            await asyncio.sleep(_ASK_AGAIN)

    async def _wait_for_news(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _lost(self) -> None:
        self._request.ended = True
        self._news.set()

    def _heard(self, message: Message) -> None:
        request = self._request
        request.heard_at = asyncio.get_running_loop().time()
        status = message.status
        if status == 0:
            request.wanted -= 1
            if request.wanted <= 0:
                request.ended = True
                self._news.set()
            self._take(message)
        elif status != 100 and message.subject == request.reply:  # 100 is a heartbeat
            # 404, 408: nothing there; 409: over, for one reason or another; 503: no such
            # consumer, or JetStream is still waking up.
            request.ended = True
            request.unanswered = status in {409, 503}
            if status == 503:
                log.debug("the consumer does not answer", consumer=self._consumer)
            self._news.set()

    # --- Working ----------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        try:
            delivery = read_delivery(message)
        except ValueError:
            log.warning("not a delivery", subject=message.subject)
            return
        if self._stopping:
            self._give_back(delivery, 0)
            return
        self._in_hand += 1
        lane = self._lanes.get(delivery.subject)
        if lane is not None:
            lane.append(delivery)
            return
        lane = self._lanes[delivery.subject] = deque([delivery])
        task = asyncio.create_task(self._work(delivery.subject, lane))
        self._lane_tasks.add(task)
        task.add_done_callback(self._lane_tasks.discard)

    async def _work(self, subject: str, lane: deque[Delivery]) -> None:
        """One subject's messages, one after the other."""
        try:
            while lane:
                delivery = lane[0]
                try:
                    await self._work_on(delivery)
                finally:
                    # While it is worked on it stays in its lane, so that it is kept alive.
                    if lane and lane[0] is delivery:
                        lane.popleft()
                    self._in_hand -= 1
                    self._news.set()
        finally:
            del self._lanes[subject]

    async def _work_on(self, delivery: Delivery) -> None:
        with trace.following(delivery.message.headers):
            try:
                await self._handler(delivery)
            except asyncio.CancelledError:
                self._give_back(delivery, 0)
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost
                await self._failed(delivery, error)
                return
        self._tries.pop(delivery.sequence, None)
        self._tell(delivery, _ACKNOWLEDGED)

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        told = log.bind(
            consumer=self._consumer,
            subject=delivery.subject,
            sequence=delivery.sequence,
            delivered=delivery.delivered,
        )
        if isinstance(error, self._passing):
            told.warning("could not work on a message now", error=type(error).__name__)
        else:
            tries = self._tries[delivery.sequence] = self._tries.get(delivery.sequence, 0) + 1
            told.error("could not work on a message", tries=tries, exc_info=error)
            if tries >= self._most_tries and await self._put_in_quarantine(delivery, error):
                return
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(delivery.delivered - 1, 10))
        self._give_back(delivery, delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    async def _put_in_quarantine(self, delivery: Delivery, error: Exception) -> bool:
        try:
            await self._quarantine(delivery, error)
        except Exception:
            # Whatever it was, the message is not lost: it comes again.
            log.exception("quarantine failed, the message stays", consumer=self._consumer)
            return False
        QUARANTINED.labels(self._consumer).inc()
        log.critical(
            "a message nobody can work on is in quarantine",
            consumer=self._consumer,
            subject=delivery.subject,
            sequence=delivery.sequence,
        )
        self._tries.pop(delivery.sequence, None)
        self._tell(delivery, _DONE_WITH)
        return True

    async def _store_away(self, delivery: Delivery, error: BaseException) -> None:
        headers = {
            **{k: v for k, v in delivery.message.headers.items() if not k.startswith("Nats-")},
            "Parley-Subject": delivery.subject,
            "Parley-Sequence": str(delivery.sequence),
            "Parley-Failure": type(error).__name__,
        }
        with contextlib.suppress(NeverStored):  # then the line in the log is all there is
            await publish_durable(
                self._connection,
                quarantine_subject(self._stream, self._consumer, delivery.sequence),
                delivery.data,
                id=f"{self._stream}.{self._consumer}.{delivery.sequence}",
                headers=headers,
                within=_STORED_WITHIN,
            )

    # --- Telling the broker -----------------------------------------------------------------

    async def _say_still_working(self) -> None:
        """Long work is no reason to deliver a message again."""
        while True:
            await asyncio.sleep(self._ack_wait.total_seconds() / 3)
            for lane in self._lanes.values():
                for delivery in lane:
                    self._tell(delivery, _STILL_WORKING)

    def _give_back(self, delivery: Delivery, delay: float) -> None:
        nanoseconds = _nanoseconds(timedelta(seconds=delay))
        self._tell(delivery, b'-NAK {"delay": %d}' % nanoseconds if nanoseconds else b"-NAK")

    def _tell(self, delivery: Delivery, what: bytes) -> None:
        self._connection.client.put(delivery.message.reply, what)


@dataclass(slots=True)
class _Request:
    """A request for more."""

    reply: str
    wanted: int
    heard_at: float
    ended: bool = False
    unanswered: bool = False


_NO_REQUEST: Final = _Request(reply="", wanted=0, heard_at=0.0, ended=True)


def _declared(stream: str, consumer: str) -> tuple[int, timedelta]:
    for each in STREAMS:
        for one in each.consumers:
            if (each.name, one.name) == (stream, consumer):
                return one.max_deliver, one.ack_wait
    raise LookupError(f"contracts/subjects.py declares no consumer {consumer} of {stream}")


def _nanoseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1e9)
