"""What became known of a discussion within one turn of the loop, in bytes made once for all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from services.edge.feed import Output
from services.edge.frames import chunked


class Batch:
    """Some of a feed's output, in its order."""

    def __init__(self, items: Sequence[Output]) -> None:
        self.items = items

    @cached_property
    def plain(self) -> bytes:
        """All frames, one after the other."""
        return b"".join([item.frame for item in self.items])

    @cached_property
    def chunk(self) -> bytes:
        """The same as one chunk of a chunked body."""
        return chunked(self.plain)
