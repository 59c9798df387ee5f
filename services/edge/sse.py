"""Following a discussion over server-sent events: GET /api/v1/discussions/{id}/events.

A stream is a pure reading of the log; it never causes a request to a provider. Whoever comes back
with the id of the last fact it saw gets the rest, each fact once and in order, then the text of
what is being said, then what comes next. A browser treats every answer but 200 as final, so
"come back later" is a 200 that says when, and closes.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from prometheus_client import Counter

from contracts.discussion import DiscussionState
from contracts.failures import NotFound, TimedOut, Unavailable, Unreachable
from services.edge.batch import Batch
from services.edge.call import Call
from services.edge.frames import CONNECTED, HEARTBEAT, RESYNC, event_frame, retry_frame
from services.edge.hub import Hub, Watcher
from services.edge.outlet import PATIENCE, Ending, Outlet
from services.edge.problems import NotAcceptable

RETRY = (3000, 6000)
"""Milliseconds, between which each connection gets its own: so that not all come back at once."""

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "parley",
}

ENDED = Counter("parley_edge_streams_ended", "Event streams that ended, by reason", ["why"])

_ID = re.compile(r"\d{1,18}\Z", re.ASCII)


class Viewer:
    """One connection that follows; see hub.Watcher."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def offer(self, batch: Batch) -> None:
        self._outlet.write_shared(batch)

    def over(self, state: DiscussionState) -> None:
        self._outlet.write(event_frame("end", {"state": state}))
        self._outlet.end(Ending.FINISHED)

    def dismiss(self, why: Ending) -> None:
        self._outlet.end(why)

    def tick(self, now: float, *, silent: bool) -> None:
        if silent:
            self._outlet.write(HEARTBEAT)
        self._outlet.check(now)


def retry() -> bytes:
    """When to come back; another time for everybody."""
    return retry_frame(random.randint(*RETRY))  # noqa: S311 - jitter


def last_seen(request: web.BaseRequest) -> int | None:
    """The id that the reader came with; 0 for none, None for one that we never gave out."""
    given = request.headers.getall("Last-Event-ID", [])
    if not given or given == [""]:
        return 0
    return int(given[0]) if len(given) == 1 and _ID.match(given[0]) else None


async def follow(call: Call) -> web.StreamResponse:
    """Follow a discussion."""
    check_accepted(call.request)
    return await follow_log(call, call.id("id", "discussion"), "history")


async def follow_log(call: Call, discussion: str, log: str) -> web.StreamResponse:
    """Follow whatever has a log of its own, which the verb `log` tells."""
    hubs, who = call.tools.hubs, call.who
    if hubs.stopping or not call.tools.turnstile.admits(who.token):
        return await come_back(call.request)
    try:
        hub = await hubs.get(call.workspace, discussion, log)
    except (Unavailable, Unreachable, TimedOut):
        return await come_back(call.request)
    try:
        after = await known(hub, last_seen(call.request))
        if has_seen_all(hub, after):
            return web.Response(status=204)
        return await _show(call, hub, after)
    finally:
        hubs.release(call.workspace, discussion)


async def known(hub: Hub, after: int | None) -> int | None:
    """`after`, unless the discussion has not got that far."""
    if after is None or after <= hub.feed.version:
        return after
    with suppress(Unavailable, Unreachable, TimedOut):
        await hub.catch_up()  # another replica may have heard of it before us
    return after if after <= hub.feed.version or hub.feed.state is not None else None


def has_seen_all(hub: Hub, after: int | None) -> bool:
    """It has ended, and who comes with `after` has seen how."""
    return hub.feed.state is not None and after is not None and after >= hub.feed.version


async def _show(call: Call, hub: Hub, after: int | None) -> web.StreamResponse:
    response = await begin(call.request)
    with Seat(call, response) as outlet:
        viewer = Viewer(outlet)
        try:
            if after is None:
                outlet.write(RESYNC)
            seen = await bring(hub, after or 0, outlet, response)
            if not outlet.ended:
                outlet.replay(b"".join([item.frame for item in hub.join(viewer, seen)]))
                settle(hub, viewer)
            ENDED.labels(await outlet.wait()).inc()
        finally:
            hub.leave(viewer)
    return response


class Seat:
    """A place for one connection: counted, and taken away with the right to it."""

    def __init__(self, call: Call, response: web.StreamResponse) -> None:
        self._turnstile, self._doorkeeper, self._who = (
            call.tools.turnstile,
            call.tools.doorkeeper,
            call.who,
        )
        self._outlet = Outlet(call.request, response, parting=retry())
        self._stop_listening: Callable[[], None] = lambda: None

    def __enter__(self) -> Outlet:
        self._turnstile.enter(self._who.token)
        outlet = self._outlet
        self._stop_listening = self._doorkeeper.on_revocation(
            self._who, lambda: outlet.end(Ending.REVOKED)
        )
        return outlet

    def __exit__(self, *_: object) -> None:
        self._stop_listening()
        self._turnstile.leave(self._who.token)


async def bring(
    hub: Hub, after: int, outlet: Outlet, response: web.StreamResponse, *, prefix: bytes = b""
) -> int:
    """Write what only the journal has of the facts after `after`: up to which one it has come.

    `prefix` goes before each page. The stream has begun, so whatever is amiss ends it with a time
    to come back.
    """
    try:
        async for page in hub.missed(after):
            async with asyncio.timeout(PATIENCE):
                await response.write(prefix + b"".join([fact.frame for fact in page]))
            after = page[-1].version
            if outlet.ended:
                break
    except TimeoutError:
        outlet.end(Ending.SLOW)
    except (Unavailable, Unreachable, TimedOut, NotFound):
        outlet.end(Ending.STOPPING)
    return after


def settle(hub: Hub, viewer: Watcher) -> None:
    """Tell who has just joined what it came too late to be told by the hub."""
    if hub.feed.state is not None:
        viewer.over(hub.feed.state)
    elif hub.closed:
        viewer.dismiss(Ending.STOPPING)


async def come_back(request: web.BaseRequest) -> web.StreamResponse:
    """Not now: an empty stream that says when."""
    return await begin(request, b": wait\n\n")


async def begin(request: web.BaseRequest, more: bytes = b"") -> web.StreamResponse:
    """The head of a stream and its first bytes."""
    response = web.StreamResponse(headers=HEADERS)
    response.force_close()
    await response.prepare(request)
    await response.write(CONNECTED + retry() + more)
    return response


def check_accepted(request: web.BaseRequest) -> None:
    """This is for readers of events only."""
    if request.method == "HEAD" or not _takes_events(request):
        raise NotAcceptable(
            "This is a stream of events.", next_step="Send GET with Accept: text/event-stream."
        )


def _takes_events(request: web.BaseRequest) -> bool:
    accept = request.headers.get("Accept", "*/*").lower()
    kinds = {part.partition(";")[0].strip() for part in accept.split(",")}
    return bool(kinds & {"text/event-stream", "text/*", "*/*"})
