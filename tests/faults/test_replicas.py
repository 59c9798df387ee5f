"""Discussion dies or freezes at a chosen moment, and another replica is there.

What the database has is what counts: who comes back from the dead can add nothing to it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.discussion import DiscussionState
from contracts.discussion_events import AttemptCut, AttemptStarted, TurnCompleted
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.faults.conftest import house_holds
from tests.faults.steps import Held, asked, now, passes, prove_the_key, talks, written
from tests.house import House
from tests.neighbours import answer, neighbours
from tests.replicas import Replica, pause_at, paused, replica, somebody_waits

COMPLETED = DiscussionState.COMPLETED


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> House:
    """Nobody in it yet: each test starts its own."""
    adapter, vault = await neighbours(broker)
    return House(await broker.bus("edge"), adapter, vault, database, broker)


@pytest_asyncio.fixture
async def first(house: House, tmp_path: Path) -> AsyncGenerator[Replica]:
    """The replica that will have bad luck; its key has worked."""
    async with replica(house.database, house.broker, tmp_path, "first") as made:
        await house.kimi_works()
        await prove_the_key(house)
        yield made
        await house_holds(house)


CLAIMED = 21
"""Seconds after which what somebody had taken up is anybody's."""
LEASED = 31
"""Seconds after which an attempt is looked after."""
RETRIED = 31
"""Seconds within which it is tried again."""


async def stopped_before_sending(house: House, first: Replica) -> tuple[str, str]:
    """A discussion whose attempt is stated; who would now send its request is frozen."""
    await pause_at(house.database, "commit")
    async with paused(house.database):
        (talk,) = await talks(house, 1)
        await somebody_waits(house.database)
        first.freeze()
    await house.knows("SELECT 1 FROM attempts")
    pool = await house.database.pool("discussion")
    await pool.execute("DROP TRIGGER pause ON attempts")
    (attempt,) = await attempts_of(house, talk)
    return talk, attempt


async def cut(house: House, talk: str) -> bool:
    """The attempt was found to be nobody's."""
    story = (await written(house)).stories[talk]
    return any(isinstance(event, AttemptCut) for event in story)


async def completes(house: House, talk: str, *, within: timedelta = timedelta(seconds=60)) -> None:
    """Looked up in the tables: what is asked of a frozen replica, nobody answers."""
    pool = await house.database.pool("discussion")
    state = "SELECT state = 'completed' FROM discussions WHERE discussion = $1"
    # An outcome that a frozen one has taken comes again after half a minute.
    await eventually(lambda: pool.fetchval(state, talk), within=within)


async def terminated(house: House, backend: int) -> None:
    """The database gives up one of its connections."""
    pool = await house.database.pool("discussion")
    await pool.execute("SELECT pg_terminate_backend($1)", backend)


async def attempts_of(house: House, talk: str) -> list[str]:
    story = (await written(house)).stories[talk]
    return [event.attempt for event in story if isinstance(event, AttemptStarted)]


async def test_killed_before_the_permit_is_kept_nothing_has_happened(
    house: House, first: Replica, tmp_path: Path
) -> None:
    await pause_at(house.database, "insert")
    async with paused(house.database):
        (talk,) = await talks(house, 1)
        backend = await somebody_waits(house.database)
        await first.kill()
        await terminated(house, backend)
    async with replica(house.database, house.broker, tmp_path, "second"):
        await passes(house, CLAIMED)

        view = await house.reaches(talk, COMPLETED)

        assert view.turns[0].attempts == 1
        await asked(house, 2)


async def test_killed_between_the_permit_and_the_request_one_more_is_made(
    house: House, first: Replica, tmp_path: Path
) -> None:
    """The attempt is stated and its request was never made. Nobody knows: it counts as spent."""
    talk, lost = await stopped_before_sending(house, first)
    await first.kill()
    async with replica(house.database, house.broker, tmp_path, "second"):
        await passes(house, LEASED)
        await eventually(lambda: cut(house, talk))
        await passes(house, RETRIED)

        view = await house.reaches(talk, COMPLETED)

        assert view.turns[0].attempts == 2
        (_, again) = await attempts_of(house, talk)
        assert [one.attempt for one in house.adapter.attempts[1:]] == [again]
        assert lost != again


@pytest.mark.slow  # what a frozen one has taken comes again after half a minute
async def test_frozen_between_the_permit_and_the_request_it_comes_too_late(
    house: House, first: Replica, tmp_path: Path
) -> None:
    """Who sleeps longer than the lease and then goes on is refused by the adapter, and unheard."""
    talk, stale = await stopped_before_sending(house, first)
    async with replica(house.database, house.broker, tmp_path, "second"):
        await passes(house, LEASED)
        await eventually(lambda: cut(house, talk))
        await passes(house, RETRIED)
        await completes(house, talk)

        first.thaw()

        await asked(house, 3)  # the adapter that is stood in for takes anything, and answers it
        late = house.adapter.attempts[-1]
        assert late.attempt == stale
        assert late.expires_at < await now(house), "the true one looks at that and sends nothing"
        await house.knows("SELECT 1 WHERE NOT EXISTS (SELECT FROM attempts)")
        story = (await written(house)).stories[talk]
        (end,) = [event for event in story if isinstance(event, TurnCompleted)]
        assert end.attempt != stale
        (after,) = await talks(house, 1)
        await house.reaches(after, COMPLETED)


async def test_an_end_that_was_said_is_found_by_whoever_looks_after_the_attempt(
    house: House, first: Replica, tmp_path: Path
) -> None:
    """Who took it in died over it. It would come again, but only after the attempt's own time."""
    held = Held(house)
    (talk,) = await talks(house, 1)
    (request,) = await held.has(1)
    first.freeze()  # what is delivered to it now is delivered to nobody else for half a minute
    await answer(house.adapter, request)
    async with replica(house.database, house.broker, tmp_path, "second"):
        await passes(house, LEASED)

        await completes(house, talk, within=timedelta(seconds=20))

        story = (await written(house)).stories[talk]
        assert not any(isinstance(event, AttemptCut) for event in story)
        assert len(held.asked) == 1
        await first.kill()


@pytest.mark.slow  # what a frozen one has taken comes again after half a minute
async def test_frozen_with_a_turn_in_its_hands_another_takes_it(
    house: House, first: Replica, tmp_path: Path
) -> None:
    """The claim runs out, the lock goes with the connection; who wakes up finds it done."""
    await pause_at(house.database, "insert")
    async with paused(house.database):
        (talk,) = await talks(house, 1)
        backend = await somebody_waits(house.database)
        first.freeze()
        await terminated(house, backend)  # as the server itself would, after a while
    async with replica(house.database, house.broker, tmp_path, "second"):
        await passes(house, CLAIMED)
        await completes(house, talk)

        first.thaw()
        await first.says("wake-up failed")

        more = await talks(house, 4)
        for each in more:
            await house.reaches(each, COMPLETED)
        await asked(house, 1 + 1 + 4)


async def test_killed_while_the_provider_speaks_the_answer_is_kept_by_the_next(
    house: House, first: Replica, tmp_path: Path
) -> None:
    held = Held(house)
    (talk,) = await talks(house, 1)
    (request,) = await held.has(1)

    await first.kill()
    await house.adapter.say(request, "kimi-k2.6 says")
    await answer(house.adapter, request)
    async with replica(house.database, house.broker, tmp_path, "second"):
        view = await house.reaches(talk, COMPLETED)

        assert (view.turns[0].attempts, view.turns[0].text) == (1, "kimi-k2.6 says hello.")
        assert len(held.asked) == 1
