"""Fifty discussions of every mode at once, on a key that lets ten be answered at a time."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bench.storm.weather import Provider
from local.home import Home
from tests.eventually import eventually
from tests.launched import erase, launched
from tests.readers import Sent
from tests.systems import Client, RunningSystem, scripted, settings, warm_up

AT_ONCE = 10
WITHIN = 180
"""Seconds; it takes less than half a minute on two idle cores."""
PANEL = tuple(f"panel-plain-{idea}-abcd" for idea in "abcd")
"""Four ideas, one order of them: they agree."""
RILEY, MORGAN = {"persona": "riley-engstrom"}, {"persona": "morgan-castellano"}

EACH: dict[str, dict[str, Any]] = {
    "single": {"participants": [RILEY]},
    "parallel": {"mode": "parallel", "participants": [RILEY, MORGAN]},
    "debate": {"mode": "debate", "participants": [RILEY, MORGAN], "options": {"rounds": 2}},
    "compare": {"mode": "compare", "models": [f"kimi/{model}" for model in PANEL[:3]]},
    "consensus": {
        "mode": "consensus",
        "topic": "Which idea?",
        "participants": [{"model": f"kimi/{model}"} for model in PANEL],
    },
}
"""By mode: what is asked. Ten of each."""


@dataclass(frozen=True)
class Asked:
    """A turn's way through the line."""

    scheduled: datetime
    started: datetime


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    """A system whose provider refuses the eleventh at once, and talks at a person's pace."""
    home = Home(tmp_path_factory.mktemp("fifty") / "home")
    models = chain.from_iterable(("--model", model) for model in PANEL)
    limits = {"KIMI_LIMITS": f"rpm=60000,concurrency={AT_ONCE}"}
    with (
        scripted("--rate", "60", "--concurrency", str(AT_ONCE), *models) as provider,
        launched(home, **settings(provider) | limits) as system,
    ):
        running = RunningSystem(system, asyncio.run(system.ready()), provider)
        asyncio.run(warm_up(running))
        yield running
    erase(home)


@pytest_asyncio.fixture
async def client(narrow: RunningSystem) -> AsyncGenerator[Client]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as http:
        await Provider(narrow.provider, http).begins_anew()
        yield Client(narrow, http)


async def test_fifty_discussions_of_every_mode_end_and_none_is_starved(client: Client) -> None:
    modes = list(EACH) * 10
    before = await used(client)
    opened = await asyncio.gather(*(begin(client, mode) for mode in modes))

    async with asyncio.timeout(WITHIN):
        streams = await asyncio.gather(*(facts(client, each) for each in opened))
    found = await asyncio.gather(*(client.read(each) for each in opened))

    assert Counter(each["state"] for each in found) == {"completed": len(modes)}
    told = list(chain.from_iterable(streams))
    outcomes = Counter(fact.data["outcome"] for fact in told if fact.name == "ConsensusConcluded")
    assert outcomes == {"consensus": 10}, "the same panel, the same question"
    turns = waits(told)
    assert len(turns) == sum(len(each["turns"]) for each in found)
    assert most_overtaken(turns) <= 2 * AT_ONCE, "those on the way, and a place that fell free"
    asked = await log_of_provider(client)
    assert Counter(each["status"] for each in asked) == {200: len(turns)}, "each once, none refused"

    async def billed() -> bool:
        """To the token, whatever the mode; who was called off has not been told its bill."""
        return await used(client) - before == bill(await log_of_provider(client))

    await eventually(billed)


# --- What happened ----------------------------------------------------------------------------


async def begin(client: Client, mode: str) -> str:
    body = {"topic": "[[many: 12]]"} | EACH[mode]
    status, opened = await client.ask("POST", "/api/v1/discussions", body)
    assert status == 201, opened
    return opened["id"]


async def facts(client: Client, discussion: str) -> list[Sent]:
    """All that is told of it until it is over."""
    reader = client.system.reader(discussion)
    while reader.ended is None:
        await reader.follow(client.http)
    return reader.facts


def waits(told: list[Sent]) -> list[Asked]:
    """Every turn that was asked, with the first time."""
    scheduled: dict[str, datetime] = {}
    started: dict[str, datetime] = {}
    for fact in told:
        if fact.name == "TurnScheduled":
            scheduled[fact.data["turn"]] = datetime.fromisoformat(fact.data["at"])
        elif fact.name == "AttemptStarted":
            started.setdefault(fact.data["turn"], datetime.fromisoformat(fact.data["at"]))
    return [Asked(scheduled[turn], at) for turn, at in started.items()]


def most_overtaken(turns: list[Asked]) -> int:
    """How many turns, of those that came later, were asked before one, at the most."""
    most = 0
    earlier_starts: list[datetime] = []
    for turn in sorted(turns, key=lambda each: each.scheduled, reverse=True):
        most = max(most, bisect_left(earlier_starts, turn.started))
        insort(earlier_starts, turn.started)
    return most


async def log_of_provider(client: Client) -> list[dict[str, Any]]:
    """What it was asked since the key was tried, with its answer and its bill."""
    async with client.http.get(client.system.asked) as answer:
        log = await answer.json()
    return [each for each in log if each["path"] == "/v1/chat/completions"]


def bill(asked: list[dict[str, Any]]) -> Counter[str]:
    """What the provider has told of its bill."""
    found: Counter[str] = Counter()
    for charged in (each["bill"] for each in asked):
        if charged is None or not charged["told"]:
            found.update(untold=1)
        else:
            found.update(told=1, read=charged["prompt_tokens"], said=charged["completion_tokens"])
    return found


async def used(client: Client) -> Counter[str]:
    """What Parley says of it."""
    status, report = await client.ask("GET", "/api/v1/usage?by=day")
    assert status == 200, report
    found: Counter[str] = Counter()
    for line in report["items"]:
        measured = line["measured"]
        found.update(told=measured["requests"])
        found.update(read=measured["input_tokens"], said=measured["output_tokens"])
        found.update(untold=line["estimated"]["requests"] + line["unknown"]["requests"])
    return found
