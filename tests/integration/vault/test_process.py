"""The vault as it really runs: killed while it changes its KEK, started wrongly, looked into."""

from __future__ import annotations

import asyncio
import base64
import os
from datetime import timedelta
from pathlib import Path

from contracts.keys import KeyList, KeyState, ListKeys, Rewrapped, RewrapVault
from contracts.subjects import command_subject
from services.key_vault.aggregate import Add
from services.key_vault.identity import open_identity
from services.key_vault.keks import Keks
from services.key_vault.sql import SCHEMA
from services.key_vault.store import Store
from shared.ids import fresh
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.vaults import environment_of, running_vault

HERE = "https://api.moonshot.ai/v1"
SOON = timedelta(seconds=20)
SECRETS = [f"sk-{number:04}-{'s' * 40}" for number in range(400)]


async def full_of_keys(database: Database, folder: Path) -> Store:
    pool = await database.pool("key_vault", SCHEMA[1:])
    store = Store(pool, await open_identity(pool, Keks(folder / "kek")), lambda: None)
    for at in range(0, len(SECRETS), 20):
        await asyncio.gather(
            *(
                store.add(
                    f"w{number}",
                    "kimi",
                    Add(key=fresh(), region="ai", endpoint=HERE, fingerprint=str(number)),
                    SECRETS[number],
                )
                for number in range(at, at + 20)
            )
        )
    return store


async def test_a_vault_that_is_killed_while_it_changes_its_kek_goes_on_when_it_is_started(
    database: Database, broker: Broker, tmp_path: Path
) -> None:
    store = await full_of_keys(database, tmp_path)
    kek, edge = tmp_path / "kek", await broker.bus("edge")
    dsn, seed = database.dsn("key_vault"), broker.seed_file("key_vault")
    async with running_vault(dsn, broker.url, tmp_path, seed=seed) as vault:
        await vault.ready(edge)
        async with store.pool.acquire() as holder, holder.transaction():
            # It cannot come further than this one.
            await holder.execute("SELECT FROM secrets ORDER BY key DESC LIMIT 1 FOR UPDATE")
            asking = asyncio.create_task(
                edge.request(
                    command_subject("key_vault", "rewrap"), RewrapVault(), Rewrapped, within=SOON
                )
            )

            async def under_way() -> bool:
                new = "SELECT count(*) FROM secrets WHERE get_byte(sealed, 6) = 2"
                return 0 < await store.pool.fetchval(new) < len(SECRETS)

            await eventually(under_way, within=SOON)
            vault.process.kill()
            await vault.process.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert len(kek.read_text().splitlines()) == 2

    async with running_vault(dsn, broker.url, tmp_path, seed=seed) as vault:
        await vault.ready(edge)

        async def done() -> bool:
            return len(kek.read_text().splitlines()) == 1

        await eventually(done, within=SOON)
    store = Store(store.pool, await open_identity(store.pool, Keks(kek)), lambda: None)
    for number, secret in enumerate(SECRETS):
        (key,) = await store.keys(f"w{number}")
        assert await store.secret(key, f"w{number}") == secret


async def test_a_wrong_kek_is_told_in_words_and_the_vault_does_not_start(
    database: Database, broker: Broker, tmp_path: Path
) -> None:
    pool = await database.pool("key_vault", SCHEMA[1:])
    await open_identity(pool, Keks(tmp_path / "the right one"))
    await pool.close()
    dsn, seed = database.dsn("key_vault"), broker.seed_file("key_vault")
    Keks(tmp_path / "kek").make()
    async with running_vault(dsn, broker.url, tmp_path, seed=seed) as vault:
        assert await asyncio.wait_for(vault.process.wait(), 30) == 1
    last = vault.log.read_text().splitlines()[-1]
    assert "not the key that this database was encrypted with" in last
    assert "Put the right one back" in last


async def test_secrets_in_its_environment_are_gone_from_it_before_anything_else(
    database: Database, broker: Broker, tmp_path: Path
) -> None:
    await database.pool("key_vault", SCHEMA[1:])
    kek, edge = (
        base64.b64encode(b"canary-of-the-kek" + b"k" * 15).decode(),
        await broker.bus("edge"),
    )
    dsn, seed = database.dsn("key_vault"), broker.seed_file("key_vault")
    async with running_vault(
        dsn, broker.url, tmp_path, seed=seed, PARLEY_KEK=kek, KIMI_API_KEY=SECRETS[0]
    ) as vault:
        await vault.ready(edge)

        async def taken_over() -> list[KeyState]:
            wish = ListKeys(workspace="default", provider="kimi")
            ask = command_subject("key_vault", "list")
            found = await edge.request(ask, wish, KeyList, within=SOON)
            return [key.state for key in found.items]

        assert await eventually(taken_over) == [KeyState.PENDING]
        seen = {
            "environment": environment_of(vault.folder),
            "command line": (vault.folder / "cmdline").read_bytes(),
            "log": vault.log.read_bytes(),
        }
        limits = (vault.folder / "limits").read_bytes()
        owner = (vault.folder / "environ").stat().st_uid
    assert b"PARLEY_DATABASE_URL" in seen["environment"] or os.geteuid() != 0
    assert b"services.key_vault" in seen["command line"]
    for place, content in seen.items():
        for canary in (kek, SECRETS[0]):
            assert canary.encode() not in content, place
    assert not (tmp_path / "kek").exists()
    assert b"Max core file size        0                    0" in limits
    assert owner == 0  # what is not dumpable belongs to root, whoever runs it (proc(5))
