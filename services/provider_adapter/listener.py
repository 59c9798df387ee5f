"""From the bytes of an answer to what they say: frames if it is a stream, one document if the
provider sent it whole, neither if something else than the provider answered.
"""

from __future__ import annotations

import contextlib
from typing import Final, Protocol

from services.provider_adapter.answer import Answer, Piece, Told, Unreadable
from services.provider_adapter.wire import Frame, FrameTooLong, Framing

LONGEST_ANSWER: Final = 3_000_000
"""Characters. More cannot be one message on the bus."""

LONGEST_DOCUMENT: Final = 16 * 1024 * 1024
"""Bytes of an answer that comes in one piece."""


class Interrupted(Exception):
    """The provider itself said, in the middle of a 200, that it failed."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.message)
        self.told = told


class Foreign(Exception):
    """This is no answer in the provider's dialect; its first bytes are kept as evidence."""

    def __init__(self, body: bytes, why: str = "") -> None:
        super().__init__(why)
        self.body = body


class TooLarge(Exception):
    """The answer is larger than a message on the bus can be."""


class Hears(Protocol):
    """The part of a dialect that is needed here."""

    def framing(self) -> Framing:
        """How its streams are cut into frames."""
        ...

    def from_wire(self, frame: Frame) -> Piece | None:
        """What a frame says."""
        ...

    def from_whole(self, body: bytes) -> Piece:
        """What a whole document says."""
        ...


class Listener:
    """Collects one answer. Raises Interrupted, Foreign, Unreadable or TooLarge."""

    def __init__(self, speech: Hears, prefix: str = "") -> None:
        """`prefix`: how the answer begins, said by an attempt before this one."""
        self.answer = Answer(prefix)
        self.over = False
        """The provider said that nothing follows."""
        self._speech = speech
        self._frames = speech.framing()
        self._frames_read = 0
        self._first = b""
        self._sniffing = True
        self._document: list[bytes] | None = None
        self._document_size = 0

    def feed(self, read: bytes) -> bool:
        """Take what arrived. True if it brought the answer on; comments do not."""
        if self._sniffing:
            read = self._sniff(read)
        if self._document is not None:
            self._document.append(read)
            self._document_size += len(read)
            if self._document_size > LONGEST_DOCUMENT:
                raise TooLarge
            return False
        try:
            progress = self._take(self._frames.feed(read))
        except FrameTooLong as error:
            raise Unreadable(str(error)) from error
        if self.answer.size > LONGEST_ANSWER:
            raise TooLarge
        return progress

    def close(self) -> None:
        """The end of the bytes."""
        if self.over:
            self.answer.close()
            return
        if self._document is not None:
            body = b"".join(self._document)
            try:
                piece = self._speech.from_whole(body)
            except Unreadable as error:
                raise Foreign(body, str(error)) from error
            self._add(piece)
        else:
            with contextlib.suppress(Unreadable):  # the last frame was cut short
                self._take(self._frames.close())
            if self._frames_read == 0 and not self._began_like_a_stream():
                raise Foreign(self._first)
        self.answer.close()

    def _sniff(self, read: bytes) -> bytes:
        """The first letter tells what this is, whatever its content type promises.

        DeepSeek sends empty lines to keep a line open before a whole document.
        """
        self._first += read
        start = self._first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if not start:
            return read
        self._sniffing = False
        if start in b"{[" and start not in self._frames.opens:
            self._document = []
            return self._first
        if start == b"<":
            raise Foreign(self._first)
        return read

    def _began_like_a_stream(self) -> bool:
        """Empty, or with a letter that a stream may begin with."""
        return self._first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in self._frames.opens

    def _take(self, frames: list[Frame]) -> bool:
        progress = False
        for frame in frames:
            piece = self._speech.from_wire(frame)
            self._frames_read += 1
            if piece is not None and not self.over:
                progress = self._add(piece) or progress
        return progress

    def _add(self, piece: Piece) -> bool:
        if piece.error is not None:
            if self.answer.finish_reason:
                return False  # the answer was whole before
            raise Interrupted(piece.error)
        self.over = piece.last
        return self.answer.take(piece)
