"""A key whose region nobody has named: without consent no second host sees it."""

from __future__ import annotations

import pytest

from contracts.keys import KeyState
from shared.database import Pool
from tests.strongroom import HERE, REFUSED, SECRET, THERE, World, lent


async def test_without_consent_no_second_host_sees_the_key(world: World) -> None:
    world.says_at = {HERE: REFUSED}
    key = await world.add()
    assert key.state is KeyState.QUARANTINED
    assert {question.endpoint for question in world.asked} == {HERE}


async def test_with_consent_the_key_belongs_to_the_host_that_takes_it(world: World) -> None:
    world.says_at = {HERE: REFUSED}
    key = await world.add(region="auto")
    assert (key.state, key.region, key.endpoint) == (KeyState.ACTIVE, "cn", THERE)
    assert "api.moonshot.ai refused the key, api.moonshot.cn took it" in key.reason
    assert [question.endpoint for question in world.asked] == [HERE, THERE]
    assert await lent(world, key) == SECRET


async def test_where_the_first_host_takes_the_key_no_other_sees_it(world: World) -> None:
    key = await world.add(region="auto")
    assert (key.state, key.endpoint) == (KeyState.ACTIVE, HERE)
    assert [question.endpoint for question in world.asked] == [HERE]


async def test_a_key_that_neither_host_takes_says_so(world: World, pool: Pool) -> None:
    world.says = REFUSED
    key = await world.add(region="auto")
    assert (key.state, key.endpoint) == (KeyState.QUARANTINED, HERE)
    assert "Neither api.moonshot.ai" in key.reason
    assert [question.endpoint for question in world.asked] == [HERE, THERE]
    assert await pool.fetchval("SELECT count(*) FROM trials WHERE sealed IS NOT NULL") == 0


async def test_an_address_of_the_operators_has_no_other_region(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIMI_BASE_URL", "http://127.0.0.1:9/v1")
    world.says = REFUSED
    await world.add(region="auto")
    assert [question.endpoint for question in world.asked] == ["http://127.0.0.1:9/v1"]
