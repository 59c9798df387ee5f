"""Bytes in, frames out: server-sent events, or lines, as a provider sends them, whole or in shreds.

Takes what the standard allows (comments, CR, LF and CRLF, a BOM, several data lines, ids and
unknown fields) and whatever the network makes of it: a read may end inside a line, a CRLF or a
character. Lines stay bytes, so a character cut in two is whole again before anybody decodes it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

LINE_LIMIT = 1 << 20
"""Bytes of one line. The longest seen are tool arguments of some hundred KB in one delta."""

FRAME_LIMIT = 4 * LINE_LIMIT
"""Bytes of all data lines of one frame."""

_BOM = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One event of the stream."""

    data: bytes
    """The data lines, joined by LF."""
    event: str = ""
    """Its name, where the provider gave one."""


class FrameTooLong(Exception):
    """A line or frame is longer than any provider has reason to send."""


class Framing(Protocol):
    """How a stream is cut into frames."""

    opens: bytes
    """What a stream may begin with. A whole document begins with `{` or `[`, HTML with `<`."""

    def feed(self, read: bytes) -> list[Frame]:
        """The frames completed by these bytes, in order."""
        ...

    def close(self) -> list[Frame]:
        """What the end of the stream left without an end of its own."""
        ...


class Lines:
    """One JSON document a line (NDJSON), as Ollama streams."""

    opens = b"{"

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._tail_size = 0

    def feed(self, read: bytes) -> list[Frame]:
        """The lines completed by these bytes, in order; empty ones say nothing."""
        first, *more = read.split(b"\n")
        self._tail.append(first)
        self._tail_size += len(first)
        if self._tail_size > LINE_LIMIT:
            raise FrameTooLong(f"a line is longer than {LINE_LIMIT} bytes")
        if not more:
            return []
        lines = [b"".join(self._tail), *more[:-1]]
        self._tail = [more[-1]]
        self._tail_size = len(more[-1])
        return [Frame(line) for line in map(bytes.strip, lines) if line]

    def close(self) -> list[Frame]:
        """The last line, if it has no end: JSON that was cut short cannot be mistaken for whole."""
        line = b"".join(self._tail).strip()
        self._tail = []
        return [Frame(line)] if line else []


class Frames:
    """Server-sent events. Feed it what arrives, in any pieces; it returns the frames made whole."""

    opens = b":deir"
    """A comment, or the first letter of `data`, `event`, `id` or `retry`."""

    def __init__(self) -> None:
        self._begun = False
        self._after_cr = False
        self._head = b""
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = ""

    def feed(self, read: bytes) -> list[Frame]:
        """The frames completed by these bytes, in order."""
        if not self._begun:
            read = self._without_bom(read)
        if self._after_cr or b"\r" in read:
            read = self._with_plain_line_ends(read)
        lines = read.split(b"\n")
        rest = lines.pop()
        if lines and self._tail:
            self._tail.append(lines[0])
            lines[0] = b"".join(self._tail)
            self._tail.clear()
            self._tail_size = 0
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
            if self._tail_size > LINE_LIMIT:
                raise FrameTooLong(f"a line is longer than {LINE_LIMIT} bytes")
        return self._frames(lines) if lines else []

    def close(self) -> list[Frame]:
        """The frame that the end of the stream left without its blank line, if there is one.

        The standard drops it. We hand it over: some servers forget the last line end, and JSON
        that was cut short cannot be mistaken for whole JSON.
        """
        read, self._head = self._head, b""
        line = b"".join([*self._tail, read])
        self._tail.clear()
        return self._frames([line, b""])

    def _frames(self, lines: list[bytes]) -> list[Frame]:
        frames: list[Frame] = []
        for line in lines:
            if not line:
                if self._data:
                    data = self._data
                    whole = data[0] if len(data) == 1 else b"\n".join(data)
                    frames.append(Frame(whole, self._event))
                    self._data = []
                    self._data_size = 0
                self._event = ""
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
                self._data_size += len(line)
                if len(line) > LINE_LIMIT or self._data_size > FRAME_LIMIT:
                    raise FrameTooLong(f"a frame is longer than {FRAME_LIMIT} bytes")
            else:
                self._other(line)
        return frames

    def _other(self, line: bytes) -> None:
        """A comment, or a field that is rare here."""
        name, _, value = line.partition(b":")
        if name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name == b"data":  # the name alone: an empty data line
            self._data.append(b"")

    def _without_bom(self, read: bytes) -> bytes:
        read = self._head + read
        if len(read) < len(_BOM) and _BOM.startswith(read):
            self._head = read
            return b""
        self._head = b""
        self._begun = True
        return read.removeprefix(_BOM)

    def _with_plain_line_ends(self, read: bytes) -> bytes:
        """Every line end as LF. A CR ends its line at once; an LF that follows belongs to it."""
        if not read:
            return read
        if self._after_cr and read.startswith(b"\n"):
            read = read[1:]
            self._after_cr = False
            if not read:
                return read
        self._after_cr = read.endswith(b"\r")
        return read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
