"""What travels on the bus: one message with its headers, read only when somebody looks at them.

Header names and values are cleaned on the way out, so that nothing in them can end a line of the
protocol and begin another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from contracts.ids import BadToken

_VERSION: Final = b"NATS/1.0"
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_PART = r"[!-)+-\-/-=?-~]+"  # visible ASCII without `.`, `*`, `>`
_SUBJECT = re.compile(rf"{_PART}(?:\.{_PART})*\Z", re.ASCII)
_PATTERN_PART = rf"(?:{_PART}|\*)"
_PATTERN = re.compile(rf"{_PATTERN_PART}(?:\.{_PATTERN_PART})*(?:\.>)?\Z|>\Z", re.ASCII)
_LONGEST = 1024  # the server reads control lines of 4,096 bytes at most; a reply stands there too


class Message:
    """A message as it came."""

    __slots__ = ("_headers", "_raw_headers", "data", "reply", "subject")

    def __init__(
        self, subject: str, data: bytes, reply: str = "", raw_headers: bytes | None = None
    ) -> None:
        self.subject = subject
        self.data = data
        self.reply = reply
        """Subject on which an answer is expected; empty for none."""
        self._raw_headers = raw_headers
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """By the name as it was sent; the last value of a repeated one."""
        if self._headers is None:
            self._headers = read_headers(self._raw_headers) if self._raw_headers else {}
        return self._headers

    @property
    def status(self) -> int:
        """What the server itself says with it, e.g. 503 for no responders; 0 otherwise."""
        raw = self._raw_headers
        if raw is None or raw[8:9] != b" ":
            return 0
        code = raw[9:12]
        return int(code) if code.isdigit() else 0

    @property
    def status_text(self) -> str:
        """The words after the status, e.g. `Message Size Exceeds MaxBytes`."""
        raw = self._raw_headers
        return raw[12 : raw.find(b"\r\n")].decode("utf-8", "replace").strip() if raw else ""


def read_headers(raw: bytes) -> dict[str, str]:
    """Headers of a block that starts with `NATS/1.0`; what is not one is passed over.

    nats-py 2.16 loses the headers that come with a status line, so we read them here.
    """
    found: dict[str, str] = {}
    for line in raw.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon and name:
            found[name.decode("utf-8", "replace")] = value.strip().decode("utf-8", "replace")
    return found


def write_headers(headers: Mapping[str, str]) -> bytes:
    """The block for the wire. Names must be plain tokens; values lose control characters."""
    lines = [_VERSION]
    for name, value in headers.items():
        if _NAME.match(name) is None:
            raise ValueError(f"{name[:80]!r} may not be the name of a header")
        clean = _CONTROL.sub(" ", value).strip()
        lines.append(f"{name}: {clean}".encode("utf-8", "replace"))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def checked_subject(subject: str) -> str:
    """`subject` if it may be published to: no wildcard, space, control character, empty token.

    The server itself would take `parley.*` in a publish.
    """
    if len(subject) > _LONGEST or _SUBJECT.match(subject) is None:
        raise BadToken(subject)
    return subject


def checked_pattern(pattern: str) -> str:
    """`pattern` if it may be subscribed to: like a subject, with whole-token wildcards."""
    if len(pattern) > _LONGEST or _PATTERN.match(pattern) is None:
        raise BadToken(pattern)
    return pattern
