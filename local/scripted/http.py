"""Just enough HTTP to misbehave precisely: bodies that stop, connections that break."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when the client has left."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None
    return Request(method, path.partition("?")[0], headers, body)


class Answering:
    """Writes one answer; keeps what is needed to break it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.more: Mapping[str, str] = {}
        """Headers that go with whatever is answered."""
        self.begun = False
        """A head was sent."""
        self.status = 0

    async def whole(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        """An answer in one piece."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        length = {"Content-Type": kind, "Content-Length": str(len(body))}
        self._head(status, length | named)
        self._writer.write(body)
        await self._writer.drain()

    async def json(self, status: int, document: Any, **headers: str) -> None:
        """A JSON answer in one piece."""
        body = json.dumps(document, ensure_ascii=False).encode()
        await self.whole(status, body, "application/json; charset=utf-8", **headers)

    def begin(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """The head of a streamed answer."""
        kind = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        self._head(status, kind | dict(headers or {}))

    def write(self, piece: bytes) -> None:
        """A piece of it."""
        if piece:
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    async def flush(self) -> None:
        """Wait until the client takes more."""
        if self._writer.is_closing():
            raise ConnectionResetError("the client has left")
        await self._writer.drain()

    async def end(self) -> None:
        """The regular end of a streamed answer."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def until_client_leaves(self) -> None:
        """Say nothing more; ConnectionResetError once nobody listens."""
        await self._reader.read(1)
        raise ConnectionResetError("the client has left")

    def break_off(self) -> None:
        """Reset the connection: the client gets an error, not an end."""
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.begun = True
        self.status = status
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        told = {**headers, **self.more}
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in told.items()), "", ""]
        self._writer.write("\r\n".join(lines).encode("latin-1"))
