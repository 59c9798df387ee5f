"""Where an answer that broke off is gone on with: what the provider repeats is said only once.

A model that is given the beginning of its answer goes on from there, but now and then it first
says its last words again, and a server that does not know what the beginning is for says all of it
again. Until it is clear whether it does, the new text is held back.
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
        self._prefix = prefix
        self._held = ""
        self._open = len(prefix) >= SHORTEST
        self.dropped = 0
        """Characters that were said before."""

    def take(self, text: str) -> str:
        """What of `text`, and of what was held back, is new."""
        if not self._open:
            return text
        self._held += text
        if may_repeat(self._prefix, self._held):
            return ""
        return self.close()

    def close(self) -> str:
        """Nothing follows, or enough is known: what was held back, as far as it is new."""
        if not self._open:
            return ""
        self._open = False
        self.dropped = overlap(self._prefix, self._held)
        held, self._held = self._held[self.dropped :], ""
        return held


def may_repeat(prefix: str, start: str) -> bool:
    """`start` may become a repetition, once more of it has come."""
    if len(start) < len(prefix) and prefix.startswith(start):
        return True
    tail = prefix[-TAIL:]
    return any(
        tail.startswith(start, at) and len(tail) - at > len(start)
        for at in range(len(tail) - SHORTEST + 1)
    )


def overlap(prefix: str, start: str) -> int:
    """Characters at the beginning of `start` that were said before: all of `prefix`, or its end."""
    if start.startswith(prefix):
        return len(prefix)
    tail = prefix[-TAIL:]
    longest = min(len(tail), len(start))
    return next(
        (size for size in range(longest, SHORTEST - 1, -1) if tail.endswith(start[:size])), 0
    )
