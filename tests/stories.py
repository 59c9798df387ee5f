"""Discussions that might have happened, as they travel on the bus, and what a hub makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from hypothesis import strategies as st

from contracts.stream import ChunkKind, StreamChunk
from services.edge.feed import Feed, Output


@dataclass(frozen=True)
class Story:
    """Facts by version, and the live text of each attempt; both as they are published."""

    facts: list[tuple[int, str, bytes]]
    chunks: list[tuple[StreamChunk, bytes]]
    texts: dict[str, str]

    def published(self) -> list[tuple[str, int]]:
        """Names of everything that travels on the bus."""
        return [("fact", at) for at in range(len(self.facts))] + [
            ("chunk", at) for at in range(len(self.chunks))
        ]


pieces = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Two turns side by side; the first may be restarted once."""
    said: list[tuple[str, dict[str, str]]] = [("DiscussionOpened", {})]
    chunks: list[tuple[StreamChunk, bytes]] = []
    texts: dict[str, str] = {}
    restarted = draw(st.booleans())
    attempts = [("t1", "a1"), ("t2", "b1")]
    for turn, attempt in attempts:
        said += [("TurnScheduled", {"turn": turn})]
        said += [("AttemptStarted", {"turn": turn, "attempt": attempt})]
    if restarted:
        said += [
            ("AttemptFailed", {"turn": "t1", "attempt": "a1"}),
            ("TurnRestarted", {"turn": "t1", "attempt": "a1"}),
            ("AttemptStarted", {"turn": "t1", "attempt": "a2"}),
        ]
        attempts.append(("t1", "a2"))
    for turn, attempt in attempts:
        offset = 0
        for piece in draw(pieces):
            chunk = StreamChunk(
                turn=turn, attempt=attempt, kind=ChunkKind.TEXT, offset=offset, text=piece
            )
            chunks.append((chunk, msgspec.json.encode(chunk)))
            offset += len(piece)
            texts[attempt] = texts.get(attempt, "") + piece
    for turn, attempt in (("t1", "a2" if restarted else "a1"), ("t2", "b1")):
        said.append(("TurnCompleted", {"turn": turn, "attempt": attempt, "text": texts[attempt]}))
    said.append(("DiscussionCompleted", {}))
    facts = [(at, name, msgspec.json.encode(data)) for at, (name, data) in enumerate(said, 1)]
    return Story(facts, chunks, texts)


def feed_all(feed: Feed, story: Story, order: Iterable[tuple[str, int]]) -> list[Output]:
    out: list[Output] = []
    for kind, at in order:
        if kind == "fact":
            out += feed.fact(*story.facts[at])
        else:
            out += feed.chunk(*story.chunks[at])
    return out


def refill(feed: Feed, story: Story) -> list[Output]:
    """What the hub does when something is missing: the log, then the stored text."""
    out: list[Output] = []
    for fact in story.facts[feed.version :]:
        out += feed.fact(*fact)
    for attempt in feed.lacks_text:
        for chunk, payload in story.chunks:
            if chunk.attempt == attempt:
                out += feed.chunk(chunk, payload)
    return out
