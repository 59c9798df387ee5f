"""Endpoints of a workspace's own, as discussion follows the vault's facts of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from contracts.attempts import LiveModel, ProbeResult, RunAttempt
from contracts.discussion import DiscussionState
from contracts.endpoints import CustomProvider
from contracts.failures import Invalid
from contracts.keys import EndpointChanged
from contracts.supply import ListModels, ListProviders, ModelList, ProviderList
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import House, running
from tests.neighbours import Adapter, answer, error, neighbours

BASE = "https://llm.acme.example/v1"
ELSEWHERE = "https://llm.elsewhere.example/v1"
ACME = CustomProvider(name="acme", base_url=BASE, title="Acme")


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
