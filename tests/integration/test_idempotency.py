"""A command may come twice under one key: it is carried out once and answered alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from contracts.failures import IdempotencyMismatch
from shared import idempotency
from shared.database import Pool, transaction
from shared.idempotency import remember, remembered
from tests.databases import Database


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("discussion")


class Counter:
    """A command whose effect is a number, and its answer too."""

    def __init__(self, pool: Pool) -> None:
        self.effects = 0
        self._pool = pool

    async def carry_out(self, key: str, body: bytes = b"body", *, fail: bool = False) -> bytes:
        async with transaction(self._pool) as conn:
            if (reply := await remembered(conn, key, body)) is not None:
                return reply
            await asyncio.sleep(0)
            if fail:
                raise ZeroDivisionError
            self.effects += 1
            reply = str(self.effects).encode()
            await remember(conn, key, body, reply)
            return reply


@pytest.fixture
def counter(pool: Pool) -> Counter:
    return Counter(pool)


async def test_a_repeated_command_is_answered_without_effect(counter: Counter) -> None:
    assert [await counter.carry_out("home/open/k1") for _ in range(3)] == [b"1"] * 3
    assert counter.effects == 1


async def test_another_key_is_another_command(counter: Counter) -> None:
    assert await counter.carry_out("home/open/k1") == b"1"
    assert await counter.carry_out("home/open/k2") == b"2"


async def test_the_same_key_with_another_body_is_refused(counter: Counter) -> None:
    await counter.carry_out("home/open/k1", b"one")
    with pytest.raises(IdempotencyMismatch) as caught:
        await counter.carry_out("home/open/k1", b"other")
    assert caught.value.problem.status == 422
    assert caught.value.problem.next_step


async def test_of_many_at_once_one_has_the_effect_and_all_have_its_answer(
    counter: Counter,
) -> None:
    answers = await asyncio.gather(*(counter.carry_out("home/open/k1") for _ in range(15)))
    assert answers == [b"1"] * 15
    assert counter.effects == 1


async def test_a_command_that_failed_may_be_tried_again_under_its_key(counter: Counter) -> None:
    with pytest.raises(ZeroDivisionError):
        await counter.carry_out("home/open/k1", fail=True)
    assert await counter.carry_out("home/open/k1") == b"1"


async def test_without_a_key_every_command_is_a_new_one(counter: Counter) -> None:
    assert [await counter.carry_out("") for _ in range(2)] == [b"1", b"2"]


async def test_old_answers_are_forgotten(counter: Counter, pool: Pool) -> None:
    await counter.carry_out("home/open/k1")
    await pool.execute("UPDATE commands SET answered_at = now() - interval '2 days'")
    async with transaction(pool) as conn:
        await idempotency.forget(conn, older_than=timedelta(days=1))
    assert await counter.carry_out("home/open/k1") == b"2"
