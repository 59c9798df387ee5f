"""What tests of the vault ask for by name: its database, and the vault among its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from contracts.supply import ProbeKey
from services.key_vault.identity import open_identity
from services.key_vault.inbox import Inbox
from services.key_vault.keks import Keks
from services.key_vault.sql import SCHEMA
from services.key_vault.store import Store
from services.key_vault.verification import Verification
from shared.bus import Verb
from shared.database import Pool
from tests.brokers import Broker
from tests.databases import Database
from tests.strongroom import World


@pytest_asyncio.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("key_vault", SCHEMA[1:])


@pytest_asyncio.fixture
async def world(pool: Pool, broker: Broker, tmp_path: Path) -> World:
    bus = await broker.bus("key_vault")
    store = Store(pool, await open_identity(pool, Keks(tmp_path / "kek")), lambda: None)
    verification = Verification(store, bus)
    await bus.serve("key_vault", Inbox(store, verification).verbs())
    made = World(
        store,
        verification,
        edge=await broker.bus("edge"),
        adapter=await broker.bus("provider_adapter"),
        discussion=await broker.bus("discussion"),
    )
    await made.discussion.serve("discussion", [Verb("probe", ProbeKey, made.probe)])
    return made


@pytest.fixture(autouse=True)
def no_address_of_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KIMI_BASE_URL", "KIMI_CN_BASE_URL", "KIMI_CODE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
