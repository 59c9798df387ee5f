"""A consensus over the real service, database and broker; its members are scripted models."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest_asyncio

from contracts.deliberation import Outcome
from contracts.discussion import DiscussionState, GetHistory, History, PostMessage, TurnState
from contracts.keys import Done
from contracts.modes import Options, Purpose
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import House, running
from tests.neighbours import neighbours
from tests.panels import convene, seat

OVER = (DiscussionState.COMPLETED, DiscussionState.FAILED)
HONEST = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "plain-d-abcd")
ODD = ("plain-c-abcd-a", "slow-d", "dead-d", "unparsable-d-abcd", "injector-d-abcd")


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    adapter, vault = await neighbours(broker)
    seat(adapter, *HONEST, *ODD, *(f"unparsable-{idea}-abcd" for idea in "abc"))
    made = House(await broker.bus("edge"), adapter, vault, database, broker)
    async with running(database, broker):
        await made.kimi_works()
        yield made


async def test_a_panel_of_four_agrees(house: House) -> None:
    panel = await convene(house, *HONEST)

    view = await house.reaches(panel, *OVER)

    assert view.conclusion is not None
    assert view.conclusion.outcome is Outcome.CONSENSUS
    assert view.conclusion.text == "The common answer."
    assert [turn.purpose for turn in view.turns].count(Purpose.REVIEW) == 4
    # Who reviews last may be spared it: the leader cannot be caught up with any more.
    assert all(turn.attempts <= 1 for turn in view.turns)
    assert len(house.adapter.attempts) == view.conclusion.metrics.requests <= 9


async def test_an_objection_is_answered_by_a_revision(house: House) -> None:
    panel = await convene(house, *HONEST[:2], ODD[0], HONEST[3])

    view = await house.reaches(panel, *OVER)

    assert view.tally is not None
    assert (view.tally.round, view.tally.outcome) == (2, "consensus")
    assert view.conclusion is not None
    assert view.conclusion.metrics.requests == len(house.adapter.attempts) <= 15
    assert not view.dissents


async def test_who_is_down_is_named_and_who_is_slow_is_not_waited_for(house: House) -> None:
    dead = await convene(house, *HONEST[:3], "dead-d")
    view = await house.reaches(dead, *OVER)
    assert view.conclusion is not None
    assert view.conclusion.outcome is Outcome.CONSENSUS
    assert any("took no part" in note for note in view.conclusion.notes)

    slow = await convene(house, *HONEST[:3], "slow-d", options=Options(patience=60))

    async def three_are_there() -> bool:
        states = [turn.state for turn in (await house.view(slow)).turns]
        return states.count(TurnState.COMPLETED) == 3 and TurnState.RUNNING in states

    await eventually(three_are_there)
    await house.later(timedelta(seconds=61))
    view = await house.reaches(slow, *OVER)

    assert view.conclusion is not None
    assert view.conclusion.outcome is Outcome.CONSENSUS
    (late,) = [turn for turn in view.turns if turn.overdue]
    assert late.state is TurnState.CANCELLED


async def test_a_panel_whose_time_is_up_says_what_it_has(house: House) -> None:
    limited = await convene(house, *HONEST[:3], "slow-d", options=Options(time_limit=60))

    async def three_are_there() -> bool:
        states = [turn.state for turn in (await house.view(limited)).turns]
        return states.count(TurnState.COMPLETED) == 3 and TurnState.RUNNING in states

    await eventually(three_are_there)
    await house.later(timedelta(seconds=61))
    view = await house.reaches(limited, *OVER)

    assert view.stopped_by == "S5"
    assert view.conclusion is not None
    assert view.conclusion.outcome is Outcome.INSUFFICIENT
    assert view.conclusion.text.count("idea") == 3


async def test_who_is_no_longer_needed_is_called_off_and_gives_its_place_back(
    house: House,
) -> None:
    # Less than a lease: with no sign of life for longer, the attempt would be taken for dead.
    panel = await convene(house, *HONEST[:3], "slow-d", options=Options(patience=20))

    async def only_one_speaks() -> bool:
        states = [turn.state for turn in (await house.view(panel)).turns]
        return states.count(TurnState.COMPLETED) == 3 and TurnState.RUNNING in states

    await eventually(only_one_speaks)
    await house.later(timedelta(seconds=21))
    view = await house.reaches(panel, *OVER)

    (late,) = [turn for turn in view.turns if turn.overdue]

    async def called_off() -> bool:
        return late.attempt in house.adapter.cancelled

    await eventually(called_off)
    pool = await house.database.pool("discussion")
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0


async def test_a_panel_that_cannot_write_ballots_ends_truthfully(house: House) -> None:
    panel = await convene(house, *(f"unparsable-{idea}-abcd" for idea in "abcd"))

    view = await house.reaches(panel, *OVER)

    assert view.state is DiscussionState.COMPLETED
    assert view.conclusion is not None
    assert view.conclusion.outcome is Outcome.INSUFFICIENT
    assert view.conclusion.text.count("idea") == 4


async def test_an_injection_reaches_the_reviewers_as_material(house: House) -> None:
    panel = await convene(house, *HONEST[:3], "injector-d-abcd")

    view = await house.reaches(panel, *OVER)

    assert view.tally is not None
    first = next(turn for turn in view.turns if turn.id == view.tally.winner)
    assert first.model.endswith("panel-plain-a-abcd")


async def test_the_result_can_be_asked_about(house: House) -> None:
    panel = await convene(house, *HONEST)
    await house.reaches(panel, *OVER)

    await house.ask(
        "post", PostMessage(workspace="default", discussion=panel, text="And on Sundays?"), Done
    )
    view = await house.reaches(panel, *OVER)

    assert view.turns[-1].purpose is Purpose.ANSWER
    history = await house.ask("history", GetHistory(workspace="default", discussion=panel), History)
    names = [entry.name for entry in history.items]
    assert names.count("ConsensusConcluded") == 1
    assert names.count("DiscussionCompleted") == 2
