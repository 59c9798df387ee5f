"""Parley's HTTP interface, as the `parley` command uses it: JSON in, JSON out, a live stream."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import aiohttp
import msgspec

_SILENCE = 45.0
"""Seconds without even a heartbeat (there is one every 15) before a stream counts as broken."""
_LONGEST_PAUSE = 60.0
_LONGEST_LINE = 16 << 20


class Problem(Exception):
    """The edge said no, or was not there; the message says why and what to do."""

    def __init__(self, title: str, detail: str = "", next_step: str = "") -> None:
        super().__init__("\n".join(part for part in (title, detail, next_step) if part))


@dataclass(frozen=True)
class Sent:
    """One server-sent event."""

    name: str
    data: str
    id: str = ""


class Api:
    """The edge at `url`, with a token."""

    def __init__(self, url: str, token: str, http: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, token: str) -> AsyncGenerator[Self]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=_LONGEST_LINE) as session:
            yield cls(url, token, session)

    async def get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return await self._ask("POST", path, body)

    async def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask("PUT", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask("PATCH", path, body)

    async def delete(self, path: str) -> dict[str, Any]:
        return await self._ask("DELETE", path, None)

    async def text(self, path: str) -> str:
        """A document as it is."""
        return await self._told("GET", path, None)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        text = await self._told(method, path, body)
        return json.loads(text) if text else {}

    async def _told(self, method: str, path: str, body: Mapping[str, Any] | None) -> str:
        try:
            async with self._http.request(
                method, self._url + path, json=body, headers=self._headers, allow_redirects=False
            ) as answer:
                text = await answer.text()
        except (OSError, aiohttp.ClientError) as error:
            raise self._absent(error) from error
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _problem(answer.status, text)
        return text

    async def events(self, discussion: str, of: str = "discussions") -> AsyncIterator[Sent]:
        """Everything that happens in it until its end, through any number of lost connections.
        It may also be one of the `runs`.

        `lost` comes up whenever the connection went: live text may be missing until the next
        snapshot. Gives up when the edge stays away.
        """
        last, misses = "", 0
        while True:
            try:
                async for sent in self._connection(f"{of}/{discussion}", last):
                    last, misses = sent.id or last, 0
                    yield sent
                    if sent.name == "end":
                        return
            except _AtItsEnd:
                return
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                if misses >= 6:
                    raise self._absent(error) from error
            misses += 1
            yield Sent("lost", "{}")
            await asyncio.sleep(random.uniform(0.1, min(2.0**misses, _LONGEST_PAUSE)))  # noqa: S311

    async def _connection(self, path: str, last: str) -> AsyncIterator[Sent]:
        headers = self._headers | {"Accept": "text/event-stream"}
        if last:
            headers["Last-Event-ID"] = last
        async with self._http.get(
            f"{self._url}/api/v1/{path}/events",
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE),
        ) as answer:
            if answer.status == HTTPStatus.NO_CONTENT:
                raise _AtItsEnd
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise aiohttp.ClientError(f"status {answer.status}")
            if answer.status != HTTPStatus.OK:
                raise _problem(answer.status, await answer.text())
            async for sent in _frames(answer.content):
                yield sent

    def _absent(self, error: Exception) -> Problem:
        return Problem(
            f"There is no Parley at {self._url} ({error}).",
            next_step="Start it with `make run`, or name another one: --url or PARLEY_URL.",
        )


class _AtItsEnd(Exception):
    """204: the discussion has ended and everything of it was seen."""


async def _frames(content: aiohttp.StreamReader) -> AsyncIterator[Sent]:
    """The events in a stream, by the rules of the HTML standard that Parley's edge makes use of."""
    fields: dict[str, str] = {}
    async for raw in content:
        line = raw.decode().rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Sent(fields.get("event", "message"), fields["data"], fields.get("id", ""))
        fields = {}


class _Told(msgspec.Struct, frozen=True):
    """What is read of a problem+json body."""

    title: str
    detail: str = ""
    next_step: str = ""
    errors: list[dict[str, str]] = []
    nearest: list[str] = []


def _problem(status: int, text: str) -> Problem:
    try:
        told = msgspec.json.decode(text, type=_Told)
    except msgspec.MsgspecError:
        return Problem(f"The answer was {status}: {text[:500]}")
    details = [
        *([told.detail] if told.detail else []),
        *(f"{error.get('field', '')}: {error.get('message', '')}" for error in told.errors),
        *([f"Did you mean {' or '.join(told.nearest)}?"] if told.nearest else []),
    ]
    return Problem(told.title, "\n".join(details), told.next_step)
