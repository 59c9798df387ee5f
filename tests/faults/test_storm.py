"""A failing provider never becomes a storm. The provider's own log is the judge.

Thirty discussions, twenty viewers, an account of 100 requests a minute: what happened once, played
again. Time runs four times as fast for whoever waits.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from decimal import Decimal
from itertools import chain, cycle
from pathlib import Path

import pytest
import pytest_asyncio

from bench.storm.ledger import busiest
from bench.storm.weather import FAULTS
from contracts.discussion_events import AttemptFailed, AttemptStarted
from contracts.failures import FailureClass
from services.discussion.breaker import IN_A_ROW
from services.discussion.remedies import MOST_FAILURES
from tests.faults.stories import pid_of
from tests.storms import SPEED, TERMINAL, Storm, replicas, storm_in, stormy
from tests.systems import RunningSystem

pytestmark = pytest.mark.slow
"""Two minutes of a fault are half a minute each here, and a storm has a system of its own."""

RPM, CONCURRENCY = 100, 15
QUESTIONS = [f"Tea, or coffee? ({number})" for number in range(30)]
FAULT = {fault.name: fault for fault in FAULTS}
TWO_MINUTES = 120
PANEL = [
    {"persona": slug, "model": "kimi/kimi-k2.6"}
    for slug in (
        "riley-engstrom",
        "morgan-castellano",
        "amara-okafor",
        "ines-duarte",
        "noor-haddad",
    )
]


@pytest.fixture(scope="module")
def stormy_system(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    folder = tmp_path_factory.mktemp("storm")
    with stormy(folder, rpm=RPM, concurrency=CONCURRENCY) as running:
        yield running


@pytest_asyncio.fixture
async def storm(stormy_system: RunningSystem) -> AsyncGenerator[Storm]:
    async with storm_in(stormy_system) as made:
        yield made


async def test_a_refused_key_that_had_worked(storm: Storm) -> None:
    discussions = await storm.ask(QUESTIONS)
    storm.watch(discussions[:20])
    await storm.reach(discussions, "completed", least=5)
    await storm.provider.breaks(FAULT["401"])
    await storm.reach(discussions, "completed", "parked")
    parked = await storm.asked()
    await storm.passes(TWO_MINUTES)
    at_the_end = await storm.asked()

    assert at_the_end == parked, "a parked discussion costs nothing, whoever looks on"
    assert sum(request.chat and request.status == 401 for request in parked) <= CONCURRENCY
    assert sum(not request.chat for request in parked) == 1, "one confirmation, by GET /models"

    await storm.provider.is_mended()
    await storm.rotate("sk-rotated-once-0123456789abcdefghij")
    await storm.reach(discussions, "completed")

    assert len(await storm.asked()) <= 40
    facts = await storm.journal(discussions)
    refused = next(
        place
        for place, fact in enumerate(facts)
        if isinstance(fact, AttemptFailed) and fact.class_ is FailureClass.AUTH
    )
    former = max(fact.key_version for fact in facts[:refused] if isinstance(fact, AttemptStarted))
    after = [fact for fact in facts[refused:] if isinstance(fact, AttemptStarted)]
    assert after, "all went on in the end"
    assert [fact for fact in after if fact.key_version <= former] == []


async def test_a_refused_key_that_never_worked(storm: Storm) -> None:
    fault = FAULT["401, new key"]
    await storm.rotate("sk-never-worked-0123456789abcdefghijk")
    await storm.provider.begins_anew()
    await storm.provider.breaks(fault)
    discussions = await storm.ask(QUESTIONS)
    storm.watch(discussions[:20])
    await storm.reach(discussions, "parked")
    await storm.passes(TWO_MINUTES)

    (only,) = await storm.asked()
    assert only.chat

    await storm.provider.is_mended()
    await storm.rotate("sk-works-again-0123456789abcdefghijkl")
    await storm.reach(discussions, "completed")

    assert len(await storm.asked()) <= 40


async def test_two_minutes_of_503(storm: Storm) -> None:
    await storm.provider.breaks(FAULT["503"])
    discussions = await storm.ask(QUESTIONS)
    storm.watch(discussions[:20])
    await storm.passes(TWO_MINUTES)
    in_the_fault = await storm.asked()
    await storm.provider.is_mended()
    found = await storm.reach(discussions, *TERMINAL)

    assert {request.status for request in in_the_fault} == {503}, "nobody was answered meanwhile"
    assert len(in_the_fault) <= 40
    assert {each["state"] for each in found} == {"completed"}, "no turn is used up by looking"


async def test_two_minutes_of_429(storm: Storm) -> None:
    """Somebody else uses the account's minute up."""
    await storm.provider.breaks(FAULT["429"])
    discussions = await storm.ask(QUESTIONS)
    storm.watch(discussions[:20])
    await storm.passes(TWO_MINUTES)
    in_the_fault = await storm.asked()
    await storm.provider.is_mended()
    found = await storm.reach(discussions, *TERMINAL)

    assert {request.status for request in in_the_fault} == {429}, "nobody was answered meanwhile"
    assert len(in_the_fault) <= 40
    assert {each["state"] for each in found} == {"completed"}


async def test_never_101_in_any_minute_whoever_asks(storm: Storm) -> None:
    """Three replicas of discussion and of the adapter, and more questions than a minute takes."""
    limits = f"rpm={RPM},concurrency={CONCURRENCY}"
    system = storm.client.system
    async with replicas(system, limits, *(["discussion", "provider_adapter"] * 2)):
        discussions = await storm.ask([f"[[text: Tea.]] number {number}" for number in range(150)])
        await storm.reach(discussions, "completed")

    asked = await storm.asked()
    assert len(asked) == 150
    assert {request.status for request in asked} == {200}, "its own meter refused nothing"
    assert busiest([request.at for request in asked]) <= RPM


async def test_the_limit_is_kept_whoever_dies(storm: Storm, dice: random.Random) -> None:
    """What was permitted and whose place is held is in a table, and outlives whoever wrote it."""
    system = storm.client.system
    discussions = await storm.ask([f"[[many: 40]] number {number}" for number in range(180)])
    killed: list[str] = []
    programs = ["discussion", "provider_adapter", "key_vault", "nats-server"]
    order = cycle(dice.sample(programs, len(programs)))
    loop = asyncio.get_running_loop()
    end = loop.time() + TWO_MINUTES / SPEED
    while loop.time() < end:
        program = next(order)
        with suppress(ProcessLookupError):
            os.kill(await pid_of(system, program), signal.SIGKILL)
            killed.append(program)
        await asyncio.sleep(2)  # the pace of dying
    found = await storm.reach(discussions, *TERMINAL)

    asked = await storm.asked()
    assert set(killed) == set(programs)
    assert len(asked) > RPM, "or the limit would have kept itself"
    assert 429 not in {request.status for request in asked}, "its own meter refused something"
    assert busiest([request.at for request in asked]) <= RPM
    states = [each["state"] for each in found]
    assert states.count("completed") >= 0.9 * len(states)


STUMBLES = (
    "like: server-error",
    "text: This breaks off ; cut",
    "drop",
    "like: overloaded",
    "error: 429 rate_limit_reached_error retry-after=2 too many requests, please try again later",
)
DRILL = "\n---\n".join(chain.from_iterable((fault, *["text: Tea."] * 8) for fault in STUMBLES))
"""Faults of every kind, answers between them: who is tried again does not meet the next one."""


MOST_BEFORE_IT_OPENS = IN_A_ROW // (MOST_FAILURES - 1)
"""Turns that have failed twice before the breaker opens, and may be under way once more then."""


async def test_a_drill_of_faults_costs_few_requests_more(storm: Storm) -> None:
    """A hundred and twenty-five turns, single faults among them, and half a minute of 503."""
    await storm.provider.tell(f"{DRILL}\n---\ntext: Coffee.\n")
    discussions = await storm.ask(
        [f"Tea or coffee? ({number})" for number in range(25)], participants=PANEL
    )
    # By then the stumbles are over: three in one turn are more than a turn is given.
    await storm.reach(discussions, "completed", least=12)
    await storm.provider.breaks(FAULT["503"])
    await storm.passes(30)
    await storm.provider.is_mended(script="text: Coffee.")
    found = await storm.reach(discussions, *TERMINAL)

    turns = [turn for each in found for turn in each["turns"]]
    assert len(turns) == 125
    lost = [turn for turn in turns if turn["state"] != "completed"]
    assert {turn["failure"]["class"] for turn in lost} <= {"transient"}
    # Few are asked at once. Whoever meets the outage first may have had its three tries before the
    # breaker has seen five failures in a row: two turns at the most, and none from then on.
    assert len(lost) <= MOST_BEFORE_IT_OPENS
    asked = [request for request in await storm.asked() if request.chat]
    assert len(asked) == sum(turn["attempts"] for turn in turns)
    assert {500, 503, 429} <= {request.status for request in asked}, "there were faults to survive"
    assert len(asked) > len(turns), "and some of them cost a request"
    assert len(asked) <= 1.2 * len(turns)
    assert max(turn["attempts"] for turn in turns) <= 4


# --- Tier 0: one at a time, three a minute --------------------------------------------------


@pytest.fixture
def smallest(tmp_path: Path) -> Generator[RunningSystem]:
    with stormy(tmp_path, rpm=3, concurrency=1) as running:
        yield running


async def test_a_panel_of_five_on_the_smallest_account(smallest: RunningSystem) -> None:
    """It slides from side by side to one after the other, and says so before it begins."""
    wish = {"topic": "Tea?", "participants": PANEL}
    async with storm_in(smallest) as storm:
        status, told = await storm.client.ask("POST", "/api/v1/estimates", wish)
        assert status == 200, told
        assert await storm.asked() == [], "nothing was begun"

        status, opened = await storm.client.ask("POST", "/api/v1/discussions", wish)
        assert status == 201, opened
        (found,) = await storm.reach([opened["id"]], *TERMINAL)
        asked = await storm.asked()

    for estimate in (told, opened["estimate"]):
        assert 80 <= estimate["seconds"] <= 240, "four waits of twenty seconds, and what was before"
        assert estimate["tokens"] > 5 * 1_000
        assert Decimal(estimate["cost"]["amount"]) > 0
    assert [turn["state"] for turn in found["turns"]] == ["completed"] * 5
    assert [turn["attempts"] for turn in found["turns"]] == [1] * 5
    assert {request.status for request in asked} == {200}, "its meter refused nothing"
    assert busiest([request.at for request in asked]) <= 3
