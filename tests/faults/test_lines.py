"""Bad lines to the broker, the database and the provider, under a whole running system."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from tests.faultproxy import FaultProxy, Toxics
from tests.faults.conftest import Behind
from tests.faults.stories import (
    AWAY,
    explained,
    opened,
    requests_of,
    until,
    until_speaking,
    until_terminal,
    watched,
    words,
)

SPEECH = "[[rate: 20 ; many: 60]]"
"""Three seconds of text."""

MINUTES = pytest.mark.slow
"""The longer of two lengths of one fault: `make test` has the shorter one."""

SOON = timedelta(seconds=90)


async def whole(behind: Behind, topic: str, discussion: str, requests: int = 1) -> None:
    """It was answered in full, and asked of the provider so often."""
    found = await until_terminal(behind.client, discussion)
    (turn,) = found["turns"]
    assert found["state"] == "completed", found
    assert turn["text"].split() == words(60)
    assert turn["attempts"] == requests
    assert await requests_of(behind.client, topic) == requests


# --- The broker -----------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=MINUTES)])
async def test_a_broker_out_of_reach_costs_neither_words_nor_requests(
    behind: Behind, seconds: int
) -> None:
    topic = f"{SPEECH} the broker is out of reach for {seconds} s"
    discussion = await opened(behind.client, topic, within=SOON)
    async with watched(behind.client, discussion) as viewer:
        await until_speaking(behind.client, discussion)

        async with behind.nats.being(Toxics(black_hole=True)):
            await asyncio.sleep(seconds)  # this is the fault itself, not a wait for a fact

        await whole(behind, topic, discussion)
        assert (await viewer).names()[-1] == "DiscussionCompleted"


async def test_a_broker_whose_connections_break_all_the_time(behind: Behind) -> None:
    topic = f"{SPEECH} with connections that break"
    discussion = await opened(behind.client, topic, within=SOON)
    async with watched(behind.client, discussion) as viewer:
        await until_speaking(behind.client, discussion)
        for _ in range(4):
            await behind.nats.cut()
            await asyncio.sleep(0.7)  # the fault's own pace, not a wait for a fact

        await whole(behind, topic, discussion)
        assert (await viewer).names()[-1] == "DiscussionCompleted"


async def test_a_slow_and_restless_line_to_the_broker(behind: Behind) -> None:
    topic = f"{SPEECH} over a restless line"
    slow = Toxics(latency=timedelta(milliseconds=5), jitter=timedelta(milliseconds=20), slice=900)
    async with behind.nats.being(slow):
        discussion = await opened(behind.client, topic, within=SOON)
        async with watched(behind.client, discussion) as viewer:
            await whole(behind, topic, discussion)
            assert (await viewer).names()[-1] == "DiscussionCompleted"


# --- The database ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Toxics(down=True), 5),
        pytest.param(Toxics(down=True), 30, marks=MINUTES),
        pytest.param(Toxics(black_hole=True), 30, marks=MINUTES),
    ],
    ids=["stopped for a moment", "stopped", "deaf"],
)
async def test_without_the_database_nothing_new_is_taken_and_nothing_old_is_lost(
    behind: Behind, fault: Toxics, seconds: int
) -> None:
    name = f"{'deaf' if fault.black_hole else 'away'} for {seconds} s"
    before, after = f"{SPEECH} before it was {name}", f"{SPEECH} while it is {name}"
    discussion = await opened(behind.client, before, within=SOON)
    async with watched(behind.client, discussion) as viewer:
        await until_speaking(behind.client, discussion)
        requests = await requests_of(behind.client, "many: 60")

        async with behind.database.being(fault):
            late = asyncio.create_task(opened(behind.client, after, within=3 * SOON))
            status, problem = await behind.client.ask("GET", "/api/v1/discussions")
            assert status in AWAY, problem
            explained(problem)
            await asyncio.sleep(seconds)  # this is the fault itself
            assert await requests_of(behind.client, "many: 60") == requests, "no permit, no request"

        await whole(behind, before, discussion)
        await whole(behind, after, await late)
        assert (await viewer).names()[-1] == "DiscussionCompleted"


# --- The provider ---------------------------------------------------------------------------


async def fresh_line(behind: Behind) -> FaultProxy:
    """No connection is kept from before: what is counted is counted from its beginning."""
    await behind.provider.cut()
    return behind.provider


async def test_a_provider_that_refuses_connections_was_asked_nothing(behind: Behind) -> None:
    topic = f"{SPEECH} nobody there at first"
    line = await fresh_line(behind)
    async with line.being(Toxics(down=True)):
        discussion = await opened(behind.client, topic, within=SOON)
        found = await until(behind.client, discussion, "waiting")
        assert found["turns"][0]["failure"]["class"] == "transient"
        assert found["turns"][0]["failure"]["not_before"]

    await whole(behind, topic, discussion)


async def test_a_connection_torn_before_the_first_byte_is_tried_once_more(
    behind: Behind,
) -> None:
    topic = f"{SPEECH} torn at once"
    line = await fresh_line(behind)
    async with line.being(Toxics(reset_after=0, once=True)):
        discussion = await opened(behind.client, topic, within=SOON)
        await whole(behind, topic, discussion, requests=2)


@pytest.mark.parametrize("torn", [True, pytest.param(False, marks=MINUTES)], ids=["torn", "closed"])
async def test_an_answer_cut_anywhere_is_whole_in_the_end(
    behind: Behind, dice: random.Random, torn: bool
) -> None:
    """Where it broke off, what was heard is gone on with or begun anew: never both in one text."""
    for number in range(3):
        topic = f"{SPEECH} cut {'rudely' if torn else 'politely'} for the {number}. time"
        # An answer is some 13 kB long, and what a frame is wrapped in is most of it.
        at = dice.randrange(12_000)
        line = await fresh_line(behind)
        fault = Toxics(reset_after=at, once=True) if torn else Toxics(cut_after=at, once=True)
        async with line.being(fault):
            discussion = await opened(behind.client, topic, within=SOON)
            async with watched(behind.client, discussion) as viewer:
                await whole(behind, topic, discussion, requests=2)
                names = (await viewer).names()
                assert names.count("AttemptFailed") == 1


async def test_an_answer_in_crumbs_is_the_same_answer(behind: Behind) -> None:
    topic = "[[rate: 0 ; many: 60]] in crumbs"
    async with behind.provider.being(Toxics(slice=40)):
        discussion = await opened(behind.client, topic, within=SOON)
        await whole(behind, topic, discussion)
