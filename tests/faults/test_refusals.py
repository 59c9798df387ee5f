"""What a provider may say, and what comes of it: the rows of the matrix where it answers badly.

Discussion is the whole service, on a true database and broker; the provider is what it hears.
Time is the database's, and jumps.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from msgspec.structs import replace

from contracts.attempts import RunAttempt
from contracts.discussion import DiscussionState
from contracts.discussion_events import (
    AttemptFailed,
    AttemptStarted,
    TurnCompleted,
    TurnWaiting,
)
from contracts.failures import FailureClass
from services.discussion.spending import MEMORY
from services.discussion.wakeups import AT_ONCE
from tests import invariants
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.faults.conftest import house_on
from tests.faults.steps import (
    OVER,
    Held,
    all_reach,
    asked,
    at_rest,
    breakers,
    failing,
    kimi,
    limit,
    now,
    once,
    passes,
    prove_the_key,
    started_since,
    suspect,
    talks,
    verified,
    without_a_timer,
    written,
)
from tests.house import House
from tests.neighbours import Adapter, answer, completed

COMPLETED, FAILED = DiscussionState.COMPLETED, DiscussionState.FAILED
PARKED, WAITING = DiscussionState.PARKED, DiscussionState.WAITING
TEN_MINUTES = 600
MINUTE = MEMORY.total_seconds() + 1
"""After so long nothing that was asked before counts any more."""
UNAUTHORISED = failing("auth", 401)

# --- A key that is refused ------------------------------------------------------------------


async def test_a_key_that_never_worked_costs_one_request_and_then_nothing(house: House) -> None:
    house.adapter.script = UNAUTHORISED
    waiting = await talks(house, 5)

    await all_reach(house, waiting, PARKED)
    await passes(house, TEN_MINUTES)

    await without_a_timer(house)
    assert len(house.adapter.attempts) == 1
    failure = (await house.view(waiting[-1])).turns[0].failure
    assert failure is not None
    assert failure.class_ is FailureClass.AUTH


async def test_a_key_that_has_worked_is_doubted_and_goes_on_once_it_is_confirmed(
    house: House,
) -> None:
    await prove_the_key(house)
    house.adapter.script = once(UNAUTHORISED)
    (first,) = await talks(house, 1)
    await house.reaches(first, PARKED)
    await suspect(house)
    (second,) = await talks(house, 1)
    await house.reaches(second, WAITING)
    await passes(house, 45)
    await at_rest(house)
    assert len(house.adapter.attempts) == 2

    await house.vault.activate("k1")

    await all_reach(house, [first, second], COMPLETED)
    assert len(house.adapter.attempts) == 4


async def test_a_new_secret_wakes_thirty_and_one_of_them_goes_first(house: House) -> None:
    await limit(house, rpm=60_000, concurrency=100)
    house.adapter.script = UNAUTHORISED
    parked = await talks(house, 30)
    await all_reach(house, parked, PARKED)
    held = Held(house)

    await house.vault.activate("k1", version=2)

    (first,) = await held.has(1)
    assert first.discussion in parked[:AT_ONCE], "one of the oldest goes first"
    await at_rest_but_for(house, 1)
    assert len(held.asked) == 1, "one alone shows that the new secret works"
    house.adapter.script = None
    await answer(house.adapter, first)
    await all_reach(house, parked, COMPLETED)
    assert len(house.adapter.attempts) == 1 + 30


async def at_rest_but_for(house: House, running: int) -> None:
    await house.knows(
        f"SELECT 1 WHERE (SELECT count(*) FROM attempts) = {running} AND NOT EXISTS ("
        "SELECT FROM wakeups WHERE kind = 'turn' AND due_at <= clock())"
    )


async def test_a_rotation_told_twice_and_an_old_one_told_late_change_nothing(
    house: House,
) -> None:
    house.adapter.script = UNAUTHORISED
    parked = await talks(house, 3)
    await all_reach(house, parked, PARKED)
    held = Held(house)

    for version in (2, 2, 1):
        await house.vault.activate("k1", version=version)
    await house.knows("SELECT 1 FROM inbox HAVING count(*) >= 4")

    (first,) = await held.has(1)
    await at_rest_but_for(house, 1)
    assert [one.key and one.key.version for one in held.asked] == [2]
    house.adapter.script = None
    await answer(house.adapter, first)
    await all_reach(house, parked, COMPLETED)
    versions = [one.key and one.key.version for one in house.adapter.attempts]
    assert versions == [1, 2, 2, 2]


async def test_a_new_secret_that_is_bad_too_costs_one_request(house: House) -> None:
    house.adapter.script = UNAUTHORISED
    parked = await talks(house, 3)
    await all_reach(house, parked, PARKED)

    await house.vault.activate("k1", version=2)

    await asked(house, 2)
    await without_a_timer(house)
    await passes(house, TEN_MINUTES)
    await without_a_timer(house)
    assert [one.key and one.key.version for one in house.adapter.attempts] == [1, 2]
    await all_reach(house, parked, PARKED)


# --- A model, a request, money --------------------------------------------------------------


async def test_a_model_that_is_gone_stops_nobody_on_another_one(house: House) -> None:
    await prove_the_key(house)

    async def no_k3(adapter: Adapter, command: RunAttempt) -> None:
        gone = failing("model", 404, type="resource_not_found_error")
        await (gone if command.model == "kimi-k3" else answer)(adapter, command)

    house.adapter.script = no_k3
    gone = await talks(house, 3, model="kimi/kimi-k3")
    there = await talks(house, 3)

    await all_reach(house, gone, PARKED)
    await all_reach(house, there, COMPLETED)
    assert [one.model for one in house.adapter.attempts].count("kimi-k3") <= 3
    before = len(house.adapter.attempts)
    (late,) = await talks(house, 1, model="kimi/kimi-k3")
    await house.reaches(late, PARKED)
    await without_a_timer(house)
    assert len(house.adapter.attempts) == before, "behind the gate nothing is asked"
    assert await breakers(house) == 0


@pytest.mark.parametrize("hint", ["context_length", "content_filter", ""])
async def test_a_request_at_fault_fails_at_once_and_is_never_sent_again(
    house: House, hint: str
) -> None:
    await prove_the_key(house)
    house.adapter.script = failing("request", 400, hint=hint)
    (talk,) = await talks(house, 1)

    view = await house.reaches(talk, FAILED)

    assert view.turns[0].attempts == 1
    failure = view.turns[0].failure
    assert failure is not None
    assert failure.class_ is FailureClass.REQUEST
    assert failure.next_step
    await without_a_timer(house)
    assert await breakers(house) == 0


@pytest.mark.parametrize("reason", ["content_filter", "length"])
async def test_an_answer_that_was_ended_early_says_why(house: House, reason: str) -> None:
    async def ended(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(replace(completed(command, "So far"), finish_reason=reason))

    house.adapter.script = ended
    (talk,) = await talks(house, 1)

    view = await house.reaches(talk, COMPLETED)

    assert (view.turns[0].text, view.turns[0].attempts) == ("So far", 1)
    (story,) = (await written(house)).stories.values()
    assert [e.finish_reason for e in story if isinstance(e, TurnCompleted)] == [reason]


@pytest.mark.parametrize("status", [402, 403, 429])
async def test_without_money_nothing_is_asked_until_somebody_has_paid(
    house: House, status: int
) -> None:
    await prove_the_key(house)
    house.adapter.script = once(failing("billing", status))
    (first,) = await talks(house, 1)
    await house.reaches(first, PARKED)
    rest = await talks(house, 3)
    await all_reach(house, rest, PARKED)
    await passes(house, 3600)
    await without_a_timer(house)
    assert len(house.adapter.attempts) == 2

    await verified(house)

    await all_reach(house, [first, *rest], COMPLETED)
    assert len(house.adapter.attempts) == 2 + 4


# --- Limits ---------------------------------------------------------------------------------


async def test_the_silence_that_was_asked_for_is_kept_by_every_replica(
    database: Database, broker: Broker
) -> None:
    async with house_on(database, broker, replicas=2) as house:
        await prove_the_key(house)
        house.adapter.script = once(failing("throttled", 429, retry_after=70))
        (first,) = await talks(house, 1)
        await house.reaches(first, WAITING)
        rest = await talks(house, 4)
        await all_reach(house, rest, WAITING)
        await passes(house, 40)
        await at_rest(house)
        assert len(house.adapter.attempts) == 2
        await passes(house, 60)

        await all_reach(house, [first, *rest], COMPLETED)
        found = await written(house)
        (refused,) = (
            event
            for story in found.stories.values()
            for event in story
            if isinstance(event, AttemptFailed)
        )
        after = await started_since(house, refused.at)
        assert len(after) == 5
        assert min(event.at for event in after) >= refused.at + timedelta(seconds=70)


async def test_a_limit_that_is_named_holds_and_its_hint_is_no_schedule(house: House) -> None:
    await prove_the_key(house)
    tier0 = failing("throttled", 429, retry_after=1, limits={"rpm": 3})
    house.adapter.script = once(tier0)
    (first,) = await talks(house, 1)
    await house.reaches(first, WAITING)
    refused_at = await now(house)
    (account,) = (one for one in (await kimi(house)).accounts if one.learnt)
    assert account.learnt == {"rpm": 3}

    all_of_them = [first, *await talks(house, 6)]
    for _ in range(len(all_of_them) + 3):  # a minute begins with what was asked before
        await at_rest(house)
        await passes(house, MINUTE / 3)

    await all_reach(house, all_of_them, COMPLETED)
    later = await started_since(house, refused_at)
    assert len(later) == 7
    invariants.no_minute_holds_more((event.at for event in later), 3)


async def test_a_named_concurrency_is_kept(house: House) -> None:
    await prove_the_key(house)
    one_place = failing("throttled", 429, hint="concurrency", limits={"concurrency": 1})
    house.adapter.script = once(one_place)
    (first,) = await talks(house, 1)
    await house.reaches(first, WAITING)
    held = Held(house)
    await passes(house, 10)
    await held.has(1)
    rest = await talks(house, 3)
    await all_reach(house, rest, WAITING)

    for number in range(1, 5):
        await at_rest_but_for(house, 1)
        running = (await held.has(number))[-1]
        await answer(house.adapter, running)

    await all_reach(house, [first, *rest], COMPLETED)


async def test_what_cannot_fit_a_named_limit_fails_instead_of_waiting_for_ever(
    house: House,
) -> None:
    await prove_the_key(house)
    house.adapter.script = once(failing("throttled", 429, limits={"tpm": 100}))
    (talk,) = await talks(house, 1)
    await house.reaches(talk, WAITING)

    await passes(house, 10)

    view = await house.reaches(talk, FAILED)
    failure = view.turns[0].failure
    assert failure is not None
    assert "100 a minute" in failure.detail
    assert len(house.adapter.attempts) == 2
    await without_a_timer(house)


async def test_a_day_is_waited_for_as_durably_as_a_second(house: House) -> None:
    await prove_the_key(house)
    house.adapter.script = once(failing("throttled", 429, retry_after=86_400))
    (talk,) = await talks(house, 1)
    view = await house.reaches(talk, WAITING)
    failure = view.turns[0].failure
    assert failure is not None
    assert failure.not_before is not None
    assert failure.not_before - await now(house) > timedelta(hours=23)
    await passes(house, 80_000)
    await at_rest(house)
    assert len(house.adapter.attempts) == 2

    await passes(house, 7_000)

    await house.reaches(talk, COMPLETED)


@pytest.mark.parametrize("hint", [-1.0, 0.0, 1e12, float("inf"), float("nan")])
async def test_a_wait_that_makes_no_sense_is_not_obeyed(house: House, hint: float) -> None:
    await prove_the_key(house)
    house.adapter.script = once(failing("throttled", 429, retry_after=hint))
    (talk,) = await talks(house, 1)
    await asked(house, 2)

    await house.reaches(talk, WAITING, COMPLETED)
    await passes(house, 60)

    await house.reaches(talk, COMPLETED)


# --- A provider that is sick ----------------------------------------------------------------


async def test_of_three_replicas_one_request_goes_to_see(
    database: Database, broker: Broker
) -> None:
    async with house_on(database, broker, replicas=3) as house:
        await prove_the_key(house)
        house.adapter.script = failing("overloaded", 503)
        waiting = await talks(house, 12)
        await all_reach(house, waiting, WAITING)
        await eventually(lambda: breakers(house))
        held = Held(house)

        await passes(house, 25)  # two rests, should the machine have been slow

        (trial,) = await held.has(1)
        await at_rest_but_for(house, 1)
        assert len(held.asked) == 1
        house.adapter.script = None
        await answer(house.adapter, trial)
        await all_reach(house, waiting, COMPLETED)
        for talk in waiting:
            assert (await house.view(talk)).turns[0].attempts <= 4


async def test_half_of_all_answers_fail_for_ten_minutes(house: House, dice: random.Random) -> None:
    """What is tried again is paid for out of a purse; whatever happens, it is never empty for
    the next one's first try."""
    await prove_the_key(house)
    broken = True

    async def sometimes(adapter: Adapter, command: RunAttempt) -> None:
        sick = broken and dice.random() < 0.5
        await (failing("transient", 500) if sick else answer)(adapter, command)

    house.adapter.script = sometimes
    began = await now(house)
    these: list[str] = []
    for _ in range(20):
        these += await talks(house, 1)
        await at_rest(house)
        await passes(house, 30)
    broken = False
    for _ in range(12):
        await at_rest(house)
        await passes(house, 60)

    for talk in these:
        await house.reaches(talk, *OVER)
    found = await written(house)
    elapsed = (await now(house) - began).total_seconds()
    successes = sum(
        isinstance(event, TurnCompleted) for story in found.stories.values() for event in story
    )
    again = 0
    for story in found.stories.values():
        firsts = {e.turn for e in story if isinstance(e, AttemptStarted)}
        ordinary = [e for e in story if isinstance(e, AttemptStarted) and not e.trial]
        again += max(0, len(ordinary) - len(firsts))
    assert again <= 10 + 0.1 * successes + elapsed / 30


async def test_what_is_tried_again_comes_out_of_a_purse_and_waits_where_it_is_empty(
    house: House,
) -> None:
    """Too seldom for the breaker: of three requests, one fails. Ten retries are in the purse, and
    what comes in meanwhile is less than goes out."""
    await limit(house, rpm=60_000, concurrency=100)
    await prove_the_key(house)
    again = 0
    while True:
        house.adapter.script = once(failing("transient", 500))
        (stumbles,) = await talks(house, 1)
        await house.reaches(stumbles, WAITING)
        await at_rest(house)
        await passes(house, 2)
        await at_rest(house)
        if (await house.view(stumbles)).state is WAITING:
            break
        again += 1
        assert again <= 20, "nobody has to wait for the purse"
        for talk in await talks(house, 2):
            await house.reaches(talk, COMPLETED)

    assert again >= 10
    assert await breakers(house) == 0
    story = (await written(house)).stories[stumbles]
    waits = [event for event in story if isinstance(event, TurnWaiting)]
    assert waits[-1].reason == "retries"
    await passes(house, waits[-1].not_before.timestamp() - (await now(house)).timestamp() + 1)
    await house.reaches(stumbles, COMPLETED)


# --- One account, many who want it ----------------------------------------------------------


async def test_of_three_replicas_one_gets_the_last_permit(
    database: Database, broker: Broker
) -> None:
    async with house_on(database, broker, replicas=3) as house:
        await prove_the_key(house)
        await limit(house, rpm=1)
        await passes(house, MINUTE)
        these = await talks(house, 6)

        for served in range(1, 7):
            await at_rest(house)
            assert len(house.adapter.attempts) == 1 + served
            await passes(house, MINUTE)

        await all_reach(house, these, COMPLETED)


async def test_a_clock_put_back_an_hour_holds_nobody_up_and_lets_nobody_in_early(
    house: House,
) -> None:
    await prove_the_key(house)
    await limit(house, rpm=1)
    await passes(house, MINUTE)
    await prove_the_key(house)
    await passes(house, -3600)
    (talk,) = await talks(house, 1)

    view = await house.reaches(talk, WAITING)

    assert len(house.adapter.attempts) == 2
    await at_rest(house)
    due = (await house.database.pool("discussion")).fetchval(
        "SELECT due_at - clock() FROM wakeups WHERE kind = 'turn' AND subject = $1",
        view.turns[0].id,
    )
    assert timedelta(seconds=30) < await due < timedelta(seconds=64)
    await passes(house, 64)
    await house.reaches(talk, COMPLETED)


async def test_who_came_first_is_served_first_at_three_a_minute(house: House) -> None:
    await prove_the_key(house)
    await limit(house, rpm=3)
    limited_at = await now(house)
    these = await talks(house, 20)
    for _ in range(len(these) + 3):  # a minute begins with what was asked before
        await at_rest(house)
        await passes(house, MINUTE / 3)

    await all_reach(house, these, COMPLETED)
    served = [one.discussion for one in house.adapter.attempts][1:]
    assert served == these
    moments = [event.at for event in await started_since(house, limited_at)]
    invariants.no_minute_holds_more(moments, 3)
