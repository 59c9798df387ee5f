"""Who joins, early, late or again, gets the facts, the text so far and the rest."""

from __future__ import annotations

import asyncio

import pytest

from services.edge import feed, hub
from shared.ids import fresh
from tests.eventually import eventually
from tests.frontdoor import Edge, connected, heard


async def test_who_joins_in_the_middle_gets_the_facts_the_text_so_far_and_the_rest(
    edge: Edge,
) -> None:
    behind = edge.behind
    await behind.begin()
    await behind.say("Hello", at=0)
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(heard(reader, "Hello"))
    assert reader.names() == ["DiscussionOpened", "AttemptStarted"]

    await behind.say(" there", at=5)
    await eventually(heard(reader, "Hello there"))
    await behind.finish("Hello there")

    assert await following == 200
    assert reader.ended == {"state": "completed"}
    assert await reader.follow(edge.http) == 204


async def test_viewers_share_one_reading_of_the_log(edge: Edge) -> None:
    await edge.behind.begin()
    readers = [edge.reader() for _ in range(30)]
    following = [edge.follow(reader) for reader in readers]
    await edge.behind.say("Hi", at=0)
    for reader in readers:
        await eventually(heard(reader, "Hi"))
    await edge.behind.finish("Hi")
    await asyncio.gather(*following)

    assert all(reader.ended for reader in readers)
    assert edge.behind.histories == 1


async def test_who_comes_late_is_read_what_the_hub_has_forgotten(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LOG", 10_000)
    monkeypatch.setattr(hub, "PAGE", 7)
    await edge.behind.begin()
    first = edge.reader()
    following = edge.follow(first)
    for number in range(100):
        await edge.behind.fact("TurnWaiting", turn="t", reason="rate", note="x" * 500 + str(number))
    await edge.behind.say("Hello", at=0)
    await eventually(heard(first, "Hello"))
    late = edge.reader()
    await late.follow(edge.http, leave_after=50)
    coming = edge.follow(late)
    await eventually(heard(late, "Hello"))
    await edge.behind.finish("Hello")
    await asyncio.gather(following, coming)

    assert [fact.data for fact in late.facts] == [fact.data for fact in first.facts]
    assert len(late.facts) == 104
    after_the_end = edge.reader()
    await after_the_end.follow(edge.http)
    assert after_the_end.names() == first.names()


async def test_what_runs_is_read_with_what_it_has_said_so_far(edge: Edge) -> None:
    await edge.behind.begin()
    await edge.behind.say("Hello", at=0)
    path = f"/api/v1/discussions/{edge.behind.id}"

    async def text() -> str:
        status, said = await edge.ask("GET", path)
        assert status == 200
        return said["turns"][0]["text"]

    async def unwatched() -> bool:
        return await text() == "Hello"

    await eventually(unwatched)
    reader = edge.reader()
    following = edge.follow(reader)
    await edge.behind.say(" there", at=5)
    await eventually(heard(reader, "Hello there"))
    assert await text() == "Hello there"
    await edge.behind.finish("Hello there")
    await following


async def test_a_discussion_that_is_not_there(edge: Edge) -> None:
    status, said = await edge.ask("GET", f"/api/v1/discussions/{fresh()}/events")

    assert (status, said["type"]) == (404, "urn:parley:problem:not-found")


async def test_who_comes_back_to_silence_is_kept_until_something_happens(edge: Edge) -> None:
    await edge.behind.fact("DiscussionOpened")
    reader = edge.reader()
    assert await reader.follow(edge.http, leave_after=1) == 200

    following = edge.follow(reader)
    await eventually(connected(reader, times=2))
    await edge.behind.fact("TurnParked", turn="t")
    await edge.behind.fact("DiscussionCompleted")

    assert await following == 200
    assert reader.ended == {"state": "completed"}
    assert reader.connections == 2
