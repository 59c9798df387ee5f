"""A run that is deleted takes along what it was given and what was said in it, and nothing else."""

from __future__ import annotations

import pytest
import pytest_asyncio

from contracts.attempts import RunAttempt
from contracts.discussion import DiscussionList, DiscussionState, ListDiscussions
from contracts.failures import Gone, NotFound
from contracts.keys import Done
from contracts.workflows import (
    CancelRun,
    DeleteRun,
    ForkRun,
    ListRuns,
    RunAccepted,
    RunList,
    RunState,
)
from tests.eventually import eventually
from tests.house import House, traces
from tests.neighbours import Adapter
from tests.runs import TEA, define, reaches, seen, sensible, start, story

SECRET = "brioche"
"""Given to a run, and so in the prompts of its steps and in their answers."""


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With a key that works, and a workflow."""
    house.adapter.script = sensible
    await house.kimi_works()
    await define(house, TEA)
    return house


async def delete(house: House, run: str, *, workspace: str = "default") -> None:
    await house.ask("delete_run", DeleteRun(workspace=workspace, run=run, by="ada"), Done)


async def talks(house: House) -> list[str]:
    found = await house.ask("list", ListDiscussions(workspace="default"), DiscussionList)
    return [line.id for line in found.items]


async def runs(house: House) -> list[str]:
    found = await house.ask("runs", ListRuns(workspace="default"), RunList)
    return [line.id for line in found.items]


async def test_its_words_go_from_the_journal_and_the_bus_and_its_discussions_with_them(
    house: House,
) -> None:
    other = await start(house, "tea", {"guest": "Ada"})
    await reaches(house, other, RunState.COMPLETED)
    kept = await talks(house)
    run = await start(house, "tea", {"guest": SECRET})
    view = await reaches(house, run, RunState.COMPLETED)
    assert await traces(house, SECRET)

    await delete(house, run)
    await delete(house, run)

    async def nothing_is_left() -> bool:
        return not await traces(house, SECRET)

    await eventually(nothing_is_left)
    await house.knows("SELECT 1 WHERE NOT EXISTS (SELECT FROM wakeups WHERE kind = 'purge')")
    assert await talks(house) == kept
    assert await runs(house) == [other]
    with pytest.raises(Gone) as refused:
        await seen(house, run)
    assert refused.value.problem.type == "run-deleted"
    for wish, answer in (
        (CancelRun(workspace="default", run=run), Done),
        (ForkRun(workspace="default", run=run, step="plan"), RunAccepted),
    ):
        with pytest.raises(Gone):
            await house.ask("cancel_run" if answer is Done else "fork_run", wish, answer)
    # What it cost stays, and everybody hears that it is gone.
    pool = await house.database.pool("discussion")
    for step in view.steps:
        recorded = f"SELECT count(*) FROM events WHERE stream = '{step.discussion}-usage'"
        assert await pool.fetchval(recorded) > 0
    left = [
        message.subject.rpartition(".")[2]
        for message in await house.broker.stored("EVENTS")
        if f".{run}." in message.subject
    ]
    assert left == ["RunDeleted"]


async def test_what_runs_is_stopped_and_then_deleted(house: House) -> None:
    async def hold(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.say(command, SECRET)

    house.adapter.script = hold
    run = await start(house, "tea", {"guest": SECRET})
    await eventually(lambda: len(house.adapter.attempts) > 0)

    await delete(house, run)

    async def called_off() -> bool:
        return bool(house.adapter.cancelled) and not await traces(house, SECRET)

    await eventually(called_off)
    assert await talks(house) == []


async def test_a_fork_keeps_what_is_its_own(house: House) -> None:
    run = await start(house, "tea", {"guest": "Ada"})
    await reaches(house, run, RunState.COMPLETED)
    wish = ForkRun(workspace="default", run=run, step="plan")
    fork = (await house.ask("fork_run", wish, RunAccepted)).run
    view = await reaches(house, fork, RunState.COMPLETED)

    await delete(house, run)

    async def its_discussions_are_gone() -> bool:
        return len(await talks(house)) == 1

    await eventually(its_discussions_are_gone)
    await house.reaches(view.steps[1].discussion, DiscussionState.COMPLETED)
    after = await seen(house, fork)
    assert after.state is RunState.COMPLETED
    assert (after.steps[0].kept, after.steps[0].text) == (True, "")
    assert after.steps[1].text == view.steps[1].text
    assert (await story(house, fork))[-1] == "RunCompleted"


async def test_only_who_has_it_can_delete_it(house: House) -> None:
    run = await start(house, "tea", {"guest": "Ada"})
    await reaches(house, run, RunState.COMPLETED)

    for id, workspace in ((run, "other"), ("no-run", "default")):
        with pytest.raises(NotFound):
            await delete(house, id, workspace=workspace)

    assert await runs(house) == [run]
