"""A discussion that is over, played once more from its log: at its own pace, but faster.

No provider is asked for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from datetime import datetime, timedelta

import msgspec
from rich.console import Console

from local.api import Sent
from local.telling import Watching

LONGEST = timedelta(seconds=40)
"""What a replay takes at most, about."""
PAUSE = timedelta(seconds=1.5)
"""At most, between two facts."""


class _Dated(msgspec.Struct, frozen=True):
    at: datetime | None = None


def pauses(times: Sequence[datetime | None], speed: float = 1.0) -> list[float]:
    """Seconds to wait before each fact, from when they happened; `speed` 2: twice as fast.

    What has no time of its own comes with the one before it.
    """
    gaps: list[timedelta] = []
    last: datetime | None = None
    for at in times:
        gaps.append(max(at - last, timedelta()) if at and last else timedelta())
        last = at or last
    shortened = [min(gap, 4 * PAUSE) for gap in gaps]
    whole = sum(shortened, timedelta())
    pace = min(1.0, LONGEST / whole) if whole else 1.0
    return [min(gap * pace, PAUSE) / timedelta(seconds=speed) for gap in shortened]


async def replay(stream: AsyncIterable[Sent], console: Console, speed: float) -> None:
    """Hear all of it, then tell it in its own rhythm."""
    facts = [sent async for sent in stream if sent.name not in {"lost", "resync"}]
    times = [msgspec.json.decode(sent.data, type=_Dated).at for sent in facts]
    watching = Watching()
    for sent, pause in zip(facts, pauses(times, speed), strict=True):
        await asyncio.sleep(pause)
        for told in watching.see(sent):
            console.print(told)
