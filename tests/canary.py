"""Keys that sing: made up for one test, and known again wherever a piece of one turns up.

A piece of twelve letters is enough, in clear, as base64 at any offset, in hex, or with its odd
letters percent-encoded; so a key that was cut off or glued to something else is found as well.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from nats.aio.msg import Msg

from shared.topology import CREDENTIALS, permissions_of
from tests.brokers import Broker

_PIECE = 12


def piece() -> str:
    """Letters that nobody else has."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_PIECE))


def formless() -> str:
    """A key as Mistral's or a private server's: nothing tells that it is one."""
    return f"{piece()}/{piece()}+{piece()}"


def formed() -> str:
    """A key in the form that most vendors give theirs."""
    return f"sk-{piece()}{piece()}{piece()}"


def traces(secret: str) -> frozenset[bytes]:
    """What is left of a secret wherever it was, in any of its forms."""
    raw = secret.encode()
    found = {run.encode() for run in _runs(secret)}
    found |= {run.encode().hex().encode() for run in _runs(secret)}
    found |= {run.encode().hex().upper().encode() for run in _runs(secret)}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw)
        own = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        for start in range(0, len(own) - 15, 16):
            standard = own[start : start + 16]
            found |= {standard, standard.replace(b"+", b"-").replace(b"/", b"_")}
    return frozenset(found)


def _runs(secret: str) -> Iterator[str]:
    """Its pieces, without the letters that some encodings change."""
    plain = secret.removeprefix("sk-").replace("/", " ").replace("+", " ")
    for run in plain.split():
        yield from (run[at : at + _PIECE] for at in range(0, len(run) - _PIECE + 1, _PIECE))


@dataclass
class Haystacks:
    """Everything that was collected, by where it was."""

    found: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]], repr=False)

    def add(self, place: str, data: bytes) -> None:
        self.found.setdefault(place, []).append(data)

    def add_files(self, place: str, folder: Path) -> None:
        """Every file below, its name as well."""
        for file in sorted(folder.rglob("*")):
            self.add(place, str(file).encode())
            try:
                if file.is_file():
                    self.add(f"{place}: {file.relative_to(folder)}", file.read_bytes())
            except FileNotFoundError:
                continue  # a temporary file of a running server

    def holding(self, *needles: bytes) -> dict[str, bytes]:
        """Where one of them is, and what stands around it."""
        return {
            place: around(data, needle)
            for place, pieces in self.found.items()
            for data in pieces
            for needle in needles
            if needle in data
        }

    def have(self, needle: str, place: str) -> bool:
        """Whether something is there: a place where nothing can be found proves nothing."""
        raw = needle.encode()
        return any(found.startswith(place) for found in self.holding(raw, raw.hex().encode()))


def around(data: bytes, needle: bytes) -> bytes:
    """The needle with its neighbourhood, for whoever must find out how it came there."""
    at = data.index(needle)
    return data[max(0, at - 120) : at + len(needle) + 60]


# --- Where to look --------------------------------------------------------------------------


def processes(stacks: Haystacks) -> None:
    """What any process list shows: arguments and environments of all that may be read."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        for what in ("cmdline", "environ"):
            try:
                stacks.add(f"process {what}", (entry / what).read_bytes())
            except OSError:
                continue  # it has ended, or it is closed to us: then it tells us nothing


def overheard(stacks: Haystacks) -> aiohttp.TraceConfig:
    """For a client: keeps the head and the body of every answer."""
    trace = aiohttp.TraceConfig()

    async def head(_: object, __: object, answer: aiohttp.TraceRequestEndParams) -> None:
        stacks.add("http", str(answer.response.raw_headers).encode())

    async def body(_: object, __: object, part: aiohttp.TraceResponseChunkReceivedParams) -> None:
        stacks.add("http", part.chunk)

    trace.on_request_end.append(head)
    trace.on_response_chunk_received.append(body)
    return trace


class Listeners:
    """One silent subscriber for each credential: it hears all that the credential may hear."""

    def __init__(self, broker: Broker, stacks: Haystacks) -> None:
        self._broker = broker
        self._stacks = stacks

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        for credential in CREDENTIALS:
            client = await self._broker.client(credential)

            async def hear(message: Msg, place: str = f"bus as {credential}") -> None:
                told = json.dumps(message.headers or {}).encode()
                self._stacks.add(place, message.subject.encode() + b" " + told + message.data)

            for subject in permissions_of(credential).subscribe:
                await client.subscribe(subject, cb=hear)  # pyright: ignore[reportUnknownMemberType]
            await client.flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        await self._broker.close()


async def stored(broker: Broker, streams: Iterable[str], stacks: Haystacks) -> None:
    """What the broker would give to whoever replays its streams."""
    for stream in streams:
        for message in await broker.stored(stream):
            whole = f"{message.subject} {json.dumps(dict(message.headers))}".encode()
            stacks.add(f"stream {stream}", whole + message.data)
