"""Endpoints of a workspace's own, as facts of the vault and as discussion follows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.attempts import LiveModel, ProbeResult, RunAttempt
from contracts.discussion import DiscussionState
from contracts.endpoints import CustomProvider
from contracts.failures import Conflict, Invalid, NotFound
from contracts.keys import (
    AddEndpoint,
    ChangeEndpoint,
    Done,
    EnableKey,
    EndpointChanged,
    EndpointList,
    EndpointView,
    KeyState,
    KeyView,
    ListEndpoints,
    RemoveEndpoint,
    VerifyKey,
)
from contracts.supply import ListModels, ListProviders, ModelList, ProbeKey, ProviderList
from services.key_vault import addressbook
from services.key_vault.identity import open_identity
from services.key_vault.inbox import Inbox
from services.key_vault.keks import Keks
from services.key_vault.projections import project
from services.key_vault.sql import SCHEMA
from services.key_vault.store import Store
from services.key_vault.verification import Verification
from shared.bus import Verb
from shared.database import Pool, transaction
from shared.sealing import RecipientKey
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.integration.test_discussion import House, running
from tests.integration.test_vault import SECRET, World
from tests.neighbours import Adapter, answer, error, neighbours

BASE = "https://llm.acme.example/v1"
ELSEWHERE = "https://llm.elsewhere.example/v1"
ACME = CustomProvider(name="acme", base_url=BASE, title="Acme")


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


async def add(world: World, row: CustomProvider = ACME, workspace: str = "default") -> EndpointView:
    wish = AddEndpoint(workspace=workspace, endpoint=row, by="owner")
    return await world.ask(world.edge, "add_endpoint", wish, EndpointView)


async def change(world: World, row: CustomProvider) -> EndpointView:
    wish = ChangeEndpoint(workspace="default", endpoint=row)
    return await world.ask(world.edge, "change_endpoint", wish, EndpointView)


async def remove(world: World, name: str = "acme") -> None:
    wish = RemoveEndpoint(workspace="default", name=name)
    await world.ask(world.edge, "remove_endpoint", wish, Done)


async def listed(world: World, workspace: str = "default") -> list[EndpointView]:
    wish = ListEndpoints(workspace=workspace)
    return (await world.ask(world.edge, "list_endpoints", wish, EndpointList)).items


# --- The vault ------------------------------------------------------------------------------


async def test_an_endpoint_is_a_provider_that_keys_can_be_of(world: World) -> None:
    with pytest.raises(Invalid) as unknown:
        await world.add(provider="acme")
    assert unknown.value.problem.type == "unknown-provider"
    view = await add(world, CustomProvider(name="acme", base_url="https://LLM.acme.example/v1/"))
    assert (view.base_url, view.configured) == (BASE, False)

    key = await world.add(provider="acme")

    assert (key.state, key.endpoint, key.provider) == (KeyState.ACTIVE, BASE, "acme")
    assert world.asked[-1].custom == CustomProvider(name="acme", base_url=BASE)
    await world.lease(key, RecipientKey.generate())
    with pytest.raises(Invalid) as near:
        await world.add(provider="acmee")
    assert near.value.problem.nearest == ["acme"]


async def test_it_is_the_workspaces_alone(world: World) -> None:
    await add(world)
    assert await listed(world, "other") == []
    with pytest.raises(Invalid):
        await world.add(provider="acme", workspace="other")


@pytest.mark.parametrize(
    ("row", "slug"),
    [
        (CustomProvider(name="acme", base_url="http://169.254.169.254/"), "bad-base-url"),
        (CustomProvider(name="acme", base_url="https://10.0.0.1/v1"), "bad-base-url"),
        (CustomProvider(name="Acme", base_url=BASE), "bad-name"),
        (CustomProvider(name="acme", base_url=BASE, limits={"rps": 1}), "bad-limits"),
        (CustomProvider(name="acme", base_url=BASE, limits={"rpm": 0}), "bad-limits"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused_with_the_rule(
    world: World, row: CustomProvider, slug: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await add(world, row)
    assert refused.value.problem.type == slug
    assert refused.value.problem.next_step
    assert await listed(world) == []


async def test_a_taken_name_is_refused(world: World) -> None:
    await add(world)
    for row in (ACME, CustomProvider(name="kimi", base_url=BASE)):
        with pytest.raises(Conflict) as refused:
            await add(world, row)
        assert refused.value.problem.type == "endpoint-name-taken"


async def test_what_the_operator_has_configured_is_the_operators(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_ENDPOINTS", "acme")
    monkeypatch.setenv("ACME_BASE_URL", "http://127.0.0.1:9/v1/")
    (view,) = await listed(world)
    assert (view.base_url, view.configured) == ("http://127.0.0.1:9/v1", True)
    with pytest.raises(Conflict):
        await add(world)
    with pytest.raises(Conflict):
        await remove(world)
    key = await world.add(provider="acme")
    assert (key.state, key.endpoint) == (KeyState.ACTIVE, "http://127.0.0.1:9/v1")

    # At the next start the address is another one: the key is not sent there by itself.
    monkeypatch.setenv("ACME_BASE_URL", "http://127.0.0.1:10/v1")
    await addressbook.settle(world.store)
    aside = await world.key(key)
    assert aside.state is KeyState.QUARANTINED
    assert "does not follow to another address" in aside.reason


async def test_a_key_does_not_follow_its_endpoint_to_another_address(world: World) -> None:
    await add(world)
    key = await world.add(provider="acme")
    asked = len(world.asked)

    moved = await change(world, CustomProvider(name="acme", base_url=ELSEWHERE, title="Acme"))

    assert moved.reason.startswith("1 of its keys")
    aside = await world.key(key)
    assert (aside.state, aside.endpoint) == (KeyState.QUARANTINED, BASE)
    assert "Rotate the key" in aside.next_step
    for purpose in ("attempt", "probe"):
        with pytest.raises(Conflict):
            await world.lease(key, RecipientKey.generate(), purpose)
    verify = VerifyKey(workspace="default", key=key.id)
    with pytest.raises(Conflict) as refused:
        await world.ask(world.edge, "verify", verify, KeyView)
    assert refused.value.problem.type == "key-left-behind"
    assert len(world.asked) == asked  # it was shown to nobody

    # Whoever enters the secret once more means the address of now.
    rotated = await world.rotate(aside, SECRET)
    assert (rotated.state, rotated.endpoint, rotated.version) == (KeyState.ACTIVE, ELSEWHERE, 2)
    assert world.asked[-1].endpoint == ELSEWHERE
    await world.lease(rotated, RecipientKey.generate())


async def test_other_options_leave_the_keys_alone(world: World) -> None:
    await add(world)
    key = await world.add(provider="acme")
    changed = await change(world, CustomProvider(name="acme", base_url=BASE, limits={"rpm": 5}))
    assert (changed.limits, changed.reason) == ({"rpm": 5}, "")
    assert (await world.key(key)).state is KeyState.ACTIVE


async def test_keys_of_a_removed_endpoint_are_lent_to_nobody(world: World) -> None:
    await add(world)
    key = await world.add(provider="acme")
    await remove(world)

    assert await listed(world) == []
    aside = await world.key(key)
    assert aside.state is KeyState.QUARANTINED
    assert "was removed" in aside.reason
    with pytest.raises(Conflict):
        await world.lease(key, RecipientKey.generate(), "probe")
    with pytest.raises(Conflict):
        await world.ask(world.edge, "enable", EnableKey(workspace="default", key=key.id), KeyView)
    await world.report(key, accepted=True)  # a late word changes nothing, and is no fault
    with pytest.raises(NotFound):
        await remove(world)

    await add(world)
    verify = VerifyKey(workspace="default", key=key.id)
    again = await world.ask(world.edge, "verify", verify, KeyView)
    assert again.state is KeyState.ACTIVE


async def test_the_endpoints_can_be_made_again_from_the_journal(world: World) -> None:
    await add(world)
    await change(world, CustomProvider(name="acme", base_url=ELSEWHERE))
    await add(world, CustomProvider(name="lab", base_url=BASE))
    await remove(world, "lab")
    before = await listed(world)
    async with transaction(world.store.pool) as conn:
        await conn.execute("TRUNCATE endpoints")
        facts = await world.store.journal.read_all(conn, after=0, limit=100)
        await project(conn, [f.event for f in facts if isinstance(f.event, EndpointChanged)])
    assert await listed(world) == before
    assert [view.name for view in before] == ["acme"]


# --- Discussion -----------------------------------------------------------------------------


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    adapter, vault = await neighbours(broker)
    adapter.probe = ProbeResult(models=[LiveModel(id="big")])
    async with running(database, broker):
        yield House(await broker.bus("edge"), adapter, vault, database, broker)


async def models(house: House) -> set[str]:
    found = await house.ask("models", ListModels(workspace="default"), ModelList)
    return {view.id for view in found.items if not view.retired}


async def state(house: House, row: CustomProvider, *, removed: bool = False) -> None:
    fact = EndpointChanged(
        at=datetime.now(UTC),
        workspace="default",
        provider=row.name,
        endpoint=row.base_url,
        row=None if removed else row,
        removed=removed,
    )
    await house.vault.state(fact, "Endpoints_default")


LAB = CustomProvider(name="lab", base_url=BASE, title="Lab", needs_key=False)


async def test_an_endpoint_without_keys_is_there_as_soon_as_it_is_told_of(house: House) -> None:
    await state(house, LAB)

    async def there() -> bool:
        return "lab/big" in await models(house)

    await eventually(there)
    assert house.adapter.probes[-1].custom == LAB
    view = await house.reaches(
        await house.open("riley-engstrom", model="lab/big"), DiscussionState.COMPLETED
    )
    assert view.turns[0].text == "big says hello."
    asked = house.adapter.attempts[-1]
    assert (asked.provider, asked.endpoint, asked.custom) == ("lab", BASE, LAB)
    listed = await house.ask("providers", ListProviders(workspace="default"), ProviderList)
    (shown,) = [each for each in listed.items if each.name == "lab"]
    assert (shown.title, shown.available, shown.custom) == ("Lab", True, LAB)


async def test_what_needs_a_removed_endpoint_is_parked_and_goes_on_when_it_is_back(
    house: House,
) -> None:
    await state(house, LAB)

    async def there() -> bool:
        return "lab/big" in await models(house)

    async def gone() -> bool:
        return not await there()

    await eventually(there)
    removed = asyncio.Event()

    async def fail_once(adapter: Adapter, command: RunAttempt) -> None:
        if len(adapter.attempts) > 1:
            await answer(adapter, command)
            return
        await state(house, LAB, removed=True)
        await eventually(gone)
        await adapter.end(error(command, "transient"))
        removed.set()

    house.adapter.script = fail_once
    discussion = await house.open("riley-engstrom", model="lab/big")
    await removed.wait()
    parked = await house.reaches(discussion, DiscussionState.PARKED)
    failure = parked.turns[0].failure
    assert failure is not None
    assert failure.title == "There is no provider lab any more"
    assert "parley endpoints add lab" in failure.next_step
    with pytest.raises(Invalid) as refused:
        await house.open("riley-engstrom", model="lab/big")
    assert refused.value.problem.type == "unknown-provider"

    await state(house, LAB)
    await house.reaches(discussion, DiscussionState.COMPLETED)
