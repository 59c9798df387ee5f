"""What becomes of discussions: deleted for good, found by their words, put under new titles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from contracts.attempts import RunAttempt
from contracts.discussion import (
    DiscussionList,
    DiscussionState,
    GetHistory,
    History,
    ListDiscussions,
    PostMessage,
)
from contracts.failures import Gone, NotFound
from contracts.keeping import DeleteDiscussion, RenameDiscussion
from contracts.keys import Done
from services.discussion.keeping import DELIVERED
from shared.ids import fresh
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import House, running, traces
from tests.neighbours import Adapter, answer, completed, neighbours

SECRET = "The password of the bakery is brioche-77."
"""Said in a discussion that is deleted afterwards."""


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With a key that works."""
    await house.kimi_works()
    return house


def says(text: str) -> Any:
    async def say(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.say(command, text)
        await adapter.end(completed(command, text))

    return say


async def delete(house: House, discussion: str, *, workspace: str = "default") -> None:
    await house.ask("delete", DeleteDiscussion(workspace=workspace, discussion=discussion), Done)


async def listed(house: House, q: str = "") -> list[str]:
    found = await house.ask("list", ListDiscussions(workspace="default", q=q), DiscussionList)
    return [line.id for line in found.items]


async def test_deleting_takes_the_words_off_the_journal_the_search_and_the_bus(
    house: House,
) -> None:
    house.adapter.script = says(SECRET)
    kept = await house.open("riley-engstrom")
    gone = await house.open("riley-engstrom")
    for discussion in (kept, gone):
        await house.reaches(discussion, DiscussionState.COMPLETED)
    house.adapter.script = None
    await delete(house, kept)
    assert await traces(house, "brioche") == {"texts.words", "said.words", "EVENTS", "CHUNKS"}

    await delete(house, gone)
    await delete(house, gone)

    async def nothing_is_left() -> bool:
        return await traces(house, "brioche") == set[str]()

    await eventually(nothing_is_left)
    pool = await house.database.pool("discussion")
    await house.knows("SELECT 1 WHERE NOT EXISTS (SELECT FROM wakeups WHERE kind = 'purge')")
    # Structure stays: who, when, which model, what it cost; and everybody hears that it is gone.
    rows = await pool.fetch("SELECT type FROM events WHERE stream = $1 ORDER BY version", gone)
    kept_types = [row["type"] for row in rows]
    assert kept_types[0] == "discussion.opened.v1"
    assert kept_types[-3:] == [
        "discussion.turn_completed.v1",
        "discussion.completed.v1",
        "discussion.deleted.v1",
    ]
    recorded = f"SELECT 1 FROM events WHERE stream = '{gone}-usage'"
    assert await pool.fetchval(recorded) == 1
    left = [
        message.subject.rpartition(".")[2]
        for message in await house.broker.stored("EVENTS")
        if f".{gone}." in message.subject
    ]
    assert left == ["DiscussionDeleted"]
    assert await listed(house) == []
    assert await listed(house, "brioche") == []
    with pytest.raises(Gone) as refused:
        await house.view(gone)
    assert refused.value.problem.type == "discussion-deleted"
    command = GetHistory(workspace="default", discussion=gone)
    with pytest.raises(Gone):
        await house.ask("history", command, History)


async def test_what_runs_is_cancelled_and_then_deleted(house: House) -> None:
    begun = asyncio.Event()

    async def hold(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.say(command, SECRET)
        begun.set()

    house.adapter.script = hold
    discussion = await house.open("riley-engstrom")
    await begun.wait()

    await delete(house, discussion)

    async def called_off() -> bool:
        return len(house.adapter.cancelled) == 1 and not await traces(house, "brioche")

    await eventually(called_off)
    (command,) = house.adapter.attempts
    # It may have been too late to stop it; what still comes is not kept.
    await house.adapter.end(completed(command, SECRET))

    async def taken_off() -> bool:
        return not await traces(house, "brioche")

    await eventually(taken_off)
    with pytest.raises(Gone):
        await house.view(discussion)


async def test_only_who_has_it_can_delete_it(house: House) -> None:
    discussion = await house.open("riley-engstrom")
    for workspace, id in (("other", discussion), ("default", fresh()), ("default", "*")):
        with pytest.raises(NotFound) as refused:
            await delete(house, id, workspace=workspace)
        assert not isinstance(refused.value, Gone)
    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_what_is_not_to_be_kept_is_deleted_by_itself(house: House) -> None:
    house.adapter.script = says(SECRET)
    discussion = await house.open("riley-engstrom", keep_words=False)
    await house.reaches(discussion, DiscussionState.COMPLETED)

    await house.later(DELIVERED)

    async def gone() -> bool:
        return not await traces(house, "brioche")

    await eventually(gone)
    with pytest.raises(Gone):
        await house.view(discussion)


async def test_what_goes_on_is_not_deleted_before_it_ends_again(house: House) -> None:
    discussion = await house.open("riley-engstrom", keep_words=False)
    await house.reaches(discussion, DiscussionState.COMPLETED)
    house.adapter.script = never
    more = PostMessage(workspace="default", discussion=discussion, text="And sugar?")
    await house.ask("post", more, Done)
    await house.knows("SELECT 1 FROM attempts")

    assert await forgetting(house) == 0
    house.adapter.script = None
    await house.cancel(discussion)
    assert await forgetting(house) == 1


async def never(adapter: Adapter, command: RunAttempt) -> None:
    """Takes it, and says nothing."""


async def forgetting(house: House) -> int:
    """Discussions that will be deleted by themselves."""
    pool = await house.database.pool("discussion")
    return await pool.fetchval("SELECT count(*) FROM wakeups WHERE kind = 'forget'")


async def test_a_new_title_is_shown_and_found_and_the_end_stays_the_end(house: House) -> None:
    discussion = await house.open("riley-engstrom")
    before = await house.reaches(discussion, DiscussionState.COMPLETED)
    rename = RenameDiscussion(workspace="default", discussion=discussion, title=" Hot\n drinks ")
    for _ in range(2):
        await house.ask("rename", rename, Done)

    view = await house.view(discussion)
    found = await house.ask("list", ListDiscussions(workspace="default", q="hot"), DiscussionList)

    assert (view.title, view.topic, view.state) == ("Hot drinks", "Tea?", "completed")
    assert view.version == before.version + 1, "the same title again is no news"
    assert [(line.id, line.title, line.state) for line in found.items] == [
        (discussion, "Hot drinks", "completed")
    ]


async def test_discussions_are_found_by_the_words_of_their_answers(house: House) -> None:
    house.adapter.script = says("Grüner Tee, never after\nnoon. 100% “sure”.")
    tea = await house.open("riley-engstrom")
    await house.reaches(tea, DiscussionState.COMPLETED)
    house.adapter.script = answer
    other = await house.open("morgan-castellano")
    await house.reaches(other, DiscussionState.COMPLETED)

    assert await listed(house, "GRÜNER noon") == [tea]
    assert await listed(house, '"tee, never"') == [tea]
    assert await listed(house, '"never tee"') == []
    assert await listed(house, "tea?") == [other, tea]
    assert await listed(house, "hello noon") == []
    assert await listed(house, "100%") == [tea]
    assert await listed(house, "you are riley") == [], "instructions are not what was said"


async def test_older_discussions_are_found_after_an_update(
    database: Database, broker: Broker
) -> None:
    adapter, vault = await neighbours(broker)
    async with running(database, broker):
        house = House(await broker.bus("edge"), adapter, vault, database, broker)
        await house.kimi_works()
        adapter.script = says(SECRET)
        discussion = await house.open("riley-engstrom")
        await house.reaches(discussion, DiscussionState.COMPLETED)
    pool = await database.pool("discussion")
    await pool.execute("DELETE FROM said")

    async with running(database, broker):
        await house.knows("SELECT 1 WHERE NOT EXISTS (SELECT FROM wakeups WHERE kind = 'note')")
        assert await listed(house, "brioche") == [discussion]
