"""Who speaks when: each mode is a pure function from what has been said to what happens next.

`single` and `parallel` differ only in how many take part: everybody speaks once, at the same
time, not seeing each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contracts.discussion import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One turn, as a mode sees it."""

    turn: str
    participant: int
    ended: bool
    completed: bool


@dataclass(frozen=True, slots=True)
class Speak:
    """These participants speak next, at the same time."""

    participants: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listen:
    """Somebody is still speaking, or waits to."""


@dataclass(frozen=True, slots=True)
class Finish:
    """It is done; these turns failed, others completed."""

    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nobody completed a turn."""


Next = Speak | Listen | Finish | Abandon
Process = Callable[[int, Sequence[Seat]], Next]


def everyone_once(participants: int, seats: Sequence[Seat]) -> Next:
    """All speak at once; it ends when the last has ended."""
    if not seats:
        return Speak(tuple(range(participants)))
    if not all(seat.ended for seat in seats):
        return Listen()
    if any(seat.completed for seat in seats):
        return Finish(tuple(seat.turn for seat in seats if not seat.completed))
    return Abandon()


PROCESSES: Mapping[Mode, Process] = {
    Mode.SINGLE: everyone_once,
    Mode.PARALLEL: everyone_once,
}
