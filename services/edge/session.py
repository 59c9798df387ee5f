"""A browser's session: EventSource cannot send a bearer token, so the token becomes a cookie.

The cookie does not hold the token, only its hash, a day to end on and our own signature over both:
no replica keeps anything, and a token that is revoked ends its sessions too. As any other page
could make a browser send a cookie, what changes something must come from our own pages.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Struct

from contracts.failures import Forbidden, Unauthenticated
from contracts.keys import Role
from services.edge.problems import Misdirected

COOKIE = "parley_session"
LASTS = 7 * 24 * 3600
"""Seconds."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class SessionAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asking."""

    workspace: str
    role: Role
    label: str = ""
    token: str = ""
    """Id of the token, not the token."""


class Sessions:
    """Signs and reads session cookies."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def cookie_for(self, token_hash: bytes) -> str:
        """The value of a new session's cookie."""
        until = int(self._clock() + LASTS).to_bytes(8, "big")
        told = token_hash + until
        return base64.urlsafe_b64encode(told + self._signature(told)).decode()

    def opened_by(self, request: web.BaseRequest) -> bytes:
        """Hash of the token that the request's session was opened with."""
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            raise Unauthenticated("This needs an access token.")
        token_hash = self.read(cookie)
        if request.method not in SAFE:
            check_origin(request, needed=True)
        return token_hash

    def read(self, cookie: str) -> bytes:
        """The token's hash, if the cookie is ours and not over."""
        try:
            whole = base64.urlsafe_b64decode(cookie.encode("ascii", "replace"))
        except (binascii.Error, ValueError):
            whole = b""
        told, signature = whole[:-32], whole[-32:]
        good = len(told) == 40 and hmac.compare_digest(signature, self._signature(told))
        if not good or int.from_bytes(told[32:], "big") <= self._clock():
            raise Unauthenticated(
                "This session is over.", next_step="Open the link with the token again."
            )
        return told[:32]

    def _signature(self, told: bytes) -> bytes:
        return hmac.digest(self._key, b"session.v1" + told, "sha256")


# --- Where a browser's request comes from -----------------------------------------------------


def check_origin(request: web.BaseRequest, *, needed: bool) -> None:
    """The page that makes this request must be one of ours."""
    origin = request.headers.get("Origin")
    if origin is None:
        if needed and request.headers.get("Sec-Fetch-Site") != "same-origin":
            raise Forbidden(
                "With a session cookie, a request that changes something must name its origin.",
                next_step="Send it from Parley's own page, or use a bearer token.",
            )
        return
    if urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
        raise Forbidden(
            "This request comes from a page that is not Parley's.",
            next_step="Send it from Parley's own page, or use a bearer token.",
        )


_PORT = re.compile(r"\d{1,5}\Z", re.ASCII)
_LABELS = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z", re.ASCII)


def check_host(request: web.BaseRequest, allowed: frozenset[str]) -> None:
    """The name we are called by must be ours.

    A stranger's name may be made to point here (DNS rebinding), and his page would then count as
    ours. An address cannot, nor a name without a dot, which no stranger can register.
    """
    given = request.headers.getall("Host", [])
    name = host_name(given[0]) if len(given) == 1 else None
    if name is None or (request.host != given[0] and host_name(request.host) != name):
        raise Misdirected(
            "The request must name one host.", next_step="Send one Host header, without user names."
        )
    if not (is_address(name) or "." not in name or name.endswith(".localhost") or name in allowed):
        raise Misdirected(
            "Parley is not known by this name.",
            next_step="Add the name to PARLEY_HOSTS, or call Parley by its address.",
        )


def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case; None if it is none."""
    host = host.lower()
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":") if bracket else "?"
    else:
        name, colon, port = host.partition(":")
        port = port if colon else ""
    if port and _PORT.match(port) is None:
        return None
    return name if is_address(name) or _LABELS.match(name) else None


def is_address(name: str) -> bool:
    """Whether it is an IP address in its usual form."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
