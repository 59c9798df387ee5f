"""A new secret for a key, once the provider takes it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from contracts.failures import Conflict, Invalid, Unavailable
from contracts.keys import KeyState, KeyView
from contracts.supply import ProbeKey
from shared.database import Pool
from shared.sealing import RecipientKey
from tests.strongroom import AWAY, GOOD, OTHER, REFUSED, SECRET, World, lent


async def test_a_new_secret_replaces_the_former_one_once_it_is_verified(
    world: World, pool: Pool
) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    tried: list[str] = []

    async def look(question: ProbeKey) -> None:
        on_trial = replace(key, version=question.version)
        tried.append(await lent(world, on_trial, "probe"))
        with pytest.raises(Conflict):  # for probes only
            await world.lease(on_trial, RecipientKey.generate())
        assert await lent(world, key) == SECRET  # which stays in use meanwhile

    world.meanwhile = look
    new = await world.rotate(key, f" {OTHER}")

    assert tried == [OTHER]
    assert new.state is KeyState.ACTIVE
    assert new.version == 2
    assert not new.proven
    assert new.fingerprint != key.fingerprint
    assert new.reason == "Spaces around it were removed."
    assert await lent(world, new) == OTHER
    with pytest.raises(Conflict):
        await world.lease(key, RecipientKey.generate())
    assert await pool.fetchval("SELECT array_agg(version) FROM secrets") == [2]
    assert await pool.fetchval("SELECT count(*) FROM trials WHERE sealed IS NOT NULL") == 0
    # What is said of version 1 now is not about this secret.
    await world.report(key, accepted=False, version=1)
    assert (await world.key(key)).state is KeyState.ACTIVE
    # The same again is the same.
    assert await world.rotate(new, OTHER) == await world.key(new)


async def test_a_bad_new_secret_leaves_the_good_one_in_use(world: World, pool: Pool) -> None:
    key = await world.add()
    for says, refusal in ((REFUSED, Invalid), (AWAY, Unavailable)):
        world.says = says
        with pytest.raises(refusal) as refused:
            await world.rotate(key, OTHER)
        assert "The former secret stays in use." in refused.value.problem.detail
        assert refused.value.problem.next_step
    assert [question.version for question in world.asked] == [1, 2, 3]
    assert await world.key(key) == key
    assert await lent(world, key) == SECRET
    assert await pool.fetchval("SELECT count(*) FROM secrets") == 1
    assert await pool.fetchval("SELECT count(*) FROM trials WHERE sealed IS NOT NULL") == 0


async def test_a_new_secret_brings_a_quarantined_key_back(world: World) -> None:
    world.says = REFUSED
    key = await world.add()
    world.says = GOOD
    assert (await world.rotate(key, OTHER)).state is KeyState.ACTIVE


async def test_many_rotations_at_once_leave_one_whole_key(world: World) -> None:
    key = await world.add()
    secrets = [f"sk-{number}-{'r' * 40}" for number in range(6)]
    done = await asyncio.gather(
        *(world.rotate(key, secret) for secret in secrets), return_exceptions=True
    )
    assert all(isinstance(one, KeyView | Conflict) for one in done)
    now = await world.key(key)
    assert await lent(world, now) in secrets
    assert world.store.identity.fingerprint(await lent(world, now)) == now.fingerprint
