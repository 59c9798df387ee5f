"""What the stream of live text still has of an answer whose end nobody will tell.

An attempt that died has left nothing else; one that is cancelled is not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from contracts.failures import TimedOut, Unreachable
from contracts.stream import ChunkKind, StreamChunk
from contracts.subjects import chunk_subject
from services.discussion.aggregate import Going, Heard, Running
from services.discussion.store import Loaded
from shared.bus import Bus

SOON = timedelta(seconds=2)
"""A person who cancels does not wait for longer."""

_decode_chunk = msgspec.json.Decoder(StreamChunk)


async def salvaged(bus: Bus, subject: str, prefix: str, *, within: timedelta) -> Heard:
    """The answer from its beginning; `prefix` is what an attempt before this one had said of it."""
    said = dict.fromkeys(ChunkKind, "") | {ChunkKind.TEXT: prefix}
    for stored in await bus.stored_chunks(subject, within=within):
        chunk = _decode_chunk.decode(stored.data)
        have = said[chunk.kind]
        if chunk.offset <= len(have):  # what comes after a gap would not be what was said
            said[chunk.kind] = have[: chunk.offset] + chunk.text
    return Heard(said[ChunkKind.TEXT], said[ChunkKind.REASONING])


async def being_said(bus: Bus, loaded: Loaded, workspace: str) -> Mapping[str, Heard]:
    """Attempt → what it has said so far, of all that run. While the broker is away: nothing, since
    nobody is kept from cancelling.
    """
    turns = loaded.state.turns.values() if isinstance(loaded.state, Going) else ()
    running = {turn.phase.attempt: turn.prefix for turn in turns if isinstance(turn.phase, Running)}
    try:
        found = await asyncio.gather(
            *(
                salvaged(bus, chunk_subject(workspace, loaded.id, attempt), prefix, within=SOON)
                for attempt, prefix in running.items()
            )
        )
    except (Unreachable, TimedOut):
        return {}
    return dict(zip(running, found, strict=True))
