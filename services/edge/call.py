"""One request on its way through the edge: who asks, for what, with which body."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pydantic
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from contracts.failures import MalformedRequest, NotFound, Unauthenticated
from contracts.ids import is_id
from contracts.keys import Identity, Role
from services.edge.problems import HttpRefused, TooLarge, TooSlow, UnsupportedType
from services.edge.tools import Tools

BODY = 4 << 20
"""Bytes of a body at most; past that 413."""

IDLE = 10.0
"""Seconds in which something more of a body must come."""

WHOLE = 120.0
"""Seconds for all of it."""

_KEY = re.compile(r"[!-~]{1,255}\Z", re.ASCII)

B = TypeVar("B", bound=pydantic.BaseModel)


class Unreadable(HttpRefused, MalformedRequest):
    """The body breaks HTTP's own rules; nothing more can be read from this connection."""

    closes = True


Answer = Callable[["Call"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table: everything that is known of an address before anybody calls it."""

    method: str
    path: str
    """`{name}` is one segment, `{name...}` all that follow."""
    answer: Answer
    roles: frozenset[Role] | None
    """Who may; None: anybody, without a token."""
    summary: str
    tag: str
    body: type[pydantic.BaseModel] | None = None
    query: type[pydantic.BaseModel] | None = None
    gives: Any = None
    """Type of the answer, for the description."""
    status: int = 200
    media: str = "application/json"
    idempotent: bool = False
    """Takes an Idempotency-Key."""


@dataclass(slots=True)
class Call:
    """A request, matched and allowed."""

    request: web.BaseRequest
    tools: Tools
    route: Route
    segments: dict[str, str]
    identity: Identity | None = None
    raw: bytes = field(default=b"", repr=False)

    # --- Who --------------------------------------------------------------------------------

    @property
    def who(self) -> Identity:
        """Whose token it is; only routes with roles may ask."""
        if self.identity is None:
            raise Unauthenticated
        return self.identity

    @property
    def workspace(self) -> str:
        return self.who.workspace

    # --- What -------------------------------------------------------------------------------

    def id(self, name: str, what: str) -> str:
        """An id in the path; anything else is a thing that does not exist."""
        value = self.segments[name]
        if not is_id(value):
            raise NotFound(
                f"There is no {what} with this id.",
                next_step=f"GET /api/v1/{what}s lists those there are.",
            )
        return value

    async def body(self, model: type[B]) -> B:
        """The body, checked; Invalid, MalformedRequest, TooLarge or TooSlow otherwise."""
        assert self.route.body is model, "the table describes another body than is read"
        headers = self.request.headers
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedType(
                "Compressed bodies are not taken.", next_step="Send the body as it is."
            )
        kind, charset = self.request.content_type, self.request.charset or "utf-8"
        if "Content-Type" not in headers or not _is_json(kind) or charset.lower() != "utf-8":
            raise UnsupportedType(
                "The body must be JSON in UTF-8.",
                next_step="Send Content-Type: application/json.",
            )
        self.raw = await read(self.request)
        _refuse_doubles(self.raw)
        return model.model_validate_json(self.raw)

    def query(self, model: type[B]) -> B:
        """The query's parameters, checked."""
        assert self.route.query is model, "the table describes another query than is read"
        told = self.request.query
        for name in told:
            if len(told.getall(name)) > 1:
                raise MalformedRequest(
                    f"The parameter {name[:40]!r} is given twice.", next_step="Give it once."
                )
        return model.model_validate({**told}, strict=False)

    def idempotency_key(self) -> str:
        """The Idempotency-Key header, or an empty string."""
        keys = self.request.headers.getall("Idempotency-Key", [])
        if not keys:
            return ""
        if len(keys) > 1 or _KEY.match(keys[0]) is None:
            raise MalformedRequest(
                "An Idempotency-Key is 1 to 255 visible ASCII characters.",
                next_step="Use a fresh UUID for each thing you want done.",
            )
        return keys[0]

    def body_hmac(self) -> bytes:
        """Tells the same body from another, and tells nothing of the body."""
        scope = f"{self.workspace}\n{self.route.method} {self.route.path}\n".encode()
        return hmac.digest(self.tools.secrets.bodies, scope + self.raw, "sha256")


async def read(request: web.BaseRequest) -> bytes:
    """The whole body, which is small and comes in time."""
    declared = request.content_length
    if declared is not None and declared > BODY:
        raise _too_large()
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    pieces: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    due = loop.time() + WHOLE
    try:
        while not request.content.at_eof():
            async with asyncio.timeout(min(IDLE, due - loop.time())):
                piece = await request.content.readany()
            size += len(piece)
            if size > BODY:
                raise _too_large()
            pieces.append(piece)
    except TimeoutError as error:
        raise TooSlow("The body of the request stopped coming.") from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise Unreadable(
            "The body does not end where its head says that it ends.",
            next_step="Let an HTTP library set Content-Length or Transfer-Encoding.",
        ) from error
    return b"".join(pieces)


def _too_large() -> TooLarge:
    return TooLarge(
        f"A body may have {BODY >> 20} MiB at most.",
        next_step="Send less at once; a long text can be shortened before it is discussed.",
    )


def _is_json(kind: str) -> bool:
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _refuse_doubles(raw: bytes) -> None:
    """A name twice in one object: which one counts differs from reader to reader."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            double = next(name for name in names if names.count(name) > 1)
            raise MalformedRequest(
                f"The name {double[:40]!r} stands twice in one object.",
                next_step="Keep one of the two.",
            )
        return found

    try:
        json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(
            "The body is not JSON.", next_step="Send one JSON document in UTF-8."
        ) from error


# --- Answers ----------------------------------------------------------------------------------


def plain(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`value` as JSON."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers=headers,
    )
