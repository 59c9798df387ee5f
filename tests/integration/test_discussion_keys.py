"""Discussions wait for keys, and each key that comes to work wakes those that need it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.attempts import ProbeResult, RunAttempt
from contracts.discussion import DiscussionState
from contracts.failures import Invalid
from contracts.keys import KeyAdded, KeyQuarantined, KeyState, KeyVerified, KeyView
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from tests.eventually import eventually
from tests.house import KIMI, WITHIN, House
from tests.neighbours import ENDPOINT, Adapter, answer, error, of_key


async def test_a_new_key_runs_alone_until_it_has_proven_itself(house: House) -> None:
    await house.kimi_works()
    may_end = asyncio.Event()

    async def slowly(adapter: Adapter, command: RunAttempt) -> None:
        async def later() -> None:
            await may_end.wait()
            await answer(adapter, command)

        tasks.append(asyncio.create_task(later()))

    tasks: list[asyncio.Task[None]] = []
    house.adapter.script = slowly
    discussion = await house.open("riley-engstrom", "morgan-castellano")

    async def one_runs_one_waits() -> bool:
        view = await house.view(discussion)
        return sorted(turn.state.value for turn in view.turns) == ["running", "waiting"]

    await eventually(one_runs_one_waits)
    assert len(house.adapter.attempts) == 1
    may_end.set()
    await house.reaches(discussion, DiscussionState.COMPLETED)
    await asyncio.gather(*tasks)
    assert [report.accepted for report in house.vault.reports] == [True]


async def test_a_refused_key_parks_and_a_new_one_wakes(house: House) -> None:
    await house.kimi_works()

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "auth", evidence={"status": 401}))

    house.adapter.script = refuse
    discussion = await house.open("riley-engstrom")
    view = await house.reaches(discussion, DiscussionState.PARKED)
    assert view.turns[0].failure is not None
    assert view.turns[0].failure.class_ == "auth"
    another = await house.open("morgan-castellano")
    await house.reaches(another, DiscussionState.PARKED)
    assert len(house.adapter.attempts) == 1, "behind a closed gate nothing is asked"

    house.adapter.script = None
    await house.vault.activate("k1", version=2)

    for parked in (discussion, another):
        woken = await house.reaches(parked, DiscussionState.COMPLETED)
        assert woken.turns[0].state.value == "completed"

    async def reported() -> bool:
        return [report.accepted for report in house.vault.reports] == [False, True]

    await eventually(reported)
    told = [message.subject for message in await house.broker.stored("EVENTS")]
    gates = [subject.rpartition(".")[2] for subject in told if "Gate" in subject]
    assert gates == ["GateClosed", "GateOpened"]


async def test_a_late_refusal_of_a_former_key_does_not_park_for_ever(house: House) -> None:
    await house.kimi_works()
    asked: list[RunAttempt] = []

    async def hold_the_first(adapter: Adapter, command: RunAttempt) -> None:
        asked.append(command)
        if len(asked) > 1:
            await answer(adapter, command)

    house.adapter.script = hold_the_first
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: asked)
    await house.vault.activate("k1", version=2)
    await house.knows("SELECT 1 FROM keys WHERE version = 2")

    await house.adapter.end(error(asked[0], "auth", evidence={"status": 401}))

    await house.reaches(discussion, DiscussionState.COMPLETED)
    assert [command.key and command.key.version for command in asked] == [1, 2]


async def test_a_gate_that_opens_while_a_turn_is_being_parked_wakes_it(house: House) -> None:
    await house.kimi_works()

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "auth", evidence={"status": 401}))

    house.adapter.script = refuse
    first = await house.open("riley-engstrom")
    await house.reaches(first, DiscussionState.PARKED)
    house.adapter.script = None
    pool = await house.database.pool("discussion")
    await pool.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$;"
        "CREATE TRIGGER pause BEFORE UPDATE ON wakeups FOR EACH ROW "
        "WHEN (NEW.due_at = 'infinity') EXECUTE FUNCTION pause()"
    )
    blocked = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted HAVING count(*) >= "
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(42)")
        second = await house.open("morgan-castellano")
        await house.knows(f"SELECT 1 {blocked} 1")
        await house.vault.activate("k1", version=2)
        # Either the fact waits until the turn is parked, or it has had its effect before that.
        await house.knows(
            f"SELECT 1 WHERE (SELECT count(*) FROM inbox) > 1 OR EXISTS (SELECT {blocked} 2)"
        )

    await house.reaches(first, DiscussionState.COMPLETED)
    await house.reaches(second, DiscussionState.COMPLETED)


async def test_facts_of_a_key_count_in_the_order_in_which_they_were_stated(house: House) -> None:
    await house.kimi_works()
    await house.vault.state(
        of_key(
            KeyAdded,
            "k1",
            at=datetime.now(UTC) - timedelta(minutes=1),
            region="ai",
            fingerprint="f",
        ),
        "k1",
    )
    await house.knows("SELECT 1 FROM inbox HAVING count(*) > 1")

    discussion = await house.open("riley-engstrom")

    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_what_is_parked_for_one_key_goes_on_with_another(house: House) -> None:
    await house.kimi_works()
    await house.vault.activate("k2")
    await house.knows("SELECT 1 FROM keys WHERE key = 'k2'")

    async def refuse_k2(adapter: Adapter, command: RunAttempt) -> None:
        if command.key is not None and command.key.key == "k2":
            await adapter.end(error(command, "auth", evidence={"status": 401}))
        else:
            await answer(adapter, command)

    house.adapter.script = refuse_k2
    discussion = await house.open("riley-engstrom")
    await house.reaches(discussion, DiscussionState.PARKED)

    await house.vault.state(
        of_key(KeyQuarantined, "k2", reason="refused", next_step="add another"),
        "k2",
    )

    view = await house.reaches(discussion, DiscussionState.COMPLETED)
    assert view.turns[0].attempts == 2


async def test_a_verified_key_wakes_what_waits_for_money(house: House) -> None:
    await house.kimi_works()

    async def broke(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "billing", evidence={"status": 402}))

    house.adapter.script = broke
    discussion = await house.open("riley-engstrom")
    parked = await house.reaches(discussion, DiscussionState.PARKED)
    assert parked.turns[0].failure is not None
    assert "verify the key" in parked.turns[0].failure.next_step
    house.adapter.script = None

    await house.vault.state(
        of_key(KeyVerified, "k1"),
        "k1",
    )

    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_two_probes_at_once_are_both_answered(house: House) -> None:
    probes = (
        house.vault.bus.request(
            command_subject("discussion", "probe"),
            ProbeKey(
                workspace="default",
                provider="kimi",
                endpoint=ENDPOINT,
                key=f"k{number}",
                version=1,
            ),
            ProbeResult,
            within=WITHIN,
        )
        for number in range(8)
    )

    results = await asyncio.gather(*probes)

    assert [result.failure for result in results] == [None] * 8


async def test_nothing_is_asked_of_a_provider_without_a_key(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        await house.open("riley-engstrom")

    assert refused.value.problem.type == "no-key"
    assert "parley keys add kimi" in refused.value.problem.next_step


@pytest.mark.parametrize("model", [KIMI, ""], ids=["chosen", "left open"])
async def test_a_key_added_a_moment_ago_is_known(house: House, model: str) -> None:
    """key_vault's fact may still be on its way; then key_vault itself is asked."""
    house.vault.keys.append(
        KeyView(
            id="k1",
            version=1,
            provider="kimi",
            state=KeyState.ACTIVE,
            endpoint=ENDPOINT,
            region="ai",
            fingerprint="f",
        )
    )
    await house.probe("k1")

    discussion = await house.open("riley-engstrom", model=model)

    await house.reaches(discussion, DiscussionState.COMPLETED)
