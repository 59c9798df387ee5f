"""From the journal to the bus: every event, in the order of its stream, at least once.

What is to be published waits in the outbox, a queue that the append itself filled. Of several
relays of a service one leads, by a lock of the session on a connection of its own; the others stand
by. A leader that has lost its connection may still publish for a moment: the broker knows events by
their id and drops those it has, and readers keep an inbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import asyncpg
import structlog
from msgspec import json
from prometheus_client import Counter, Gauge

from shared.bus import NeverStored, NotPermitted, NotStored
from shared.database import AWAY, connect_alone, queries
from shared.journal import inlined

VERSION = "Parley-Version"
"""Header of an event on the bus: its version in its stream."""

_SQL = queries(Path(__file__).with_name("relay_queries.sql"))
_BATCH = 500
_BATCH_BYTES = 16 << 20
_AT_ONCE = 128
_HELD_BACK = timedelta(seconds=1)
_RECONNECT = timedelta(seconds=1)

_PUBLISHED = Counter("parley_relay_published_total", "Events that the broker has taken")
_QUARANTINED = Counter("parley_relay_quarantined_total", "Events that can't be published, ever")
_LEADS = Gauge("parley_relay_leads", "1 where this process publishes for its service")
_WAITING = Gauge("parley_relay_waiting", "Events that the next round will try to publish")

log = structlog.stdlib.get_logger("relay")


class Broker(Protocol):
    """What the relay needs of the bus. `publish_durable` raises NotStored or NeverStored."""

    @property
    def connected(self) -> bool: ...

    async def publish_durable(
        self,
        subject: str,
        payload: bytes,
        *,
        id: str,
        headers: Mapping[str, str] | None = None,
        within: timedelta,
    ) -> int: ...


@dataclass
class _Round:
    """What became of the events of one round, by position."""

    stored: list[int] = field(default_factory=list[int])
    never: dict[int, str] = field(default_factory=dict[int, str])
    failed: dict[str, NotStored] = field(default_factory=dict[str, NotStored])
    """By stream."""


class Relay:
    """Publishes one service's events. `run` it in the background and `wake` it after a commit."""

    def __init__(
        self,
        dsn: str,
        bus: Broker,
        service: str,
        *,
        poll: timedelta = timedelta(milliseconds=200),
        within: timedelta = timedelta(seconds=5),
    ) -> None:
        self._dsn = dsn
        self._bus = bus
        self._service = service
        self._poll = poll
        self._within = within
        self._woken = asyncio.Event()
        self._held: dict[str, float] = {}
        self._stuck = False

    def wake(self) -> None:
        """There is something new; without this the next look is up to one poll away."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled; whatever goes wrong, come back to it."""
        while True:
            try:
                while not self._bus.connected:  # noqa: ASYNC110 - the bus has no event for it
                    await asyncio.sleep(self._poll.total_seconds())
                async with self._connection() as connection:
                    # Waiting inside PostgreSQL would hold a snapshot, and with it back the cleaning
                    # of the outbox.
                    while not await connection.fetchval(_SQL["try_to_lead"]):  # noqa: ASYNC110
                        await asyncio.sleep(self._poll.total_seconds())
                    await self._lead(connection)
            except AWAY as error:
                log.warning("relay lost its connection", service=self._service, error=str(error))
                await asyncio.sleep(_RECONNECT.total_seconds())
            finally:
                _LEADS.set(0)

    async def replay(self, from_position: int) -> int:
        """Publish again what the journal has from this position on; answers how many events.

        For a stream that was lost: the broker drops what it still knows, but only for as long as
        it remembers ids. NotStored: it stopped; begin again, nothing is skipped.
        """
        count, after = 0, from_position - 1
        async with self._connection() as connection:
            while rows := await connection.fetch(_SQL["again"], after, _BATCH, _BATCH_BYTES):
                done = await self._publish(rows)
                for error in done.failed.values():
                    raise error
                for position, reason in done.never.items():
                    log.error("event left out of the replay", position=position, reason=reason)
                count += len(done.stored)
                after = rows[-1]["position"]
        return count

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
        connection = await connect_alone(self._dsn, self._service, "relay")
        try:
            # Losing a deletion in a power cut means publishing once more, which is harmless.
            await connection.execute("SET synchronous_commit = off")
            yield connection
        finally:
            # Not `close`, which fails when a statement was just cancelled. The server sees the
            # socket close, and with it goes the lock.
            connection.terminate()

    async def _lead(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Leadership lasts as long as the connection; each look at the outbox proves it anew.

        Who has no broker steps back: another replica may have one.
        """
        log.info("relay leads", service=self._service)
        _LEADS.set(1)
        while self._bus.connected:
            self._woken.clear()
            if not await self._round(connection):
                await self._until_woken_or_polled()

    async def _round(self, connection: asyncpg.Connection[asyncpg.Record]) -> bool:
        """Publish what comes next; whether it is worth looking again at once."""
        now = asyncio.get_running_loop().time()
        self._held = {stream: until for stream, until in self._held.items() if until > now}
        rows = await connection.fetch(_SQL["next"], list(self._held), _BATCH, _BATCH_BYTES)
        _WAITING.set(len(rows))
        if not rows:
            return False
        done = await self._publish(rows)
        if done.stored:
            await connection.execute(_SQL["done"], done.stored)
        for position, reason in done.never.items():
            await connection.execute(_SQL["quarantine"], position, reason)
            log.error("event cannot be published", alert=True, position=position, reason=reason)
        _PUBLISHED.inc(len(done.stored))
        _QUARANTINED.inc(len(done.never))
        self._hold_back(done.failed)
        return bool(done.stored or done.never)

    def _hold_back(self, failed: Mapping[str, NotStored]) -> None:
        until = asyncio.get_running_loop().time() + _HELD_BACK.total_seconds()
        self._held |= dict.fromkeys(failed, until)
        if bool(failed) != self._stuck:
            self._stuck = bool(failed)
            if failed:
                error = str(next(iter(failed.values())))
                log.warning("events are held back", streams=len(failed), error=error)
            else:
                log.info("events flow again")

    async def _publish(self, rows: Sequence[asyncpg.Record]) -> _Round:
        """Streams side by side; within a stream one after the other, up to the first failure."""
        done, places = _Round(), asyncio.Semaphore(_AT_ONCE)
        lanes: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            lanes.setdefault(row["stream"], []).append(row)
        async with asyncio.TaskGroup() as group:
            for lane in lanes.values():
                group.create_task(self._publish_lane(lane, done, places))
        return done

    async def _publish_lane(
        self, lane: Iterable[asyncpg.Record], done: _Round, places: asyncio.Semaphore
    ) -> None:
        for row in lane:
            try:
                async with places:
                    await self._bus.publish_durable(
                        row["subject"],
                        inlined(row["data"], row["words"]),
                        id=str(row["id"]),
                        headers=cloud_headers(row, self._service),
                        within=self._within,
                    )
            except NotStored as error:
                # What the broker does not permit can be mended in the broker; the rest can't.
                if isinstance(error, NeverStored) and not isinstance(error.__cause__, NotPermitted):
                    done.never[row["position"]] = str(error)
                    continue
                done.failed[row["stream"]] = error
                return
            done.stored.append(row["position"])

    async def _until_woken_or_polled(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll.total_seconds()):
                await self._woken.wait()


_decode_meta = json.Decoder(dict[str, str]).decode


def cloud_headers(row: asyncpg.Record, service: str) -> dict[str, str]:
    """CloudEvents 1.0 in binary mode, with our extensions: correlation, causation, version."""
    meta = _decode_meta(row["meta"])
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(row["id"]),
        "ce-type": row["type"],
        "ce-source": f"/parley/{service}",
        "ce-subject": row["stream"],
        "ce-time": row["recorded_at"].astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
        VERSION: str(row["version"]),
    }
    named = {
        "ce-correlationid": meta.get("correlation"),
        "ce-causationid": meta.get("causation"),
        "traceparent": meta.get("traceparent"),
    }
    return headers | {name: _printable(value) for name, value in named.items() if value}


def _printable(value: str) -> str:
    """No line break may get into a header; encoded as CloudEvents' HTTP binding does it."""
    return quote(value, safe="!#$&'()*+,/:;=?@[]^`{|}~")
