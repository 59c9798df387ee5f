"""A page of a log: as many of its facts, words included, as one answer takes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.discussion import HistoryEntry
from contracts.event import Event, name_of
from shared.journal import Recorded

MOST = 1_000
MOST_BYTES = 2 << 20
"""Unless a single event has more: the broker takes 8 MB at most."""


def page(recorded: Sequence[Recorded[Event]], limit: int) -> list[HistoryEntry]:
    """The first of them; one at least, if there is any."""
    shown: list[HistoryEntry] = []
    size = 0
    for each in recorded[: max(1, min(limit, MOST))]:
        size += len(msgspec.json.encode(each.event))
        if shown and size > MOST_BYTES:
            break
        event = msgspec.to_builtins(each.event)
        shown.append(HistoryEntry(version=each.version, event=event, name=name_of(each.event)))
    return shown
