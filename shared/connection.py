"""A connection to the broker under one service's name, and the answers that it waits for.

Everything that expects an answer, a request as well as a durable publish, waits here: by a token
in the reply subject, until a deadline of its own. nats-py's own futures would wait for ever where
the broker went away in between.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from nats import errors
from nats.aio.subscription import Subscription as NatsSubscription
from prometheus_client import Counter

from contracts.failures import TimedOut, Unreachable
from contracts.subjects import inbox
from shared.message import Message
from shared.nats_client import Heard, NatsClient

log = structlog.stdlib.get_logger("bus")

RECONNECTS = Counter("parley_bus_reconnects", "Times the broker was lost and found again.")

_ROUND_TRIP: Final = timedelta(seconds=5)


class NotPermitted(Unreachable):
    """The broker does not let this service say or hear that: nothing was delivered.

    Who may say what is declared in contracts/subjects.py; the broker's configuration is made
    from it and must be made again after a change.
    """


@dataclass(slots=True, frozen=True)
class _Expected:
    """An answer that somebody waits for."""

    subject: str
    """Where the question went."""
    answer: asyncio.Future[Message]
    durable: bool


class Connection:
    """What bus, publisher and consumers share."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.client = NatsClient(self._denied)
        self.turn = asyncio.Lock()
        """Held while a durable message is put on the wire."""
        self._up = asyncio.Event()
        self._inbox = ""
        self._tokens = 0
        self._expected: dict[str, _Expected] = {}
        self._streams: dict[str, Heard] = {}
        self._subscribing: dict[str, asyncio.Future[None]] = {}
        self._reconnected: list[Callable[[], Awaitable[None] | None]] = []
        self._lost: list[Callable[[], None]] = []
        self._rejected: asyncio.Future[None] | None = None
        self._trouble: type[Exception] | None = None

    # --- Connecting -------------------------------------------------------------------------

    async def open(self, url: str, seed_file: Path | None, within: timedelta) -> None:
        """Connect, trying again until the deadline; Unreachable or NotPermitted then."""
        loop = asyncio.get_running_loop()
        self._rejected = loop.create_future()
        connecting = asyncio.create_task(
            self.client.connect(
                url.split(","),
                name=self.service,
                nkeys_seed=None if seed_file is None else str(seed_file),
                inbox_prefix=inbox(self.service),
                error_cb=self._error,
                disconnected_cb=self._went_away,
                reconnected_cb=self._came_back,
                max_reconnect_attempts=-1,
                # Both are seconds and may well be fractions, whatever nats-py's types say.
                reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType]
                connect_timeout=2,
                ping_interval=20,
                max_outstanding_pings=2,
            )
        )
        try:
            await asyncio.wait(
                {connecting, self._rejected},
                timeout=within.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._rejected.done():
                raise NotPermitted(f"The broker at {url} does not know {self.service}'s key.")
            if not connecting.done():
                raise Unreachable(f"No NATS server answered at {url}.")
            await connecting
        finally:
            if not connecting.done():
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
        self._rejected = None
        self._up.set()
        prefix = self.client.new_inbox()
        self._inbox = f"{prefix}."
        await self.listen(f"{prefix}.*", self._answered)

    @property
    def connected(self) -> bool:
        """Whether the broker is there, as far as is known."""
        return self.client.is_connected

    async def until_connected(self, deadline: float) -> bool:
        """Wait for the broker until `deadline` (the loop's clock); False if it did not come."""
        while not self.client.is_connected:
            self._up.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._up.wait()
            except TimeoutError:
                return False
        return True

    def on_reconnect(self, callback: Callable[[], Awaitable[None] | None]) -> None:
        """Call after the broker was away: what was said meanwhile on core subjects is lost."""
        self._reconnected.append(callback)

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Call when the connection breaks."""
        self._lost.append(callback)

    def no_longer_on_loss(self, callback: Callable[[], None]) -> None:
        """Do not call it any more."""
        self._lost.remove(callback)

    async def close(self) -> None:
        """Let what was published reach the broker, then leave."""
        if self.client.is_connected:
            try:
                await self.client.round_trip(_ROUND_TRIP.total_seconds())
            except (TimeoutError, errors.Error, OSError):
                log.warning("left without knowing whether the broker has heard everything")
        await self.client.leave()

    async def _error(self, error: Exception) -> None:
        # Never the message that it was about: it may hold what people said.
        if self._rejected is not None and "authorization" in str(error).lower():
            if not self._rejected.done():
                self._rejected.set_result(None)
            return
        if self._trouble is not type(error):
            self._trouble = type(error)  # once is enough: it is tried several times a second
            log.debug("trouble with the broker", error=type(error).__name__, what=str(error)[:200])

    async def _went_away(self) -> None:
        self._up.clear()
        self.client.no_more_pongs()
        if not self.client.is_closed:
            log.warning("lost the broker")
        for token, expected in list(self._expected.items()):
            if expected.durable:
                # Its acknowledgement went with the connection. An answer to a request may still
                # come: the other side is a service, not the broker.
                self._fail(token, ConnectionResetError("the connection to the broker broke"))
        for callback in self._lost:
            callback()

    async def _came_back(self) -> None:
        self._up.set()
        self._trouble = None
        RECONNECTS.inc()
        log.info("found the broker again")
        for callback in self._reconnected:
            try:
                outcome = callback()
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:
                # One that fails must not keep the others from hearing of it.
                log.exception("what should follow a reconnect has failed")

    # --- Hearing ----------------------------------------------------------------------------

    async def listen(self, pattern: str, heard: Heard, queue: str = "") -> NatsSubscription:
        """Subscribe and know that the broker has it: NotPermitted if it refused."""
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._subscribing[pattern.lower()] = refused
        try:
            subscription = await self.client.listen(pattern, heard, queue)
            await self._until_heard()
            if refused.done():
                await self.forget(subscription)
                raise NotPermitted(f"{self.service} may not hear {pattern}.")
        finally:
            self._subscribing.pop(pattern.lower(), None)
        return subscription

    async def _until_heard(self) -> None:
        """Until the broker has acted on what was sent, a refusal included.

        It may be away for longer; nats-py subscribes again when it is back.
        """
        seconds = _ROUND_TRIP.total_seconds()
        deadline = asyncio.get_running_loop().time() + seconds
        while await self.until_connected(deadline):
            try:
                # In the order of the wire: a refusal comes before the answer to this ping.
                await self.client.round_trip(seconds)
            except ConnectionError:
                continue
            except TimeoutError as error:
                raise TimedOut("The broker did not confirm a subscription.") from error
            return

    async def forget(self, subscription: NatsSubscription) -> None:
        """Hear no more of it."""
        try:
            await subscription.unsubscribe()
        except errors.Error:
            log.debug("was not subscribed any more")

    def _denied(self, kind: str, subject: str) -> None:
        log.error("the broker does not permit this", kind=kind, subject=subject)
        if kind == "subscription":
            waiting = self._subscribing.get(subject)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
            return
        # nats-py has put the line into lower case, so that is how we compare.
        for token, expected in list(self._expected.items()):
            if expected.subject.lower() == subject:
                error = NotPermitted(f"{self.service} may not publish {expected.subject}.")
                self._fail(token, error)

    # --- Answers ----------------------------------------------------------------------------

    def expect(self, subject: str, *, durable: bool = False) -> tuple[str, asyncio.Future[Message]]:
        """A reply subject, and the answer that will come to it; `give_up` in the end."""
        token = self._token()
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._expected[token] = _Expected(subject, answer, durable)
        return self._inbox + token, answer

    def expect_many(self, heard: Heard) -> str:
        """A reply subject for several answers; `give_up` it in the end."""
        token = self._token()
        self._streams[token] = heard
        return self._inbox + token

    def give_up(self, reply: str) -> None:
        """What comes to `reply` from now on is nobody's."""
        token = reply[len(self._inbox) :]
        self._expected.pop(token, None)
        self._streams.pop(token, None)

    def _token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:x}"

    def _answered(self, message: Message) -> None:
        token = message.subject[len(self._inbox) :]
        expected = self._expected.pop(token, None)
        if expected is not None:
            if not expected.answer.done():
                expected.answer.set_result(message)
        elif (heard := self._streams.get(token)) is not None:
            heard(message)

    def _fail(self, token: str, error: Exception) -> None:
        expected = self._expected.pop(token, None)
        if expected is not None and not expected.answer.done():
            expected.answer.set_exception(error)
