"""The alarm clock stops when it is told to, whatever its handlers wait for; nothing due is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.discussion import wakeups
from services.discussion.store import SCHEMAS
from services.discussion.wakeups import Wakeup, Wakeups
from shared.database import Pool
from tests.databases import Database
from tests.eventually import eventually

SET = "INSERT INTO wakeups (kind, subject, workspace, due_at) VALUES ('turn', 'tea', 'w', clock())"
LEFT = "SELECT count(*) FROM wakeups WHERE subject = 'tea'"


@pytest.fixture
async def pool(database: Database) -> Pool:
    pool = await database.pool("discussion", SCHEMAS[1:])
    await pool.execute(SET)
    return pool


async def test_a_handler_that_waits_for_somebody_gone_does_not_keep_it(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "FINISH", timedelta(milliseconds=50))
    begun, cut_off = asyncio.Event(), asyncio.Event()

    async def asks_somebody_gone(wakeup: Wakeup) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    clock = Wakeups(pool, {"turn": asks_somebody_gone})
    running = asyncio.create_task(clock.run())
    async with asyncio.timeout(10):
        await begun.wait()
        await clock.stop()
        await running

    assert cut_off.is_set()
    assert await pool.fetchval(LEFT) == 1, "it comes again, for whoever is there then"


async def test_what_it_has_claimed_when_it_is_told_to_stop_is_finished_first(pool: Pool) -> None:
    done: list[str] = []

    async def takes_note(wakeup: Wakeup) -> None:
        await pool.execute("DELETE FROM wakeups WHERE subject = $1", wakeup.subject)
        done.append(wakeup.subject)

    clock = Wakeups(pool, {"turn": takes_note})
    # Nobody can claim while the table is locked: it is told to stop in the middle of its claim.
    async with pool.acquire() as other:
        async with other.transaction():
            await other.execute("LOCK TABLE wakeups")
            running = asyncio.create_task(clock.run())

            async def claims() -> bool:
                waiting = (
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
                )
                return bool(await other.fetchval(waiting, "wakeups"))

            await eventually(claims)
            stopping = asyncio.create_task(clock.stop())
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.gather(stopping, running)
            assert done == ["tea"]
