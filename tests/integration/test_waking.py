"""What is parked has no timer: an event wakes it. One goes first, then all, the oldest first; and
should the gate close again, they are parked again without a storm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest_asyncio

from contracts.attempts import LiveModel, ProbeResult, RunAttempt
from contracts.discussion import DiscussionState, GetHistory, History
from contracts.keys import KeyRotated, KeyVerified
from contracts.supply import ListProviders, ProviderList
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import KIMI, House, running
from tests.neighbours import ENDPOINT, MODELS, Adapter, answer, error, neighbours, of_key

WAITERS = 6


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With a key that works."""
    await house.kimi_works()
    return house


def failing(class_: str, **more: object) -> Callable[[Adapter, RunAttempt], Awaitable[None]]:
    async def fail(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, class_, **more))

    return fail


async def prove_the_key(house: House) -> None:
    first = await house.open("riley-engstrom")
    await house.reaches(first, DiscussionState.COMPLETED)
    house.adapter.attempts.clear()


async def parked(house: House, class_: str, **more: object) -> list[str]:
    """Several discussions behind a gate that one request has closed, the oldest first."""
    house.adapter.script = failing(class_, **more)
    talks: list[str] = []
    for _ in range(WAITERS):
        talks.append(await house.open("riley-engstrom"))
        await house.reaches(talks[-1], DiscussionState.PARKED)
    assert len(house.adapter.attempts) == 1, "one request finds out, the others see its gate"
    house.adapter.attempts.clear()
    return talks


async def one_goes_first_then_all_in_order(
    house: House, talks: list[str], meanwhile: DiscussionState = DiscussionState.WAITING
) -> None:
    held = house.adapter.attempts
    await eventually(lambda: _true(held))
    for talk in talks[1:]:
        await house.reaches(talk, meanwhile)
    assert [command.discussion for command in held] == talks[:1]
    await answer(house.adapter, held[0])
    for number in range(1, len(talks)):
        await eventually(lambda number=number: _true(len(held) > number))
        await answer(house.adapter, held[number])
    for talk in talks:
        await house.reaches(talk, DiscussionState.COMPLETED)
    assert [command.discussion for command in held] == talks


async def _true(value: object) -> bool:
    return bool(value)


async def nothing(adapter: Adapter, command: RunAttempt) -> None:
    """Taken, and not answered yet."""


async def gates_of(house: House) -> list[str]:
    found = await house.ask("providers", ListProviders(workspace="default"), ProviderList)
    return [gate.gate for view in found.items if view.name == "kimi" for gate in view.gates]


async def facts(house: House, name: str) -> list[str]:
    """What has been stated of the provider as a whole."""
    pool = await house.database.pool("discussion")
    rows = await pool.fetch(
        "SELECT type FROM events WHERE stream = 'default-kimi' ORDER BY version"
    )
    return [row["type"] for row in rows if name in row["type"]]


# --- Keys -----------------------------------------------------------------------------------


async def test_a_rotated_key_wakes_what_waits_for_it(house: House) -> None:
    talks = await parked(house, "auth", evidence={"status": 401})
    house.adapter.script = nothing

    rotated = of_key(KeyRotated, "k1", version=2, fingerprint="f", account="k1")
    await house.vault.state(rotated, "k1")

    await one_goes_first_then_all_in_order(house, talks)
    assert {command.key.version for command in house.adapter.attempts if command.key} == {2}
    assert await gates_of(house) == []


async def test_another_key_that_becomes_active_wakes_it_too(house: House) -> None:
    talks = await parked(house, "auth", evidence={"status": 401})
    house.adapter.script = nothing

    await house.vault.activate("k2")

    await one_goes_first_then_all_in_order(house, talks)


async def test_a_key_that_is_good_after_all_proves_itself_anew(house: House) -> None:
    """It had worked, was refused once, and its confirmation succeeded: one goes first."""
    await prove_the_key(house)
    talks = await parked(house, "auth", evidence={"status": 401})
    house.adapter.script = nothing

    await house.vault.activate("k1")

    await one_goes_first_then_all_in_order(house, talks)


async def test_a_new_key_that_is_bad_too_costs_one_request(house: House) -> None:
    talks = await parked(house, "auth", evidence={"status": 401})

    await house.vault.activate("k2")

    await eventually(lambda: _closes(house, "key:k2:1"))
    for talk in talks:
        await house.reaches(talk, DiscussionState.PARKED)
    assert len(house.adapter.attempts) == 1


async def test_no_time_opens_the_gate_of_a_key(house: House) -> None:
    talks = await parked(house, "auth", evidence={"status": 401})

    await house.later(timedelta(days=40))
    late = await house.open("riley-engstrom")

    await house.reaches(late, DiscussionState.PARKED)
    for talk in talks:
        await house.reaches(talk, DiscussionState.PARKED)
    assert house.adapter.attempts == []


# --- Quotas ---------------------------------------------------------------------------------


async def verified(house: House) -> None:
    """Somebody has topped up, and asked to look at the key again."""
    fact = of_key(KeyVerified, "k1", models=len(MODELS))
    await house.vault.state(fact, "k1")


async def test_a_quota_that_is_there_again_wakes_what_waits_for_it(house: House) -> None:
    await prove_the_key(house)
    talks = await parked(house, "billing", evidence={"status": 402})
    house.adapter.script = nothing

    await verified(house)

    await one_goes_first_then_all_in_order(house, talks)


async def test_a_gate_that_closes_again_parks_them_again_without_a_storm(house: House) -> None:
    await prove_the_key(house)
    talks = await parked(house, "billing", evidence={"status": 402})

    for times in (1, 2, 3):
        await verified(house)
        await eventually(lambda times=times: _true(len(house.adapter.attempts) == times))
        await eventually(lambda: _closes(house, f"billing:{ENDPOINT}:k1"))
        for talk in talks:
            await house.reaches(talk, DiscussionState.PARKED)
    assert len(house.adapter.attempts) == 3


async def _closes(house: House, gate: str) -> bool:
    return gate in await gates_of(house)


async def test_a_plans_window_opens_by_itself_when_it_was_said_to(house: House) -> None:
    await prove_the_key(house)
    talks = await parked(
        house, "billing", hint="plan", evidence={"status": 403, "retry_after": 3 * 3600}
    )
    view = await house.view(talks[0])
    failure = view.turns[0].failure
    assert failure is not None
    assert failure.not_before is not None
    assert timedelta(hours=2) < failure.not_before - datetime.now(UTC) <= timedelta(hours=3)
    house.adapter.script = nothing

    looks = len(house.adapter.probes)

    await house.later(timedelta(hours=2, minutes=55))
    assert (house.adapter.attempts, len(house.adapter.probes)) == ([], looks)
    await house.later(timedelta(minutes=6))

    await one_goes_first_then_all_in_order(house, talks, DiscussionState.PARKED)
    assert await facts(house, "quota_restored") == ["discussion.quota_restored.v1"]
    assert len(await facts(house, "gate_opened")) == 1


async def test_a_named_time_that_is_garbage_is_no_time(house: House) -> None:
    for garbage in (1e12, -1.0):
        house.adapter.script = failing("billing", evidence={"status": 402, "retry_after": garbage})
        talk = await house.open("riley-engstrom")
        view = await house.reaches(talk, DiscussionState.PARKED)
        failure = view.turns[0].failure
        assert failure is not None
        assert failure.not_before is None
        await verified(house)
        await eventually(lambda: _true(house.adapter.attempts))


# --- Models ---------------------------------------------------------------------------------


async def look(house: House, *models: str) -> None:
    """The catalog is read again: it lists these."""
    house.adapter.probe = ProbeResult(models=[LiveModel(id=model) for model in models])
    await house.kimi_works()


async def test_a_model_that_is_listed_again_wakes_what_waits_for_it(house: House) -> None:
    await prove_the_key(house)
    talks = await parked(house, "model", evidence={"status": 404})
    house.adapter.script = nothing

    await look(house, *MODELS)

    await one_goes_first_then_all_in_order(house, talks)
    assert len(await facts(house, "gate_opened")) == 1


async def test_a_catalog_without_the_model_opens_nothing(house: House) -> None:
    await prove_the_key(house)
    talks = await parked(house, "model", evidence={"status": 404})
    pool = await house.database.pool("discussion")
    before = len(await facts(house, "catalog_refreshed"))

    house.adapter.probe = ProbeResult(models=[LiveModel(id="kimi-k3")])
    await pool.execute("UPDATE wakeups SET due_at = clock() WHERE kind = 'look'")
    await eventually(lambda: _more(house, before))

    assert await gates_of(house) == [f"model:{ENDPOINT}:{KIMI.partition('/')[2]}"]
    assert (await house.view(talks[0])).state is DiscussionState.PARKED
    assert house.adapter.attempts == []


async def _more(house: House, before: int) -> bool:
    return len(await facts(house, "catalog_refreshed")) > before


# --- Long waits -----------------------------------------------------------------------------


async def test_a_long_wait_outlasts_the_service(database: Database, broker: Broker) -> None:
    adapter, vault = await neighbours(broker)
    house = House(await broker.bus("edge"), adapter, vault, database, broker)
    adapter.script = failing("throttled", evidence={"status": 429, "retry_after": 3600})
    async with running(database, broker):
        await house.kimi_works()
        talk = await house.open("riley-engstrom")
        waiting = await house.reaches(talk, DiscussionState.WAITING)
        failure = waiting.turns[0].failure
        assert failure is not None
        assert failure.not_before is not None
        assert failure.not_before - datetime.now(UTC) > timedelta(minutes=59)
    adapter.script = None

    async with running(database, broker):
        other = await house.open("riley-engstrom")
        held = await house.reaches(other, DiscussionState.WAITING)
        assert held.turns[0].attempts == 0, "the account is left alone, whoever asks"
        assert len(adapter.attempts) == 1
        await house.later(timedelta(minutes=61))
        for each in (talk, other):
            await house.reaches(each, DiscussionState.COMPLETED)

    assert len(adapter.attempts) == 3


async def test_a_daily_limit_is_told_as_one(house: House) -> None:
    house.adapter.script = failing(
        "throttled", hint="daily", evidence={"status": 429, "retry_after": 1.0}
    )
    first = await house.open("riley-engstrom")
    await house.reaches(first, DiscussionState.WAITING)
    second = await house.open("riley-engstrom")
    view = await house.reaches(second, DiscussionState.WAITING)

    failure = view.turns[0].failure
    assert failure is not None
    assert "daily limit" in failure.title
    assert len(house.adapter.attempts) == 1
    history = await house.ask(
        "history", GetHistory(workspace="default", discussion=second), History
    )
    assert history.items[-1].event["reason"] == "daily"
