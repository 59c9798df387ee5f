"""The HTTP server itself: what it takes from a stranger before anybody has looked at the request.

A head must be whole within ten seconds and is small; a request that is not HTTP gets a 400 in the
same form as every other refusal. The parser is aiohttp's, strict; nothing is unpacked on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web_protocol import RequestHandler

from contracts.failures import MalformedRequest, Refused
from services.edge import problems

HEAD_WITHIN = 10.0
"""Seconds for the head of a request to be whole, from its first byte or from connecting."""

KEEP_ALIVE = 75.0
LINE = 16 << 10
"""Bytes of the request line, and of one header."""

HEADERS = 100

_log = structlog.stdlib.get_logger("edge.door")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """One client's connection."""

    _head_due: asyncio.TimerHandle | None = None
    _busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._busy:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def request_begins(self) -> None:
        """The head is whole; somebody answers it."""
        self._busy = True
        self._head_is_here()

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """After it the next head may come, whenever it likes."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._busy = False

    def _expect_head(self) -> None:
        if self._head_due is None:
            loop = asyncio.get_running_loop()
            self._head_due = loop.call_later(HEAD_WITHIN, self._too_slow)

    def _head_is_here(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _too_slow(self) -> None:
        self._head_due = None
        if self.transport is None or self._busy:
            return
        late = problems.TooSlow("The head of the request was not whole after 10 seconds.")
        body = problems.answer(late).body
        assert isinstance(body, bytes)
        self.transport.write(
            b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
            b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> web.StreamResponse:
        """What is not HTTP, or escaped every other net."""
        self.request_begins()
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; it can only be cut")
        response = problems.answer(_refusal(status, exc))
        response.force_close()
        return response


def _refusal(status: int, error: BaseException | None) -> Refused:
    match error:
        case LineTooLong():
            return problems.HeadersTooLarge(
                f"A line of the head is longer than {LINE >> 10} KiB.",
                next_step="Send large values in the body.",
            )
        case BadHttpMessage():
            return MalformedRequest(
                "This is not a valid HTTP/1.1 request.",
                next_step="Check the request line, the headers and how the body's length is given.",
            )
        case Exception():
            return problems.refused_by(error)
        case _:
            return problems.refused_by(RuntimeError(f"status {status} without a cause"))


class Server(web.Server):
    """Makes a `Connection` for every client."""

    def __init__(self, handler: Handler) -> None:
        self._door: dict[str, Any] = {
            "keepalive_timeout": KEEP_ALIVE,
            "max_line_size": LINE,
            "max_field_size": LINE,
            "max_headers": HEADERS,
            "auto_decompress": False,
            "access_log": None,
            "logger": _log,
        }

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            connection = request.protocol
            assert isinstance(connection, Connection)
            connection.request_begins()
            return await handler(request)

        super().__init__(handle, handler_cancellation=True)

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=asyncio.get_running_loop(), **self._door)


async def listen(handler: Handler, host: str, port: int) -> tuple[Server, asyncio.Server]:
    """Take connections from now on."""
    server = Server(handler)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, host, port, backlog=1024)
    return server, listening
