"""Waiting well: a failing provider is left in peace, nobody pushes in, and nothing is given up."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import msgspec
import pytest
import pytest_asyncio

from contracts.attempts import RunAttempt
from contracts.discussion import (
    DiscussionState,
    Estimate,
    GetHistory,
    History,
    OpenDiscussion,
    RetryTurn,
    WantedParticipant,
)
from contracts.failures import Conflict, Failure, FailureClass, Invalid, NotFound
from contracts.keys import Done
from contracts.modes import Mode
from contracts.supply import ListProviders, ProviderList, ProviderView, SetLimits
from services.discussion.words import explain
from tests.eventually import eventually
from tests.house import KIMI, House
from tests.neighbours import Adapter, answer, error


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With a key that works."""
    await house.kimi_works()
    return house


async def kimi(house: House) -> ProviderView:
    found = await house.ask("providers", ListProviders(workspace="default"), ProviderList)
    return next(view for view in found.items if view.name == "kimi")


async def limit(house: House, **limits: int) -> ProviderView:
    command = SetLimits(workspace="default", provider="kimi", limits=limits or None)
    return await house.ask("limits", command, ProviderView)


async def retry(house: House, discussion: str, turn: str) -> None:
    command = RetryTurn(workspace="default", discussion=discussion, turn=turn)
    await house.ask("retry", command, Done)


async def prove_the_key(house: House) -> None:
    """One answer, so that the key may run beside itself."""
    first = await house.open("riley-engstrom")
    await house.reaches(first, DiscussionState.COMPLETED)
    house.adapter.attempts.clear()


async def overloaded(adapter: Adapter, command: RunAttempt) -> None:
    await adapter.end(error(command, "overloaded", evidence={"status": 503}))


async def test_a_failing_provider_is_left_in_peace_and_all_complete_once_it_is_back(
    house: House,
) -> None:
    await prove_the_key(house)
    house.adapter.script = overloaded
    talks = [await house.open("riley-engstrom") for _ in range(12)]
    await eventually(lambda: _resting(house))
    for talk in talks:
        await house.reaches(talk, DiscussionState.WAITING)
    asked = len(house.adapter.attempts)
    assert asked <= 12

    # A rest is at most a fifth longer than told: three failed looks, one request each.
    for span in (13, 25, 49):
        await house.later(timedelta(seconds=span))
        asked += 1
        await eventually(partial(_asked, house, asked))
        for talk in talks:  # the look has been journaled: time may go on
            await house.reaches(talk, DiscussionState.WAITING)
    house.adapter.script = None
    await house.later(timedelta(seconds=97))

    for talk in talks:
        done = await house.reaches(talk, DiscussionState.COMPLETED)
        assert done.turns[0].attempts <= 3
    assert len(house.adapter.attempts) == asked + 12
    assert (await kimi(house)).accounts[0].breakers == []


async def _resting(house: House) -> bool:
    return any(account.breakers for account in (await kimi(house)).accounts)


async def _asked(house: House, times: int) -> bool:
    assert len(house.adapter.attempts) <= times
    return len(house.adapter.attempts) == times


async def test_who_waits_is_told_that_the_provider_is_failing(house: House) -> None:
    await prove_the_key(house)
    house.adapter.script = overloaded
    talks = [await house.open("riley-engstrom") for _ in range(7)]
    await eventually(lambda: _resting(house))

    async def told() -> Failure | None:
        """Not at once: it may stand in line for a moment, which is no failure."""
        return (await house.view(talks[-1])).turns[0].failure

    failure = await eventually(told)
    assert failure is not None
    assert failure.class_ == "overloaded"
    assert failure.not_before is not None


async def test_limits_set_while_the_house_runs_hold_from_the_next_request_on(house: House) -> None:
    await prove_the_key(house)
    shown = await limit(house, rpm=1)
    assert (shown.declared, shown.set_here) == ({"rpm": 1}, True)

    first = await house.open("riley-engstrom")
    held = await house.reaches(first, DiscussionState.WAITING, DiscussionState.COMPLETED)
    if held.state is DiscussionState.COMPLETED:
        first = await house.open("riley-engstrom")
        await house.reaches(first, DiscussionState.WAITING)
    await limit(house)

    await house.reaches(first, DiscussionState.COMPLETED)
    assert not (await kimi(house)).set_here


async def test_of_an_account_it_is_told_what_it_was_asked_in_the_last_minute(house: House) -> None:
    looked = 1  # at the list of models, when the key was verified
    for number in range(1, 4):
        await house.reaches(await house.open("riley-engstrom"), DiscussionState.COMPLETED)
        (account,) = (await kimi(house)).accounts
        assert account.requests_in_minute == looked + number
    await house.later(timedelta(minutes=2))
    (account,) = (await kimi(house)).accounts
    assert account.requests_in_minute == 0
    assert account.limits["rpm"] == 100


@pytest.mark.parametrize(
    ("provider", "limits", "refusal"),
    [
        ("nobody", {"rpm": 3}, NotFound),
        ("kimi", {"rpm": 0}, Invalid),
        ("kimi", {"speed": 3}, Invalid),
    ],
)
async def test_limits_that_make_no_sense_are_refused(
    house: House, provider: str, limits: dict[str, int], refusal: type[Exception]
) -> None:
    command = SetLimits(workspace="default", provider=provider, limits=limits)

    with pytest.raises(refusal):
        await house.ask("limits", command, ProviderView)


async def test_what_can_never_fit_fails_at_once_and_is_not_sent(house: House) -> None:
    await limit(house, tpm=100)

    talk = await house.open("riley-engstrom")

    view = await house.reaches(talk, DiscussionState.FAILED)
    failure = view.turns[0].failure
    assert failure is not None
    assert "100 a minute" in failure.detail
    assert "parley providers limits kimi" in failure.next_step
    assert house.adapter.attempts == []


async def test_nobody_pushes_in(house: House) -> None:
    await limit(house, concurrency=1)
    held = house.adapter.hold()
    talks = [await house.open("riley-engstrom")]
    await eventually(lambda: len(held) == 1)
    for _ in range(5):
        talks.append(await house.open("riley-engstrom"))
        await house.reaches(talks[-1], DiscussionState.WAITING)
    assert (await kimi(house)).accounts[-1].in_line == 5

    for number, talk in enumerate(talks):
        await eventually(lambda number=number: len(held) == number + 1)
        assert held[number].discussion == talk
        await answer(house.adapter, held[number])

    for talk in talks:
        await house.reaches(talk, DiscussionState.COMPLETED)


async def test_whoever_leaves_the_line_lets_the_others_move_up(house: House) -> None:
    await limit(house, concurrency=1)
    held = house.adapter.hold()
    first = await house.open("riley-engstrom")
    await eventually(lambda: len(held) == 1)
    second = await house.open("riley-engstrom")
    await house.reaches(second, DiscussionState.WAITING)
    third = await house.open("riley-engstrom")
    await house.reaches(third, DiscussionState.WAITING)

    await house.cancel(second)
    await answer(house.adapter, held[0])
    await house.reaches(first, DiscussionState.COMPLETED)

    await eventually(lambda: len(held) == 2)
    assert held[1].discussion == third


async def test_whoever_finds_a_closed_gate_lets_the_others_move_up(house: House) -> None:
    """A model that is gone says nothing of another one, whose turns stand in the same line."""
    await prove_the_key(house)
    await limit(house, concurrency=1)
    held = house.adapter.hold()
    gone = [await house.open("riley-engstrom", model="kimi/kimi-k3")]
    await eventually(lambda: len(held) == 1)
    gone += [await house.open("riley-engstrom", model="kimi/kimi-k3") for _ in range(3)]
    there = [await house.open("riley-engstrom") for _ in range(2)]
    for talk in [*gone[1:], *there]:
        await house.reaches(talk, DiscussionState.WAITING)

    await house.adapter.end(error(held[0], "model", evidence={"status": 404}))

    for talk in gone:
        await house.reaches(talk, DiscussionState.PARKED)
    await eventually(lambda: len(held) == 2)
    assert held[1].discussion == there[0]


async def test_whoever_is_let_in_calls_the_next_at_once(house: House) -> None:
    """All that is free is taken as soon as it is: nobody waits for somebody else's answer."""
    await prove_the_key(house)
    await limit(house, concurrency=1)
    held = house.adapter.hold()
    talks = [await house.open("riley-engstrom")]
    await eventually(lambda: len(held) == 1)
    for _ in range(4):
        talks.append(await house.open("riley-engstrom"))
        await house.reaches(talks[-1], DiscussionState.WAITING)

    await limit(house, concurrency=4)

    await eventually(lambda: len(held) == 4)
    assert [command.discussion for command in held] == talks[:4]


async def test_a_turn_that_is_tried_again_keeps_its_place(house: House) -> None:
    await prove_the_key(house)
    await limit(house, concurrency=1)
    held = house.adapter.hold()
    oldest = await house.open("riley-engstrom")
    await eventually(lambda: len(held) == 1)
    younger = [await house.open("riley-engstrom") for _ in range(2)]
    for talk in younger:
        await house.reaches(talk, DiscussionState.WAITING)

    await house.adapter.end(error(held[0], "transient", evidence={"status": 500}))
    await eventually(lambda: len(held) == 2)
    await house.reaches(oldest, DiscussionState.WAITING)
    await house.later(timedelta(seconds=30))
    await eventually(lambda: _in_line(house, 2))
    await answer(house.adapter, held[1])

    await eventually(lambda: len(held) == 3)
    assert [command.discussion for command in held] == [oldest, younger[0], oldest]


async def _in_line(house: House, many: int) -> bool:
    return (await kimi(house)).accounts[-1].in_line == many


async def test_a_turn_that_was_given_up_can_be_tried_again(house: House) -> None:
    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "request", evidence={"status": 400}))

    house.adapter.script = refuse
    talk = await house.open("riley-engstrom")
    failed = await house.reaches(talk, DiscussionState.FAILED)
    house.adapter.script = None

    await retry(house, talk, failed.turns[0].id)

    done = await house.reaches(talk, DiscussionState.COMPLETED)
    assert (done.turns[0].attempts, done.turns[0].failure) == (2, None)
    history = await house.ask("history", GetHistory(workspace="default", discussion=talk), History)
    names = [entry.name for entry in history.items]
    assert names[-5:] == [
        "DiscussionReopened",
        "TurnReopened",
        "AttemptStarted",
        "TurnCompleted",
        "DiscussionCompleted",
    ]
    with pytest.raises(Conflict):
        await retry(house, talk, failed.turns[0].id)
    with pytest.raises(NotFound):
        await retry(house, talk, "0198c0de-0000-7000-8000-000000000000")


async def test_who_insists_goes_to_see_and_frees_the_way_for_all(house: House) -> None:
    async def broke(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "billing", evidence={"status": 402}))

    house.adapter.script = broke
    first = await house.open("riley-engstrom")
    parked = await house.reaches(first, DiscussionState.PARKED)
    second = await house.open("riley-engstrom")
    await house.reaches(second, DiscussionState.PARKED)
    await retry(house, first, parked.turns[0].id)
    await eventually(lambda: len(house.adapter.attempts) == 2)
    await house.reaches(first, DiscussionState.PARKED)
    house.adapter.script = None

    await retry(house, first, parked.turns[0].id)

    await house.reaches(first, DiscussionState.COMPLETED)
    await house.reaches(second, DiscussionState.COMPLETED)
    assert len(house.adapter.attempts) == 4
    assert (await kimi(house)).gates == []


async def test_a_gate_that_closes_while_a_turn_waits_for_its_account_stops_it(house: House) -> None:
    """Whoever holds the account may be about to journal that its key was refused."""
    await prove_the_key(house)
    pool = await house.database.pool("discussion")
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM accounts FOR UPDATE")
        discussion = await house.open("riley-engstrom")
        await house.knows(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND query LIKE 'SELECT record FROM accounts%'"
        )
        refused = explain(FailureClass.AUTH, KIMI)
        await conn.execute(
            "INSERT INTO gates VALUES ('default', 'key:k1:1', 'kimi', $1, clock())",
            msgspec.json.encode(refused),
        )

    view = await house.reaches(discussion, DiscussionState.PARKED)

    assert view.turns[0].attempts == 0
    assert house.adapter.attempts == []


# --- How long it will take ------------------------------------------------------------------


async def estimate(house: House, *personas: str) -> Estimate:
    command = OpenDiscussion(
        workspace="default",
        mode=Mode.PARALLEL,
        participants=[WantedParticipant(persona=slug, model=KIMI) for slug in personas],
        topic="Tea?",
    )
    return await house.ask("estimate", command, Estimate)


async def test_an_estimate_knows_the_account_and_begins_nothing(house: House) -> None:
    await prove_the_key(house)
    pair = ("riley-engstrom", "morgan-castellano")
    at_once = await estimate(house, *pair)
    await limit(house, rpm=3, concurrency=1)
    one_by_one = await estimate(house, *pair)

    assert at_once.seconds is not None
    assert one_by_one.seconds is not None
    assert one_by_one.seconds >= at_once.seconds + 20
    assert at_once.tokens == one_by_one.tokens > 2_000
    assert at_once.cost is not None
    assert house.adapter.attempts == []


async def test_where_something_has_to_be_mended_first_no_time_is_told(house: House) -> None:
    house.adapter.script = lambda adapter, command: adapter.end(error(command, "auth"))
    await house.reaches(await house.open("riley-engstrom"), DiscussionState.PARKED)

    told = await estimate(house, "riley-engstrom")

    assert told.seconds is None
    assert told.tokens > 1_000
