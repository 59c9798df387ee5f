"""What running turns have said so far, for whoever reads a discussion without following it.

The log has a turn's text only once it has ended. Until then it is in the hub of the discussion, if
somebody watches it here, and otherwise in the stream of live text; if neither can be had, nothing
is said of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from contracts.discussion import DiscussionView, TurnState, TurnView
from contracts.failures import TimedOut, Unreachable
from contracts.stream import ChunkKind, StreamChunk
from contracts.subjects import chunk_subject
from services.edge.hub import Hub, Hubs
from shared.bus import Bus

WITHIN = timedelta(seconds=1)
"""It is a preview: nobody waits long for it."""

_chunk = msgspec.json.Decoder(StreamChunk)

Said = Mapping[ChunkKind, str]


async def with_live_text(
    view: DiscussionView, *, bus: Bus, hubs: Hubs, workspace: str
) -> DiscussionView:
    """The view, with the text of the turns that are being answered now."""
    running = [turn for turn in view.turns if turn.state is TurnState.RUNNING and turn.attempt]
    if not running:
        return view
    hub = hubs.here(workspace, view.id)
    said = await asyncio.gather(
        *(
            _said(turn, hub, bus, chunk_subject(workspace, view.id, turn.attempt))
            for turn in running
        )
    )
    told = {turn.id: _told(turn, text) for turn, text in zip(running, said, strict=True)}
    return replace(view, turns=[told.get(turn.id, turn) for turn in view.turns])


async def _said(turn: TurnView, hub: Hub | None, bus: Bus, subject: str) -> Said:
    if hub is not None and (here := hub.feed.said(turn.attempt)) is not None:
        return here
    try:
        stored = await bus.stored_chunks(subject, within=WITHIN)
    except (Unreachable, TimedOut):
        return {}
    return put_together([_chunk.decode(one.data) for one in stored], before=turn.text)


def put_together(chunks: Iterable[StreamChunk], *, before: str = "") -> Said:
    """The text of each kind, up to the first hole in it.

    A resumed attempt goes on where the one `before` it broke off.
    """
    said: dict[ChunkKind, str] = {}
    for chunk in chunks:
        resumed = before[: chunk.offset] if chunk.kind is ChunkKind.TEXT else ""
        known = said.get(chunk.kind, resumed)
        if chunk.offset <= len(known):
            said[chunk.kind] = known + chunk.text[len(known) - chunk.offset :]
    return said


def _told(turn: TurnView, said: Said) -> TurnView:
    return replace(
        turn,
        text=said.get(ChunkKind.TEXT, "") or turn.text,
        reasoning=said.get(ChunkKind.REASONING, "") or turn.reasoning,
    )
