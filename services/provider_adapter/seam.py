"""Where an answer that broke off is gone on with: what the provider repeats is said only once.

A model that is given the beginning of its answer goes on from there, but now and then it first
says its last words again. Until it is clear whether it does, the new text is held back.
"""

from __future__ import annotations

from typing import Final

TAIL: Final = 200
"""Characters of the beginning that may be repeated."""

SHORTEST: Final = 12
"""Fewer in common are chance: many a sentence begins as another one ends."""


class Seam:
    """Passes on what follows the beginning, without what repeats it."""

    def __init__(self, prefix: str) -> None:
        self._tail = prefix[-TAIL:]
        self._held = ""
        self._open = len(self._tail) >= SHORTEST
        self.dropped = 0
        """Characters that were said before."""

    def take(self, text: str) -> str:
        """What of `text`, and of what was held back, is new."""
        if not self._open:
            return text
        self._held += text
        if may_repeat(self._tail, self._held):
            return ""
        return self.close()

    def close(self) -> str:
        """Nothing follows, or enough is known: what was held back, as far as it is new."""
        if not self._open:
            return ""
        self._open = False
        self.dropped = overlap(self._tail, self._held)
        held, self._held = self._held[self.dropped :], ""
        return held


def may_repeat(tail: str, start: str) -> bool:
    """`start` is how some end of `tail` begins, so that more of it may come."""
    return any(
        tail.startswith(start, at) and len(tail) - at > len(start)
        for at in range(len(tail) - SHORTEST + 1)
    )


def overlap(tail: str, start: str) -> int:
    """Characters at the beginning of `start` that are the end of `tail`; 0 for too few."""
    longest = min(len(tail), len(start))
    return next(
        (size for size in range(longest, SHORTEST - 1, -1) if tail.endswith(start[:size])), 0
    )
