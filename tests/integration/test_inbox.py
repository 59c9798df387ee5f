"""A message may come twice; its effect may not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared import inbox
from shared.database import Pool, transaction
from shared.inbox import first_time
from tests.databases import Database
from tests.eventually import eventually


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("discussion")


async def work_off(pool: Pool, event: str, consumer: str = "reader") -> bool:
    async with transaction(pool) as conn:
        return await first_time(conn, consumer, event)


async def test_an_event_comes_for_the_first_time_once(pool: Pool) -> None:
    assert [await work_off(pool, "e1") for _ in range(3)] == [True, False, False]
    assert await work_off(pool, "e2")


async def test_each_consumer_has_its_own_first_time(pool: Pool) -> None:
    assert await work_off(pool, "e1", "one")
    assert await work_off(pool, "e1", "other")


async def test_what_rolled_back_never_came(pool: Pool) -> None:
    async def fail() -> None:
        async with transaction(pool) as conn:
            assert await first_time(conn, "reader", "e1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await work_off(pool, "e1")


async def test_of_two_deliveries_at_once_the_second_waits_for_the_first(pool: Pool) -> None:
    async with transaction(pool) as conn:
        assert await first_time(conn, "reader", "e1")
        second = asyncio.create_task(work_off(pool, "e1"))

        async def one_waits() -> bool:
            assert not second.done()
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return await pool.fetchval(waiting) == 1

        await eventually(one_waits)
    assert not await second


async def test_of_many_deliveries_at_once_one_has_the_effect(pool: Pool) -> None:
    results = await asyncio.gather(*(work_off(pool, "e1") for _ in range(20)))
    assert sorted(results) == [False] * 19 + [True]


async def test_the_old_ones_are_forgotten_and_the_young_ones_are_not(pool: Pool) -> None:
    await work_off(pool, "old")
    await pool.execute("UPDATE inbox SET seen_at = now() - interval '40 days'")
    await work_off(pool, "young")
    async with transaction(pool) as conn:
        await inbox.forget(conn, older_than=timedelta(days=35))
    assert await work_off(pool, "old")
    assert not await work_off(pool, "young")
