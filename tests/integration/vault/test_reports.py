"""What attempts say of a key, and how often one that was refused is asked about."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from contracts.keys import KeyState, KeyView, VerifyKey
from contracts.supply import ProbeKey
from services.key_vault.verification import Verification
from shared.database import Pool
from tests.strongroom import AWAY, GOOD, REFUSED, World, put_the_questions_now


async def test_a_key_that_never_worked_is_quarantined_at_its_first_refusal(world: World) -> None:
    key = await world.add()
    await world.report(key, accepted=False)
    assert (await world.key(key)).state is KeyState.QUARANTINED


async def test_a_key_that_has_worked_is_confirmed_once_before_it_is_put_away(
    world: World, pool: Pool
) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    assert (await world.key(key)).proven
    await world.report(key, accepted=False)
    assert (await world.key(key)).state is KeyState.SUSPECT
    due: timedelta = await pool.fetchval("SELECT due - now() FROM checks WHERE key = $1", key.id)
    assert timedelta(seconds=25) < due <= timedelta(seconds=60)

    world.says, world.asked = REFUSED, []
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.QUARANTINED
    assert len(world.asked) == 1
    # From now on it is asked about by a schedule, and rarely.
    assert await pool.fetchval("SELECT due - now() > interval '50 minutes' FROM checks")


async def test_a_refused_key_is_asked_about_ever_more_rarely_and_may_come_back(
    world: World, pool: Pool
) -> None:
    world.says = REFUSED
    key = await world.add()
    pauses: list[timedelta] = []
    for _ in range(7):
        await put_the_questions_now(world, pool)
        assert len(world.asked) == 1
        pauses.append(await pool.fetchval("SELECT due - now() FROM checks"))
    hours = [round(pause / timedelta(hours=1)) for pause in pauses]
    assert hours == [2, 4, 8, 16, 24, 24, 24]
    world.says = GOOD
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.ACTIVE
    assert await pool.fetchval("SELECT count(*) FROM checks") == 0


async def test_after_a_month_a_refused_key_is_left_alone(world: World, pool: Pool) -> None:
    world.says = REFUSED
    await world.add()
    await pool.execute("UPDATE checks SET tries = 29")
    await put_the_questions_now(world, pool)
    assert await pool.fetchval("SELECT count(*) FROM checks") == 0


async def test_about_one_key_only_one_asks_at_a_time(world: World, pool: Pool) -> None:
    key = await world.add()
    world.asked.clear()
    others: list[asyncio.Task[KeyView]] = []
    verify_it = VerifyKey(workspace="default", key=key.id)

    async def meanwhile(_question: ProbeKey) -> None:
        for _ in range(3):
            asking = world.ask(world.edge, "verify", verify_it, KeyView)
            others.append(asyncio.create_task(asking))
        # Another replica of the vault, with a schedule of its own.
        await pool.execute("INSERT INTO checks VALUES ($1, 'default', now())", key.id)
        await Verification(world.store, world.discussion).put_due()

    world.meanwhile = meanwhile
    world.says = REFUSED
    told = await world.ask(world.edge, "verify", verify_it, KeyView)
    assert told.state is KeyState.QUARANTINED
    assert {each.state for each in await asyncio.gather(*others)} == {KeyState.QUARANTINED}
    assert len(world.asked) == 1


async def test_who_died_while_asking_is_not_waited_for(world: World, pool: Pool) -> None:
    key = await world.add()
    await pool.execute("INSERT INTO questions VALUES ($1, now() - interval '1 second')", key.id)
    world.asked.clear()
    await world.ask(world.edge, "verify", VerifyKey(workspace="default", key=key.id), KeyView)
    assert len(world.asked) == 1
    assert await pool.fetchval("SELECT count(*) FROM questions") == 0


async def test_a_suspect_that_the_provider_takes_goes_on(world: World, pool: Pool) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    await world.report(key, accepted=False)
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.ACTIVE


async def test_a_suspect_is_asked_about_until_there_is_an_answer(world: World, pool: Pool) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    await world.report(key, accepted=False)
    world.says = AWAY
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.SUSPECT
    assert await pool.fetchval("SELECT due > now() FROM checks WHERE key = $1", key.id)


async def test_a_late_word_about_another_version_changes_nothing(world: World) -> None:
    key = await world.add()
    await world.report(key, accepted=False, version=7)
    assert await world.key(key) == replace(key, reason="")
