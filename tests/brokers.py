"""A NATS server for the session, its streams made anew for each test.

Permissions, streams and consumers are those of contracts/subjects.py.
PARLEY_TEST_CONTAINERS=1 takes NATS 2 out of a container instead of the embedded one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import nkeys
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from contracts.subjects import ADMIN, inbox
from local.broker import EmbeddedBroker
from shared import topology
from shared.bus import Bus
from tests.databases import IN_CONTAINERS


@dataclass(frozen=True)
class Stored:
    """A message as a stream has it."""

    subject: str
    data: bytes
    headers: Mapping[str, str]


@dataclass
class Broker:
    """A running server with empty streams, and connections to it that end with the test."""

    url: str
    seed_file: Callable[[str], Path]
    """By credential: a service, `admin` or `integration`."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def bus(self, service: str) -> Bus:
        """A bus as a process of this service would have it."""
        bus = await Bus.connect(self.url, service=service, seed_file=self.seed_file(service))
        self._stack.push_async_callback(bus.drain)
        return bus

    async def client(self, credential: str = ADMIN) -> Client:
        """A plain client, to look from outside."""
        client = await _connect(self, credential)
        self._stack.push_async_callback(client.close)
        return client

    async def stored(self, stream: str) -> list[Stored]:
        """Everything that the stream has, headers included, in its order."""
        async with _admin(self) as js:
            state = (await js.stream_info(stream)).state
            found: list[Stored] = []
            for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
                with suppress(NotFoundError):
                    message: Any = await js.get_msg(stream, sequence)
                    found.append(
                        Stored(message.subject, message.data or b"", message.headers or {})
                    )
            return found

    async def delete_stream(self, stream: str) -> None:
        async with _admin(self) as js:
            await js.delete_stream(stream)

    async def ensure(self) -> None:
        """Make the streams that are missing."""
        await topology.ensure(self.url, self.seed_file(ADMIN))

    async def clear(self) -> None:
        """Empty streams, whatever was in them."""
        async with _admin(self) as js:
            for stream in await js.streams_info():
                assert stream.config.name is not None
                await js.delete_stream(stream.config.name)
        await self.ensure()

    async def close(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def _admin(broker: Broker) -> AsyncGenerator[JetStreamContext]:
    client = await _connect(broker, ADMIN)
    try:
        yield client.jetstream()  # pyright: ignore[reportUnknownMemberType]
    finally:
        await client.close()


async def _connect(broker: Broker, credential: str) -> Client:
    return await nats.connect(  # pyright: ignore[reportUnknownMemberType]
        broker.url,
        nkeys_seed=str(broker.seed_file(credential)),
        inbox_prefix=inbox(credential),
    )


@dataclass
class OwnBroker:
    """A server that a test may stop and start again: on the same port, its files kept."""

    broker: Broker
    stop: Callable[[], Awaitable[None]]
    start: Callable[[], Awaitable[str]]


@contextmanager
def server(home: Path) -> Generator[Broker]:
    """A running server."""
    with _container(home) if IN_CONTAINERS else _embedded(home) as broker:
        yield broker


@contextmanager
def _embedded(home: Path) -> Generator[Broker]:
    embedded = EmbeddedBroker(home)
    url = asyncio.run(embedded.start())
    try:
        yield Broker(url, embedded.seed_file)
    finally:
        asyncio.run(embedded.stop())


@asynccontextmanager
async def own(home: Path) -> AsyncGenerator[OwnBroker]:
    """An embedded server of one test's own."""
    async with EmbeddedBroker(home) as embedded:
        broker = Broker(embedded.url, embedded.seed_file)
        await broker.ensure()
        try:
            yield OwnBroker(broker, embedded.stop, embedded.start)
        finally:
            await broker.close()


@contextmanager
def _container(home: Path) -> Generator[Broker]:
    from tests import containers  # noqa: PLC0415 - half a second that most runs need not wait

    seeds = {name: home / f"{name}.nk" for name in topology.CREDENTIALS}
    public = {name: _make_key(file) for name, file in seeds.items()}
    config = topology.broker_config(public, listen="0.0.0.0:4222", store="/tmp/jetstream")
    with containers.nats(config) as url:
        yield Broker(url, seeds.__getitem__)


def _make_key(seed_file: Path) -> str:
    seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
    seed_file.write_bytes(seed)
    return bytes(nkeys.from_seed(bytearray(seed)).public_key).decode()
