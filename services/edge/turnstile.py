"""How many streams one token has open, and how quickly it opens them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from prometheus_client import Gauge

STREAMS = 5_000
"""Open streams of one token at most."""

CONNECTS = 100.0
"""Connections a second that one token may make for long; ten times as many at once."""

TOKENS = 10_000

OPEN = Gauge("parley_edge_streams", "Event streams that are open now")


class Turnstile:
    """Counts who comes in and who leaves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, int] = {}
        self._allowance: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, token: str) -> bool:
        """Whether one more may come in now; asking counts as a try."""
        now = self._clock()
        left, at = self._allowance.pop(token, (10 * CONNECTS, now))
        left = min(10 * CONNECTS, left + (now - at) * CONNECTS)
        admitted = left >= 1 and self._open.get(token, 0) < STREAMS
        self._allowance[token] = (left - 1 if admitted else left, now)
        while len(self._allowance) > TOKENS:
            self._allowance.popitem(last=False)
        return admitted

    def enter(self, token: str) -> None:
        """A stream has been opened."""
        self._open[token] = self._open.get(token, 0) + 1
        OPEN.inc()

    def leave(self, token: str) -> None:
        """A stream has ended."""
        self._open[token] -= 1
        if not self._open[token]:
            del self._open[token]
        OPEN.dec()
