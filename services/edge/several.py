"""Following several discussions over one connection: GET /api/v1/discussions/events?follow=…

A browser has six connections to a server at most, and a page with seven tabs must not use them up
with streams. So its tabs share one, which tells each discussion as its own stream does;
`event: discussion` says which one what comes next is of. The id to come back with names how far
each of them has come: `<discussion>:<version>,…`, as `follow` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from contracts.discussion import DiscussionState
from contracts.failures import NotFound, TimedOut, Unavailable, Unreachable
from services.edge import hub
from services.edge.batch import Batch
from services.edge.bodies import FollowQuery, cursors
from services.edge.call import Call
from services.edge.feed import Fact
from services.edge.frames import HEARTBEAT, RESYNC, event_frame
from services.edge.hub import Hub
from services.edge.outlet import Ending, Outlet
from services.edge.sse import (
    ENDED,
    Seat,
    begin,
    bring,
    check_accepted,
    come_back,
    has_seen_all,
    known,
    settle,
)


class Together:
    """What one connection is told of several discussions; each of them is a `Part`."""

    def __init__(self, outlet: Outlet, seen: Mapping[str, int]) -> None:
        self._outlet = outlet
        self._seen = dict(seen)
        self._open = set(seen)
        self._spoke_at = asyncio.get_running_loop().time()

    def tell(self, discussion: str, frames: bytes, seen: int = 0) -> None:
        """`frames` are of `discussion`, up to its version `seen`."""
        self._outlet.write(self.told(discussion, frames, seen))

    def told(self, discussion: str, frames: bytes, seen: int = 0) -> bytes:
        """The same, for whoever writes it."""
        self._spoke_at = asyncio.get_running_loop().time()
        whole = of(discussion) + frames
        if seen > self._seen[discussion]:
            self._seen[discussion] = seen
            whole += self._id()
        return whole

    def finish(self, discussion: str) -> None:
        """Nothing more will come of it; the connection ends with the last one."""
        self._open.discard(discussion)
        if not self._open:
            self._outlet.end(Ending.FINISHED)

    def dismiss(self, why: Ending) -> None:
        """One of them cannot be served: come back for all."""
        self._outlet.end(why)

    def tick(self, now: float) -> None:
        """Time has passed, as each of the hubs says."""
        if now - self._spoke_at > hub.HEARTBEAT - hub.SWEEP:
            self._spoke_at = now
            self._outlet.write(HEARTBEAT)
        self._outlet.check(now)

    def _id(self) -> bytes:
        # A frame of its own: the facts' frames are made once for all viewers.
        cursor = ",".join(f"{one}:{version}" for one, version in self._seen.items())
        return b"id: %b\n\n" % cursor.encode()


class Part:
    """One of the discussions; see hub.Watcher."""

    def __init__(self, together: Together, discussion: str) -> None:
        self._together = together
        self._discussion = discussion

    def offer(self, batch: Batch) -> None:
        versions = [item.version for item in batch.items if isinstance(item, Fact)]
        self._together.tell(self._discussion, batch.plain, max(versions, default=0))

    def over(self, state: DiscussionState) -> None:
        self._together.tell(self._discussion, event_frame("end", {"state": state}))
        self._together.finish(self._discussion)

    def dismiss(self, why: Ending) -> None:
        self._together.dismiss(why)

    def tick(self, now: float, *, silent: bool) -> None:  # noqa: ARG002 - a watcher's signature
        self._together.tick(now)


async def follow(call: Call) -> web.StreamResponse:
    """Follow several discussions."""
    check_accepted(call.request)
    wanted = _wanted(call)
    hubs = call.tools.hubs
    if hubs.stopping or not call.tools.turnstile.admits(call.who.token):
        return await come_back(call.request)
    watched: dict[str, Hub] = {}
    try:
        for discussion in wanted:
            try:
                watched[discussion] = await hubs.get(call.workspace, discussion)
            except NotFound:
                continue  # it is named as missing
            except (Unavailable, Unreachable, TimedOut):
                return await come_back(call.request)
        seen = {one: await known(heard, wanted[one]) for one, heard in watched.items()}
        if all(has_seen_all(heard, seen[one]) for one, heard in watched.items()):
            return web.Response(status=204)
        return await _show(call, watched, seen, missing=wanted.keys() - watched.keys())
    finally:
        for discussion in watched:
            hubs.release(call.workspace, discussion)


def _wanted(call: Call) -> dict[str, int]:
    """How far each has come: as the reader says that comes back, else as the address does."""
    asked = call.query(FollowQuery).wanted()
    back = cursors(call.request.headers.get("Last-Event-ID", "")) or {}
    return asked | {one: version for one, version in back.items() if one in asked}


async def _show(
    call: Call, watched: Mapping[str, Hub], seen: Mapping[str, int | None], *, missing: set[str]
) -> web.StreamResponse:
    response = await begin(call.request)
    with Seat(call, response) as outlet:
        together = Together(outlet, {one: after or 0 for one, after in seen.items()})
        parts = {one: Part(together, one) for one in watched}
        try:
            for one in missing:
                outlet.write(of(one) + event_frame("missing", {}))
            for one, watching in watched.items():
                if outlet.ended:
                    break
                await _seat(watching, one, seen[one], together, parts[one], outlet, response)
            ENDED.labels(await outlet.wait()).inc()
        finally:
            for one, watching in watched.items():
                watching.leave(parts[one])
    return response


async def _seat(
    watching: Hub,
    discussion: str,
    after: int | None,
    together: Together,
    part: Part,
    outlet: Outlet,
    response: web.StreamResponse,
) -> None:
    if has_seen_all(watching, after):
        together.finish(discussion)
        return
    if after is None:
        together.tell(discussion, RESYNC)
    at = await bring(watching, after or 0, outlet, response, prefix=of(discussion))
    if outlet.ended:
        return
    frames = b"".join([item.frame for item in watching.join(part, at)])
    outlet.replay(together.told(discussion, frames, watching.feed.version))
    settle(watching, part)


def of(discussion: str) -> bytes:
    """What comes next is of this discussion."""
    return event_frame("discussion", {"discussion": discussion})
