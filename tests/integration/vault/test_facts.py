"""What the vault writes down: its tables come from it, and the others hear of it."""

from __future__ import annotations

import asyncio

from contracts.keys import KEY_EVENTS
from services.key_vault.projections import project
from shared.database import Pool, transaction
from shared.relay import Relay
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.strongroom import OTHER, REFUSED, World


async def test_the_tables_can_be_made_again_from_the_journal(world: World, pool: Pool) -> None:
    first = await world.add()
    await world.report(first, accepted=True)
    await world.report(first, accepted=False)
    await world.add(OTHER)
    world.says = REFUSED
    await world.add("sk-a-third-one-that-is-bad")
    before = await pool.fetch("SELECT * FROM keys ORDER BY key")
    async with transaction(pool) as conn:
        await conn.execute("TRUNCATE keys, tokens")
        facts = await world.store.journal.read_all(conn, after=0, limit=1_000)
        await project(conn, (fact.event for fact in facts))
    assert await pool.fetch("SELECT * FROM keys ORDER BY key") == before


async def test_the_others_hear_what_became_of_a_key(
    world: World, broker: Broker, database: Database
) -> None:
    relay = Relay(database.dsn("key_vault"), await broker.bus("key_vault"), "key_vault")
    running = asyncio.create_task(relay.run())
    key = await world.add()

    async def told() -> list[str]:
        stored = [KEY_EVENTS.decode(message.data) for message in await broker.stored("EVENTS")]
        names = [type(event).__name__ for event in stored]
        assert names[-1:] == ["KeyActivated"]
        assert all(getattr(event, "key", "") == key.id for event in stored)
        return names

    assert await eventually(told) == ["KeyAdded", "KeyVerified", "KeyActivated"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
