"""Names for things: time-ordered ids, and the one check every subject token passes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z", re.ASCII)
"""One token of a subject. No dot, star, `>`, space or control character can pass: nats-py
below 2.16 let a CR LF in a subject inject protocol lines, and a `*` would widen a subject."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

RANDOM_BYTES = 10
"""Bytes of dice that one id takes."""


class BadToken(ValueError):
    """A name that may not stand in a subject: letters, digits, `-` and `_`, 64 at most."""

    def __init__(self, value: str) -> None:
        super().__init__(f"{value[:80]!r} may not become part of a subject")
        self.value = value


def token(value: str) -> str:
    """`value` itself if it may stand in a subject, otherwise BadToken."""
    if TOKEN.match(value) is None:
        raise BadToken(value)
    return value


def uuid7(at: datetime, dice: bytes) -> str:
    """A UUIDv7 (RFC 9562 §5.7) as text: `at` in milliseconds, then 74 random bits.

    `dice` must be 10 random bytes; the same arguments give the same id.
    """
    if len(dice) != RANDOM_BYTES:
        raise ValueError(f"uuid7 takes {RANDOM_BYTES} bytes of dice, got {len(dice)}")
    milliseconds = (at - _EPOCH) // _MILLISECOND  # whole numbers: a float is off by one at times
    bits = milliseconds << 80 | int.from_bytes(dice, "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=bits))


def is_id(value: str) -> bool:
    """Whether `value` is an id in the one form that we write: a lower-case UUID."""
    try:
        return str(UUID(value)) == value
    except ValueError:
        return False
