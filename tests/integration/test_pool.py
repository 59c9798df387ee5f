"""Several keys share the work; those of one account share its limits."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import msgspec
import pytest_asyncio

from contracts.attempts import RunAttempt
from contracts.discussion import DiscussionState
from contracts.supply import ListProviders, ProviderList, SetLimits
from contracts.supply import ProviderView as View
from tests.eventually import eventually
from tests.house import House
from tests.neighbours import Adapter, answer, completed, error


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With one key, k1, that has proven itself."""
    await house.kimi_works()
    await house.reaches(await house.open("riley-engstrom"), DiscussionState.COMPLETED)
    house.adapter.attempts.clear()
    return house


async def second_key(house: House, *, pool: bool) -> None:
    await house.vault.add("k2", pool=pool)
    await house.vault.activate("k2")
    await house.knows(f"SELECT state = 'active' AND pooled = {pool} FROM keys WHERE key = 'k2'")


async def held(_: Adapter, __: RunAttempt) -> None:
    """It is being answered for as long as the test lasts."""


def used(house: House) -> list[str]:
    return sorted(attempt.key.key for attempt in house.adapter.attempts if attempt.key)


async def at_work(house: House, *keys: str) -> None:
    async def so() -> bool:
        assert len(house.adapter.attempts) <= len(keys)
        return used(house) == sorted(keys)

    await eventually(so)


async def kimi(house: House) -> View:
    found = await house.ask("providers", ListProviders(workspace="default"), ProviderList)
    return next(view for view in found.items if view.name == "kimi")


async def test_without_a_pool_the_newest_key_does_it_all(house: House) -> None:
    await second_key(house, pool=False)
    for _ in range(3):
        await house.reaches(await house.open("riley-engstrom"), DiscussionState.COMPLETED)
    assert used(house) == ["k2", "k2", "k2"]


async def test_each_request_goes_to_the_key_that_can_take_it_soonest(house: House) -> None:
    await house.ask(
        "limits", SetLimits(workspace="default", provider="kimi", limits={"concurrency": 2}), View
    )
    await second_key(house, pool=True)
    house.adapter.script = held
    talks = [await house.open("riley-engstrom")]
    await at_work(house, "k2")
    # k2 has not proven itself and runs alone, k1 has two places; then all are taken.
    for keys in (("k1",), ("k1", "k1")):
        talks.append(await house.open("riley-engstrom"))
        await at_work(house, "k2", *keys)
    last = await house.open("riley-engstrom")
    await house.reaches(last, DiscussionState.WAITING)
    # Whichever is free first takes it.
    house.adapter.script = None
    first = next(each for each in house.adapter.attempts if each.key and each.key.key == "k1")
    await answer(house.adapter, first)
    await house.reaches(last, DiscussionState.COMPLETED)
    assert used(house) == ["k1", "k1", "k1", "k2"]


async def test_what_one_account_refuses_another_can_do(house: House) -> None:
    await second_key(house, pool=True)

    async def out_of_money(adapter: Adapter, command: RunAttempt) -> None:
        if command.key and command.key.key == "k2":
            await adapter.end(error(command, "billing", evidence={"status": 402}))
        else:
            await answer(adapter, command)

    house.adapter.script = out_of_money
    view = await house.reaches(await house.open("riley-engstrom"), DiscussionState.COMPLETED)
    assert used(house) == ["k1", "k2"]
    assert view.turns[0].attempts == 2


async def test_keys_of_one_account_share_its_limits(house: House) -> None:
    await house.ask(
        "limits", SetLimits(workspace="default", provider="kimi", limits={"concurrency": 1}), View
    )
    await second_key(house, pool=True)
    for key in ("k1", "k2"):
        await house.vault.name_account(key, "acct-1")
        await house.knows(f"SELECT account = 'acct-1' FROM keys WHERE key = '{key}'")
    assert [account.account for account in (await kimi(house)).accounts] == ["acct-1"]

    house.adapter.script = held
    await house.open("riley-engstrom")
    await eventually(partial(_asked, house, 1))
    second = await house.open("riley-engstrom")
    await house.reaches(second, DiscussionState.WAITING)
    await house.later(timedelta(seconds=16))
    await house.knows("SELECT 1 FROM wakeups WHERE kind = 'turn' AND due_at > clock()")
    assert len(house.adapter.attempts) == 1, "it has looked again, in vain"
    assert [(one.in_flight, one.in_line) for one in (await kimi(house)).accounts] == [(1, 1)]


async def test_what_runs_while_the_account_gets_its_name_gives_its_place_back(
    house: House,
) -> None:
    house.adapter.script = held
    talk = await house.open("riley-engstrom")
    await eventually(partial(_asked, house, 1))
    await house.vault.name_account("k1", "acct-1")
    await house.knows("SELECT account = 'acct-1' FROM attempts")
    assert [(one.account, one.in_flight) for one in (await kimi(house)).accounts] == [("acct-1", 1)]
    await answer(house.adapter, house.adapter.attempts[0])
    await house.reaches(talk, DiscussionState.COMPLETED)
    assert [(one.account, one.in_flight) for one in (await kimi(house)).accounts] == [("acct-1", 0)]


async def test_the_vault_is_told_once_whose_a_key_is(house: House) -> None:
    async def told() -> bool:
        return bool(house.vault.reports)

    await eventually(told)  # that the key works
    house.vault.reports.clear()

    async def named(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(msgspec.structs.replace(completed(command, "Yes."), account="hash"))

    house.adapter.script = named
    for _ in range(3):
        await house.reaches(await house.open("riley-engstrom"), DiscussionState.COMPLETED)

    await eventually(told)
    assert [(one.key, one.accepted, one.account) for one in house.vault.reports] == [
        ("k1", None, "hash")
    ]


async def _asked(house: House, times: int) -> bool:
    return len(house.adapter.attempts) == times
