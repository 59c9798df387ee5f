"""Readers of event streams that note how old each delta is when it arrives."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LINE = 64 << 20
"""Bytes of the longest event: a whole answer comes in one line."""

_STAMP = re.compile(rb"\d{20}")


@dataclass
class Viewer:
    """One open stream of one discussion."""

    url: str
    token: str
    ages: list[float] = field(default_factory=list[float])
    """Seconds from the provider's write to our read, one for each delta."""
    ended: bool = False

    async def watch(self, discussion: str) -> None:
        """Read until `event: end`."""
        place = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=_LINE)
        writer.write(
            f"GET /api/v1/discussions/{discussion}/events HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        )
        live = False
        while line := await reader.readline():
            if line.startswith(b"event: "):
                live = line == b"event: StreamChunk\n"
                if line == b"event: end\n":
                    self.ended = True
                    break
            elif live and line.startswith(b"data: "):
                now = time.monotonic_ns()
                self.ages.extend((now - int(stamp)) / 1e9 for stamp in _STAMP.findall(line))
        writer.close()


async def post(url: str, path: str, token: str, body: dict[str, object]) -> dict[str, object]:
    """POST JSON, answer JSON; for a benchmark's handful of calls."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    data = json.dumps(body).encode()
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + data
    )
    answer = await reader.read()
    writer.close()
    head, _, payload = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(answer.decode("utf-8", "replace"))
    return json.loads(payload)
