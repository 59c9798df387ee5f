"""kill -9 of any process while an answer streams: every discussion still comes to its one end."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tests.eventually import eventually
from tests.launched import command_line
from tests.systems import Client, RunningSystem

PROGRAMS = ["edge", "persona", "key_vault", "discussion", "nats-server", "postgres"]
SPEECH = "[[rate: 20 ; many: 60]]"
"""Three seconds of text."""

TERMINAL = {"completed", "failed", "cancelled"}


async def pid_of(system: RunningSystem, program: str) -> int:
    """The process that runs under this name now."""

    async def known() -> int | None:
        facts = system.launched.home.facts()
        pid = facts.processes.get(program) if facts else None
        return pid if pid and command_line(pid) else None

    pid = await eventually(known, within=timedelta(seconds=60))
    assert pid is not None
    return pid


async def state_of(client: Client, discussion: str) -> dict[str, Any]:
    """The discussion; not yet, while what was killed is away."""
    try:
        status, found = await client.ask("GET", f"/api/v1/discussions/{discussion}")
    except aiohttp.ClientError as error:
        raise AssertionError("the edge is away") from error
    assert status == 200, found
    return found


async def until_speaking(client: Client, discussion: str) -> None:
    """Until text has been seen live."""
    reader = client.system.reader(discussion)
    while not any(reader.text.values()):
        await reader.follow(client.http, leave_after=1 + len(reader.facts))


async def until_terminal(client: Client, discussion: str) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        found = await state_of(client, discussion)
        return found if found["state"] in TERMINAL else None

    found = await eventually(over, within=timedelta(seconds=120))
    assert found is not None
    return found


async def requests_of(client: Client, marker: str) -> int:
    """Requests for an answer that the provider itself has counted."""
    address = client.system.provider.removesuffix("/v1") + "/log"
    async with client.http.get(address) as answer:
        log = await answer.json()
    return sum(marker in str(entry) for entry in log)


async def one_end(client: Client, discussion: str) -> list[str]:
    """Reads the whole story, once; checks that it ends once, and answers its events."""
    reader = client.system.reader(discussion)
    while reader.ended is None:
        await reader.follow(client.http)
    ends = [
        name
        for name in reader.names()
        if name in {"DiscussionCompleted", "DiscussionFailed", "DiscussionCancelled"}
    ]
    assert len(ends) == 1
    assert reader.names()[-1] == ends[0]
    return reader.names()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_killed_program_comes_back_and_the_answer_is_whole(
    client: Client, program: str
) -> None:
    discussion = await client.open(f"{SPEECH} while {program} dies")
    await until_speaking(client, discussion)

    os.kill(await pid_of(client.system, program), signal.SIGKILL)

    found = await until_terminal(client, discussion)
    names = await one_end(client, discussion)
    assert found["state"] == "completed", found
    (turn,) = found["turns"]
    assert turn["text"].split() == [f"word{number}" for number in range(60)]
    assert names.count("AttemptStarted") == turn["attempts"]
    assert await requests_of(client, f"while {program} dies") == turn["attempts"] == 1


async def test_a_killed_adapter_costs_the_attempt_and_never_two_requests_for_one(
    client: Client,
) -> None:
    discussion = await client.open(f"{SPEECH} while provider_adapter dies")
    await until_speaking(client, discussion)

    os.kill(await pid_of(client.system, "provider_adapter"), signal.SIGKILL)

    found = await until_terminal(client, discussion)
    names = await one_end(client, discussion)
    (turn,) = found["turns"]
    assert found["state"] == "completed", found
    assert turn["text"].split() == [f"word{number}" for number in range(60)]
    assert names.count("AttemptCut") == 1
    assert names.count("TurnRestarted") == 1
    assert await requests_of(client, "while provider_adapter dies") == turn["attempts"] == 2


async def test_everything_at_once(client: Client) -> None:
    """Ten discussions, and every program killed while they speak."""
    discussions = await asyncio.gather(
        *(client.open(f"{SPEECH} in the storm, number {number}") for number in range(10))
    )
    for program in [*PROGRAMS, "provider_adapter"]:
        os.kill(await pid_of(client.system, program), signal.SIGKILL)

    found = await asyncio.gather(*(until_terminal(client, each) for each in discussions))

    for discussion in found:
        await one_end(client, discussion["id"])
        (turn,) = discussion["turns"]
        assert turn["attempts"] <= 3
    asked = await requests_of(client, "in the storm")
    assert asked <= sum(discussion["turns"][0]["attempts"] for discussion in found)
