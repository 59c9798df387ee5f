"""Endpoints of a workspace's own, as facts of the vault."""

from __future__ import annotations

import pytest

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
from services.key_vault import addressbook
from services.key_vault.projections import project
from shared.database import transaction
from shared.sealing import RecipientKey
from tests.strongroom import SECRET, World

BASE = "https://llm.acme.example/v1"
ELSEWHERE = "https://llm.elsewhere.example/v1"
ACME = CustomProvider(name="acme", base_url=BASE, title="Acme")


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
