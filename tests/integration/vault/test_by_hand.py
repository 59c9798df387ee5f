"""What people do with keys: disable, enable, revoke, prune."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.failures import Conflict
from contracts.keys import DisableKey, EnableKey, KeyList, KeyState, KeyView, PruneKeys, RevokeKey
from shared.database import Pool
from shared.sealing import RecipientKey
from tests.strongroom import OTHER, REFUSED, World


async def test_a_disabled_key_is_lent_to_nobody_until_it_is_enabled(world: World) -> None:
    key = await world.add()
    about: dict[str, Any] = {"workspace": "default", "key": key.id, "by": "owner"}
    off = await world.ask(world.edge, "disable", DisableKey(**about), KeyView)
    assert off.state is KeyState.DISABLED
    assert off.next_step
    for purpose in ("attempt", "probe"):
        with pytest.raises(Conflict):
            await world.lease(key, RecipientKey.generate(), purpose)

    on = await world.ask(world.edge, "enable", EnableKey(**about), KeyView)
    assert on.state is KeyState.ACTIVE
    await world.ask(world.edge, "disable", DisableKey(**about), KeyView)
    world.says = REFUSED
    bad = await world.ask(world.edge, "enable", EnableKey(**about), KeyView)
    assert bad.state is KeyState.QUARANTINED
    assert bad.next_step


async def test_a_revoked_keys_secret_is_gone(world: World, pool: Pool) -> None:
    key = await world.add()
    about: dict[str, Any] = {"workspace": "default", "key": key.id, "by": "owner"}
    gone = await world.ask(world.edge, "revoke", RevokeKey(**about), KeyView)
    assert gone.state is KeyState.REVOKED
    assert await pool.fetchval("SELECT count(*) FROM secrets") == 0
    for verb, wish in (("enable", EnableKey(**about)), ("disable", DisableKey(**about))):
        with pytest.raises(Conflict):
            await world.ask(world.edge, verb, wish, KeyView)
    with pytest.raises(Conflict):
        await world.rotate(key, OTHER)
    assert (await world.add()).state is KeyState.ACTIVE  # the same secret, as a new key


async def test_pruning_leaves_what_is_of_use(world: World, pool: Pool) -> None:
    await world.add()
    good = await world.add(OTHER)
    world.says = REFUSED
    await world.add("sk-" + "bad" * 15)
    assert len(await world.keys()) == 3

    wish = PruneKeys(workspace="default", by="owner")
    pruned = await world.ask(world.edge, "prune", wish, KeyList)
    assert {key.state for key in pruned.items} == {KeyState.DISABLED, KeyState.QUARANTINED}
    assert [key.id for key in await world.keys()] == [good.id]
    assert await pool.fetchval("SELECT count(*) FROM secrets") == 1
    assert (await world.ask(world.edge, "prune", wish, KeyList)).items == []
