"""Discussion as a whole service on a true database and broker, its neighbours stood in for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from contracts.attempts import ProbeResult
from contracts.discussion import (
    CancelDiscussion,
    DiscussionState,
    DiscussionView,
    GetDiscussion,
    OpenDiscussion,
    Opened,
    WantedParticipant,
)
from contracts.keys import Done
from contracts.modes import Mode
from contracts.subjects import command_subject
from contracts.supply import ListModels, ModelList, ProbeKey
from services.discussion.__main__ import wire
from services.discussion.settings import Settings
from shared.bus import Bus
from shared.service import Service
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.neighbours import ENDPOINT, Adapter, Vault

WITHIN = timedelta(seconds=10)
KIMI = "kimi/kimi-k2.6"


@dataclass
class House:
    """Discussion and its neighbours, asked as the edge would ask."""

    edge: Bus
    adapter: Adapter
    vault: Vault
    database: Database
    broker: Broker

    async def ask(self, verb: str, command: msgspec.Struct, answer: type[Any]) -> Any:
        return await self.edge.request(
            command_subject("discussion", verb), command, answer, within=WITHIN
        )

    async def open(self, *personas: str, model: str = KIMI, **more: Any) -> str:
        wanted = [WantedParticipant(persona=slug, model=model) for slug in personas]
        opened = await self.ask(
            "open",
            OpenDiscussion(
                workspace="default",
                mode=Mode.SINGLE if len(wanted) == 1 else Mode.PARALLEL,
                participants=wanted,
                topic="Tea?",
                **more,
            ),
            Opened,
        )
        return opened.discussion

    async def cancel(self, discussion: str) -> None:
        command = CancelDiscussion(workspace="default", discussion=discussion)
        await self.ask("cancel", command, Done)

    async def view(self, discussion: str) -> DiscussionView:
        command = GetDiscussion(workspace="default", discussion=discussion)
        return await self.ask("get", command, DiscussionView)

    async def reaches(self, discussion: str, *states: DiscussionState) -> DiscussionView:
        async def there() -> DiscussionView | None:
            view = await self.view(discussion)
            return view if view.state in states else None

        found = await eventually(there, within=timedelta(seconds=20))
        assert found is not None
        return found

    async def knows(self, query: str) -> None:
        """Wait until the query finds something in the service's own tables."""
        pool = await self.database.pool("discussion")
        await eventually(lambda: pool.fetchval(query))

    async def later(self, by: timedelta) -> None:
        """Time goes on for every decision, which all go by the database's clock."""
        pool = await self.database.pool("discussion")
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS hurry (by interval NOT NULL);"
            "CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            "'SELECT clock_timestamp() + coalesce((SELECT sum(by) FROM hurry), interval ''0'')'"
        )
        await pool.execute("INSERT INTO hurry VALUES ($1)", by)

    async def probe(self, key: str) -> ProbeResult:
        """Have it looked at, as the vault does with a key that is new."""
        return await self.vault.bus.request(
            command_subject("discussion", "probe"),
            ProbeKey(workspace="default", provider="kimi", endpoint=ENDPOINT, key=key, version=1),
            ProbeResult,
            within=WITHIN,
        )

    async def kimi_works(self) -> None:
        """A verified key, and the catalog that its verification brought."""
        probed = await self.probe("k1")
        assert probed.failure is None
        await self.vault.activate("k1")

        async def listed() -> bool:
            models = await self.ask("models", ListModels(workspace="default"), ModelList)
            return any(model.id == KIMI for model in models.items)

        await eventually(listed)


class running:  # noqa: N801 - read as a phrase: `async with running(...)`
    """The discussion service, until the block ends."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._service = Service(
            "discussion",
            Settings(
                nats_url=broker.url,
                nats_seed_file=broker.seed_file("discussion"),
                database_url=database.dsn("discussion"),
            ),
        )

    async def __aenter__(self) -> Service[Settings]:
        self._ready = asyncio.Event()

        async def then(service: Service[Settings]) -> None:
            await wire(service)
            self._ready.set()

        self._task = asyncio.create_task(self._service.run(then))
        try:
            async with asyncio.timeout(20):
                await self._ready.wait()
        except BaseException:
            await self._leave()
            raise
        return self._service

    async def __aexit__(self, *_: object) -> None:
        assert await self._leave() == 0

    async def _leave(self) -> int:
        """In good order, however long it takes: a connection that is only forgotten would go on
        taking the next test's requests, until the broker misses its pulse.
        """
        self._service.stop()
        return await self._task


PLACES = (
    "texts.words",
    "said.words",
    "discussions.title",
    "discussions.search",
    "events.data",
    "commands.reply",
    "wakeups.payload",
)
"""Where discussion keeps what people and models write."""


async def traces(house: House, word: str) -> set[str]:
    """Wherever in discussion's database or on the bus the word still is."""
    pool = await house.database.pool("discussion")
    found: set[str] = set()
    for place in PLACES:
        table, column = place.split(".")
        query = f"SELECT EXISTS (SELECT FROM {table} WHERE position($1 IN {column}) > 0)"
        if await pool.fetchval(query, word.encode()):
            found.add(place)
    for stream in ("EVENTS", "CHUNKS", "OUTCOMES"):
        if any(word.encode() in message.data for message in await house.broker.stored(stream)):
            found.add(stream)
    return found
