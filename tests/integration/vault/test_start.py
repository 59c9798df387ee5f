"""The vault as it starts: the environment's keys, one identity for all replicas, the right KEK."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from contracts.keys import KeyState
from services.key_vault import handover
from services.key_vault.at_rest import UnusableKek, WrongKek
from services.key_vault.identity import open_identity
from services.key_vault.keks import Keks
from shared.database import Pool
from tests.strongroom import OTHER, SECRET, World, put_the_questions_now


async def test_keys_of_the_environment_are_taken_once_and_only_compared_later(
    world: World, pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.dumps({"keys": {"kimi": SECRET, "nobody": "x", "local": "y"}}).encode()
    assert await handover.take_over(world.store, first, {})
    (key,) = await world.keys()
    assert key.state is KeyState.PENDING
    assert key.label == "KIMI_API_KEY"
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.ACTIVE

    capsys.readouterr()
    assert not await handover.take_over(world.store, first, {})
    assert "is not the one in the vault" not in capsys.readouterr().out
    changed = json.dumps({"keys": {"kimi": OTHER}}).encode()
    assert not await handover.take_over(world.store, changed, {})
    said = capsys.readouterr().out
    assert "is not the one in the vault" in said
    assert OTHER not in said
    assert len(await world.keys()) == 1


async def test_a_start_without_keys_is_the_first_start_too(world: World) -> None:
    assert not await handover.take_over(world.store, b"", {})
    assert not await handover.take_over(
        world.store, json.dumps({"keys": {"kimi": SECRET}}).encode(), {}
    )
    assert await world.keys() == []


# --- The vault itself -----------------------------------------------------------------------


async def test_replicas_that_start_at_once_share_one_identity(pool: Pool, tmp_path: Path) -> None:
    kek = tmp_path / "kek"
    replicas = await asyncio.gather(*(open_identity(pool, Keks(kek)) for _ in range(6)))
    assert len({replica.public.sealing_key for replica in replicas}) == 1
    assert len({replica.public.signing_key for replica in replicas}) == 1
    assert len({replica.fingerprint(SECRET) for replica in replicas}) == 1


async def test_a_wrong_or_lost_kek_says_so_at_the_start(pool: Pool, tmp_path: Path) -> None:
    await open_identity(pool, Keks(tmp_path / "kek"))
    with pytest.raises(UnusableKek, match="backup"):
        await open_identity(pool, Keks(tmp_path / "lost"))
    assert not (tmp_path / "lost").exists()
    (tmp_path / "wrong").write_text(
        "parley-kek:1:" + base64.urlsafe_b64encode(b"w" * 32).decode().rstrip("=")
    )
    with pytest.raises(WrongKek, match="not the key that this database was encrypted with"):
        await open_identity(pool, Keks(tmp_path / "wrong"))
