"""Where one discussion's facts and live text arrive once, for everybody who watches it.

A hub listens first and reads the log afterwards, so nothing can fall between the two; what is
missing later (the bus was away for a moment) it reads in the same way. It holds the newest facts
and the text of what runs, never more than so much; whoever comes late is first read the journal,
and then joins in one go, so that nothing can slip in between.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from typing import Protocol

import msgspec
import structlog

from contracts.discussion import DiscussionState, GetHistory, History
from contracts.failures import NotFound, TimedOut, Unreachable
from contracts.stream import StreamChunk
from contracts.subjects import (
    chunk_subject,
    command_subject,
    discussion_chunks,
    discussion_events,
)
from services.edge.batch import Batch
from services.edge.feed import Fact, Feed, Output
from services.edge.outlet import Ending
from shared.bus import Bus, Subscription
from shared.message import Message

HEARTBEAT = 15.0
"""Seconds of silence at most, before viewers are shown that the line is alive."""

SWEEP = 5.0
LINGER = 5.0
"""Seconds that a hub stays after its last viewer, who is perhaps only reconnecting."""

UNHEARD = 1.0
"""Seconds after which text of an attempt that nobody announced makes us read the log."""

WITHIN = timedelta(seconds=5)
PAGE = 500
FILLS = 4
"""Times that missing text is looked for; the stream that keeps it may lag by a moment."""

VERSION_HEADER = "Parley-Version"

_log = structlog.stdlib.get_logger("edge.hub")
_chunk = msgspec.json.Decoder(StreamChunk)


class Watcher(Protocol):
    """Somebody who follows a discussion. None of these may wait."""

    def offer(self, batch: Batch) -> None:
        """Here is what came next."""
        ...

    def over(self, state: DiscussionState) -> None:
        """Nothing more will come."""
        ...

    def dismiss(self, why: Ending) -> None:
        """The hub cannot go on serving; come back later."""
        ...

    def tick(self, now: float, *, silent: bool) -> None:
        """Time has passed; `silent` when nothing was offered for a long while."""
        ...


class Hub:
    """One discussion, watched by as many as like."""

    def __init__(self, bus: Bus, workspace: str, discussion: str, log: str = "history") -> None:
        self.feed = Feed()
        self._bus = bus
        self._workspace = workspace
        self._discussion = discussion
        self._log = log
        """The verb that tells what has happened: a run of a workflow has a log of its own."""
        self._watchers: set[Watcher] = set()
        self._pending: list[Output] = []
        self._flushing = False
        self._subscriptions: list[Subscription] = []
        self._refilling: asyncio.Task[None] | None = None
        self._again = False
        self._spoke_at = 0.0
        self._ticking: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """It hears nothing any more: who has just joined is to come back."""
        return self._closed

    # --- Life -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen, then read what has happened. NotFound, Unreachable and TimedOut go up."""
        workspace, discussion = self._workspace, self._discussion
        self._subscriptions += await asyncio.gather(
            self._bus.subscribe(discussion_events(workspace, discussion), self._hear_fact),
            self._bus.subscribe(discussion_chunks(workspace, discussion), self._hear_chunk),
        )
        await self._read_facts()
        await self._read_text(self.feed.running)
        self._spoke_at = asyncio.get_running_loop().time()
        self._tick_later()

    async def close(self, why: Ending = Ending.STOPPING) -> None:
        """Send everybody away and stop listening."""
        self._closed = True
        self._flush()
        for watcher in list(self._watchers):
            watcher.dismiss(why)
        self._watchers.clear()
        if self._ticking is not None:
            self._ticking.cancel()
        if self._refilling is not None:
            self._refilling.cancel()
        for subscription in self._subscriptions:
            await subscription.stop()
        self._subscriptions.clear()

    async def missed(self, after: int) -> AsyncIterator[list[Fact]]:
        """The facts after `after` that are no longer held here, a page at a time.

        Join at once when it ends, after the last one: nothing has been forgotten by then.
        """
        while not self.feed.holds(after):
            history = await self._history(after)
            page = [
                self.feed.shown(entry.version, entry.name, msgspec.json.encode(entry.event))
                for entry in history.items
                if entry.version <= self.feed.forgotten
            ]
            if not page:
                raise NotFound("The discussion has been deleted.")
            after = page[-1].version
            yield page

    def join(self, watcher: Watcher, after: int) -> list[Output]:
        """Everything `watcher` has to be told first; what follows is offered to it."""
        self._flush()
        first: list[Output] = [*self.feed.since(after), *self.feed.snapshots()]
        if self.feed.state is None and not self._closed:
            self._watchers.add(watcher)
        return first

    def leave(self, watcher: Watcher) -> None:
        """It follows no more."""
        self._watchers.discard(watcher)

    async def catch_up(self) -> None:
        """Read what the log has by now. Unreachable and TimedOut go up."""
        await self._read_facts()

    # --- What arrives -----------------------------------------------------------------------

    def _hear_fact(self, message: Message) -> None:
        name = message.subject.rpartition(".")[2]
        version = message.headers.get(VERSION_HEADER, "")
        if not version.isdecimal():
            self.refill()  # not told where it belongs: the log says
            return
        self._take(self.feed.fact(int(version), name, message.data))
        if self.feed.lacks_facts:
            self.refill()

    def _hear_chunk(self, message: Message) -> None:
        try:
            chunk = _chunk.decode(message.data)
        except msgspec.MsgspecError:
            _log.warning("unreadable chunk", subject=message.subject)
            return
        out = self.feed.chunk(chunk, message.data)
        if out:
            self._take(out)
        elif chunk.text:
            self._wonder()

    def _wonder(self) -> None:
        """Text came that cannot be shown yet. Why?"""
        if self.feed.lacks_text:
            self.refill()
        elif self.feed.strangers and self._refilling is None:
            asyncio.get_running_loop().call_later(UNHEARD, self._ask_about_strangers)

    def _ask_about_strangers(self) -> None:
        if self.feed.strangers:
            self.refill()

    def _take(self, out: Sequence[Output]) -> None:
        if not out:
            return
        self._pending.extend(out)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """One write to each viewer for all that this turn of the loop has brought."""
        self._flushing = False
        if not self._pending:
            return
        batch, self._pending = Batch(self._pending), []
        self._spoke_at = asyncio.get_running_loop().time()
        for watcher in list(self._watchers):
            watcher.offer(batch)
        if self.feed.state is not None:
            for watcher in list(self._watchers):
                watcher.over(self.feed.state)
            self._watchers.clear()

    # --- What is missing --------------------------------------------------------------------

    def refill(self) -> None:
        """Read what is missing, once at a time; called again meanwhile, once more after that."""
        self._again = True
        if self._refilling is None and not self._closed:
            self._refilling = asyncio.create_task(self._refill(), name="hub refill")

    async def _refill(self) -> None:
        tries = 0
        try:
            while self._again and not self._closed:
                self._again = False
                try:
                    await self._read_facts()
                    await self._read_text(self.feed.lacks_text)
                    tries = 0
                except (Unreachable, TimedOut) as error:
                    tries += 1
                    self._again = True
                    _log.info("cannot read the log just now", error=repr(error), tries=tries)
                    wait = random.uniform(0.2, min(10.0, 0.5 * 2**tries))  # noqa: S311 - jitter
                    await asyncio.sleep(wait)
                except NotFound:  # deleted meanwhile
                    self._again = False
        finally:
            self._refilling = None

    async def _read_facts(self) -> None:
        strangers = self.feed.strangers
        while True:
            history = await self._history(self.feed.version)
            for entry in history.items:
                data = msgspec.json.encode(entry.event)
                self._take(self.feed.fact(entry.version, entry.name, data))
            if not history.items or self.feed.version >= history.version:
                break
        for attempt in set(strangers) & set(self.feed.strangers):
            # Its start is journaled before anything is asked of a provider.
            self.feed.forget(attempt)

    async def _history(self, after: int) -> History:
        asked = GetHistory(
            workspace=self._workspace, discussion=self._discussion, after=after, limit=PAGE
        )
        return await self._bus.request(
            command_subject("discussion", self._log), asked, History, within=WITHIN
        )

    async def _read_text(self, attempts: Sequence[str]) -> None:
        for attempt in attempts:
            subject = chunk_subject(self._workspace, self._discussion, attempt)
            for again in range(FILLS):
                for stored in await self._bus.stored_chunks(subject):
                    self._take(self.feed.chunk(_chunk.decode(stored.data), stored.data))
                if attempt not in self.feed.lacks_text:
                    break
                await asyncio.sleep(0.02 * 4**again)
            else:
                _log.warning("live text is lost; the whole turn will bring it", attempt=attempt)
                self.feed.tear(attempt)

    # --- Time -------------------------------------------------------------------------------

    def _tick_later(self) -> None:
        if not self._closed:
            self._ticking = asyncio.get_running_loop().call_later(SWEEP, self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        silent = now - self._spoke_at > HEARTBEAT - SWEEP  # the next look would be too late
        if silent:
            self._spoke_at = now
        for watcher in list(self._watchers):
            watcher.tick(now, silent=silent)
        self._tick_later()


class Hubs:
    """All discussions that are being watched."""

    def __init__(self, bus: Bus, *, linger: float = LINGER) -> None:
        self._bus = bus
        self._linger = linger
        self._hubs: dict[tuple[str, str], asyncio.Task[Hub]] = {}
        self._users: Counter[tuple[str, str]] = Counter()
        self._leaving: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._background: set[asyncio.Future[None]] = set()
        self.stopping = False
        bus.on_reconnect(self._reconnected)

    def __len__(self) -> int:
        return len(self._hubs)

    async def get(self, workspace: str, discussion: str, log: str = "history") -> Hub:
        """The discussion's hub, to be released; who comes first makes it, others wait for it."""
        key = (workspace, discussion)
        if (known := self.here(*key)) is not None and known.feed.deleted:
            self.forget(workspace, discussion)
        task = self._hubs.get(key)
        if task is None:
            task = asyncio.create_task(self._make(key, log), name="hub")
            self._hubs[key] = task
        self._users[key] += 1
        if (leaving := self._leaving.pop(key, None)) is not None:
            leaving.cancel()
        try:
            return await asyncio.shield(task)
        except BaseException:
            self.release(workspace, discussion)
            raise

    async def _make(self, key: tuple[str, str], log: str) -> Hub:
        hub = Hub(self._bus, *key, log)
        try:
            await hub.open()
        except BaseException:
            if self._hubs.get(key) is asyncio.current_task():
                del self._hubs[key]
            await hub.close()
            raise
        return hub

    def here(self, workspace: str, discussion: str) -> Hub | None:
        """The discussion's hub, if somebody watches it already."""
        task = self._hubs.get((workspace, discussion))
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    def forget(self, workspace: str, discussion: str) -> None:
        """What was said in it is deleted: nobody is to be shown what is held of it here.

        Whoever still follows what runs is told its end first.
        """
        key = (workspace, discussion)
        hub = self.here(*key)
        if hub is None or hub.feed.state is None:
            return  # it hears of it like everybody else
        if (leaving := self._leaving.pop(key, None)) is not None:
            leaving.cancel()
        self._retire(key)

    def release(self, workspace: str, discussion: str) -> None:
        """Somebody has left; a hub that nobody uses ends after a moment."""
        key = (workspace, discussion)
        self._users[key] -= 1
        if self._users[key] > 0:
            return
        del self._users[key]
        if key in self._hubs:
            loop = asyncio.get_running_loop()
            self._leaving[key] = loop.call_later(self._linger, self._retire, key)

    def _retire(self, key: tuple[str, str]) -> None:
        self._leaving.pop(key, None)
        task = self._hubs.pop(key, None)
        if task is not None:
            self._run(self._end(task))

    async def _end(self, task: asyncio.Task[Hub]) -> None:
        """Close the hub, which may still be in the making."""
        try:
            hub = await task
        except Exception:  # noqa: BLE001 - who waited for it was told
            return
        await hub.close()

    def mind(self, work: Awaitable[None]) -> None:
        """Let `work` go on by itself, until it ends or the edge does."""
        self._run(work)

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("work in the background failed", error=repr(error))

    def _reconnected(self) -> None:
        """Core messages of the time in between are lost: every hub reads on."""
        for key in self._hubs:
            if (hub := self.here(*key)) is not None:
                hub.refill()

    async def stop(self) -> None:
        """Send every viewer away with a time to come back."""
        self.stopping = True
        for timer in self._leaving.values():
            timer.cancel()
        tasks = list(self._hubs.values())
        self._hubs.clear()
        for task in tasks:
            await self._end(task)
        await asyncio.gather(*self._background, return_exceptions=True)
