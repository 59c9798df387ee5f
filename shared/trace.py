"""A thread through the services: one name for everything that a single request sets in motion.

It is carried beside each message, never inside, and stands in every line of the log.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from structlog.contextvars import bound_contextvars

CORRELATION: Final = "Correlation-Id"
TRACEPARENT: Final = "traceparent"

_correlation: ContextVar[str] = ContextVar("correlation", default="")
_traceparent: ContextVar[str] = ContextVar("traceparent", default="")

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", re.ASCII)
_W3C = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


def correlation() -> str:
    """Name of the thread that we are on; empty outside of one."""
    return _correlation.get()


def outgoing() -> dict[str, str]:
    """Headers that carry the thread on; a new one is begun where there is none."""
    headers = {CORRELATION: _correlation.get() or secrets.token_hex(8)}
    if parent := _traceparent.get():
        headers[TRACEPARENT] = parent
    return headers


@contextmanager
def following(headers: Mapping[str, str]) -> Generator[str]:
    """Go on with the thread named in `headers`, or begin one; what is malformed is not believed."""
    name = headers.get(CORRELATION, "")
    parent = headers.get(TRACEPARENT, "")
    name = name if _PLAIN.match(name) else secrets.token_hex(8)
    correlated = _correlation.set(name)
    traced = _traceparent.set(parent if _W3C.match(parent) else "")
    try:
        with bound_contextvars(correlation=name):
            yield name
    finally:
        _traceparent.reset(traced)
        _correlation.reset(correlated)
