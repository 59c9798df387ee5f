"""Another KEK wraps everything, while keys are lent."""

from __future__ import annotations

import asyncio
import base64
from contextlib import aclosing
from pathlib import Path

import pytest

from contracts.keys import KeyView, RevokeKey, Rewrapped, RewrapVault
from services.key_vault.aggregate import Add
from services.key_vault.at_rest import WrongKek
from services.key_vault.identity import open_identity
from services.key_vault.keks import Keks, given
from services.key_vault.rewrapping import rewrap
from services.key_vault.store import Store
from shared.database import Pool
from shared.ids import fresh
from tests.strongroom import HERE, OTHER, SECRET, World, lent


async def rewrapped(world: World) -> Rewrapped:
    return await world.ask(world.edge, "rewrap", RewrapVault(by="owner"), Rewrapped)


async def kek_versions(pool: Pool) -> set[int]:
    """Those that anything is wrapped by."""
    rows = await pool.fetch(
        "SELECT sealed FROM identity UNION ALL SELECT sealed FROM secrets UNION ALL "
        "SELECT sealed FROM trials WHERE sealed IS NOT NULL"
    )
    return {int.from_bytes(row["sealed"][3:7], "big") for row in rows}


async def test_another_kek_wraps_everything_while_keys_are_lent(world: World, pool: Pool) -> None:
    keys = [
        await world.add(f"sk-{number:03}-{'x' * 40}", keep_others=True, request=f"r{number}")
        for number in range(60)
    ]
    file = world.store.identity.keks.file
    former = file.read_text()
    ciphertexts = await pool.fetch("SELECT substring(sealed FROM 68) FROM secrets ORDER BY key")
    told, secrets, _, _ = await asyncio.gather(
        rewrapped(world),
        asyncio.gather(*(lent(world, key) for key in keys)),
        world.add(OTHER, request="meanwhile", keep_others=True),
        world.rotate(keys[0], OTHER + "new"),
    )

    assert told.finished
    assert "destroyed" in told.detail
    assert "Back up" in told.next_step
    assert secrets == [f"sk-{number:03}-{'x' * 40}" for number in range(60)]
    assert await kek_versions(pool) == {2}
    assert former not in file.read_text()
    assert file.read_text().startswith("parley-kek:2:")
    # The secrets themselves were not touched: no plaintext was needed.
    after = await pool.fetch("SELECT substring(sealed FROM 68) FROM secrets ORDER BY key")
    assert after[1:60] == ciphertexts[1:]
    assert [await lent(world, await world.key(key)) for key in keys] == [
        OTHER + "new",
        *secrets[1:],
    ]
    # And again.
    assert (await rewrapped(world)).finished
    assert await kek_versions(pool) == {3}


async def test_whoever_dies_while_the_kek_is_changed_loses_nothing(
    pool: Pool, tmp_path: Path
) -> None:
    """After each step a new process finds everything readable, and goes on from there."""
    file = tmp_path / "kek"

    async def begun_anew() -> Store:
        return Store(pool, await open_identity(pool, Keks(file)), lambda: None)

    store = await begun_anew()
    names = [
        await store.add(
            "default",
            "kimi",
            Add(key=fresh(), region="ai", endpoint=HERE, fingerprint=str(number)),
            f"secret {number}",
        )
        for number in range(120)
    ]

    async def all_there(store: Store) -> bool:
        views = [await store.key("default", name) for name in names]
        found = [await store.secret(view, "default") for view in views]
        return found == [f"secret {number}" for number in range(120)]

    finished, steps = False, 0
    while not finished:
        steps += 1
        async with aclosing(rewrap(pool, store.identity.keks, begin=steps != 3)) as doing:
            for _ in range(2):  # killed after its second step
                finished = (await anext(doing)).finished
        store = await begun_anew()
        assert await all_there(store)
    assert steps > 2
    assert await kek_versions(pool) == {2}
    assert len(file.read_text().splitlines()) == 1


async def test_a_kek_made_by_who_died_before_using_it_is_the_next_one(
    world: World, pool: Pool
) -> None:
    key = await world.add()
    keks = world.store.identity.keks
    prepared = keks.add()
    assert await lent(world, key) == SECRET
    assert (await rewrapped(world)).finished
    assert keks.read() == (prepared,)
    assert await lent(world, key) == SECRET


async def test_a_secret_that_nobody_can_read_keeps_the_former_kek(world: World, pool: Pool) -> None:
    key = await world.add(OTHER)
    broken = await world.add(keep_others=True, request="r2")
    await pool.execute(
        "UPDATE secrets SET sealed = set_byte(sealed, 30, 255 - get_byte(sealed, 30)) "
        "WHERE key = $1",
        broken.id,
    )
    told = await rewrapped(world)
    assert not told.finished
    assert told.unreadable == [broken.id]
    assert broken.id in told.detail
    assert len(world.store.identity.keks.read()) == 2
    assert await lent(world, key) == OTHER
    await world.ask(world.edge, "revoke", RevokeKey(workspace="default", key=broken.id), KeyView)
    assert (await rewrapped(world)).finished
    assert len(world.store.identity.keks.read()) == 1


async def test_a_kek_of_the_operators_is_changed_by_handing_over_another(
    pool: Pool, tmp_path: Path
) -> None:
    one, two = (base64.b64encode(byte * 32).decode() for byte in (b"1", b"2"))

    async def started(current: str, former: str = "") -> Store:
        keks = Keks(tmp_path / "kek", given(current, former))
        return Store(pool, await open_identity(pool, keks), lambda: None)

    store = await started(one)
    add = Add(key="k1", region="ai", endpoint=HERE, fingerprint="f")
    await store.add("default", "kimi", add, SECRET)
    with pytest.raises(WrongKek, match="PARLEY_KEK is not the key"):
        await started(two)
    store = await started(two, one)
    key = await store.key("default", "k1")
    assert await store.secret(key, "default") == SECRET
    *_, last = [step async for step in rewrap(pool, store.identity.keks)]
    assert last.finished
    store = await started(two)
    assert await store.secret(key, "default") == SECRET
    # Back into a file of Parley's own.
    store = await started("", two)
    *_, last = [step async for step in rewrap(pool, store.identity.keks)]
    assert last.finished
    assert await (await started("")).secret(key, "default") == SECRET
