"""Several discussions over one connection."""

from __future__ import annotations

import asyncio

from shared.ids import fresh
from tests.eventually import eventually
from tests.frontdoor import Edge
from tests.readers import Several


def several(edge: Edge, *discussions: str) -> Several:
    headers = {"Authorization": "Bearer owner"}
    return Several(f"{edge.url}/api/v1/discussions/events", headers, list(discussions))


async def test_several_discussions_are_told_over_one_connection(edge: Edge) -> None:
    behind, other, missing = edge.behind, fresh(), fresh()
    await behind.begin()
    await behind.say("Hello", at=0)
    await behind.fact_of(other, "DiscussionOpened")
    await behind.fact_of(other, "AttemptStarted")
    told = several(edge, behind.id, other, missing)
    mine, others = told.of[behind.id], told.of[other]
    following = asyncio.create_task(told.follow(edge.http))

    async def both() -> bool:
        return mine.text.get(("a", "text")) == "Hello" and others.last == 2

    await eventually(both)
    assert told.missing == [missing]
    await behind.finish("Hello")

    async def one_has_ended() -> bool:
        return mine.ended is not None

    await eventually(one_has_ended)
    assert others.ended is None

    # It breaks; the browser comes back with the id that it was given last.
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    again = asyncio.create_task(told.follow(edge.http))
    await behind.fact_of(other, "DiscussionCompleted")
    assert await again == 200

    assert others.names() == ["DiscussionOpened", "AttemptStarted", "DiscussionCompleted"]
    assert others.ended == {"state": "completed"}
    assert await told.follow(edge.http) == 204


async def test_of_several_that_are_all_missing_there_is_nothing_to_tell(edge: Edge) -> None:
    assert await several(edge, fresh(), fresh()).follow(edge.http) == 204


async def test_what_is_no_list_of_discussions_is_refused(edge: Edge) -> None:
    for wrong in ("", "?follow=", "?follow=x", f"?follow={fresh()}:-1"):
        status, said = await edge.ask("GET", f"/api/v1/discussions/events{wrong}")
        assert (status, said["errors"][0]["field"]) == (422, "follow")
