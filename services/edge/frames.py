"""What is written into a stream of server-sent events, byte by byte.

A frame is lines up to an empty one. Whoever could bring a line break into one could forge the
next, so an id is a number, an event name is one token, and the data is JSON in a single line:
inside JSON a line break, a NUL or a carriage return of a model's text is always escaped.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z", re.ASCII)

CONNECTED = b": connected\n\n"
"""First bytes of every stream, so that proxies pass the head on at once."""

HEARTBEAT = b": hb\n\n"

RESYNC = b"event: resync\ndata: {}\n\n"
"""The id that the reader came with means nothing here: what it holds is to be dropped."""


def fact_frame(version: int, name: str, data: bytes) -> bytes:
    """A fact of the discussion; its version is what a reader comes back with."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (version, _name(name), one_line(data))


def live_frame(payload: bytes) -> bytes:
    """Live text, as the adapter published it. No id: it is a preview, the facts are the truth."""
    return b"event: StreamChunk\ndata: %b\n\n" % one_line(payload)


def event_frame(name: str, data: dict[str, Any]) -> bytes:
    """Something said by the edge itself: a snapshot, the end."""
    return b"event: %b\ndata: %b\n\n" % (_name(name), msgspec.json.encode(data))


def retry_frame(milliseconds: int) -> bytes:
    """How long the reader is to wait before it comes back."""
    return b"retry: %d\n\n" % milliseconds


def one_line(data: bytes) -> bytes:
    """`data`, which is JSON, without line breaks between its tokens."""
    if b"\n" in data or b"\r" in data:
        return msgspec.json.encode(msgspec.json.decode(data))
    return data


def _name(name: str) -> bytes:
    if _NAME.match(name) is None:
        raise ValueError(f"{name[:80]!r} is no event name")
    return name.encode()


def chunked(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body; nothing for nothing, as an empty one ends it."""
    if not data:
        return b""
    return b"%x\r\n%b\r\n" % (len(data), data)
