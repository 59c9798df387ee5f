"""kill -9 and SIGSTOP of any process while answers stream: each discussion comes to its one end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.eventually import eventually
from tests.faults.stories import (
    follow,
    opened,
    pid_of,
    requests_of,
    state_of,
    until,
    until_speaking,
    until_terminal,
    watched,
    words,
)
from tests.systems import Client

ADAPTER = "provider_adapter"
PROGRAMS = ["edge", "persona", "key_vault", "discussion", "nats-server", "postgres"]
SPEECH = "[[rate: 20 ; many: 60]]"
"""Three seconds of text."""

SOON = timedelta(seconds=90)


async def kill(client: Client, program: str) -> None:
    os.kill(await pid_of(client.system, program), signal.SIGKILL)


async def one_end(client: Client, discussion: str) -> list[str]:
    """Reads the whole story, once; checks that it ends once, and answers its events."""
    reader = await follow(client, discussion)
    ends = {"DiscussionCompleted", "DiscussionFailed", "DiscussionCancelled"}
    assert [name for name in reader.names() if name in ends] == [reader.names()[-1]]
    return reader.names()


# --- Each by itself -------------------------------------------------------------------------


QUICK = {"discussion", "nats-server", "postgres", ADAPTER}
"""Those that every run of all tests breaks; the others have their turn in `make test/faults`."""


def each(programs: list[str]) -> list[Any]:
    return [
        pytest.param(program, marks=() if program in QUICK else pytest.mark.slow)
        for program in programs
    ]


@pytest.mark.parametrize("program", each(PROGRAMS))
async def test_a_killed_program_comes_back_and_the_answer_is_whole(
    client: Client, program: str
) -> None:
    discussion = await opened(client, f"{SPEECH} while {program} dies", within=SOON)
    await until_speaking(client, discussion)

    await kill(client, program)

    found = await until_terminal(client, discussion)
    names = await one_end(client, discussion)
    assert found["state"] == "completed", found
    (turn,) = found["turns"]
    assert turn["text"].split() == words(60)
    assert names.count("AttemptStarted") == turn["attempts"]
    assert await requests_of(client, f"while {program} dies") == turn["attempts"] == 1


@pytest.mark.slow  # half a minute passes until the attempt is looked after
async def test_a_killed_adapter_costs_the_attempt_and_never_two_requests_for_one(
    client: Client,
) -> None:
    discussion = await opened(client, f"{SPEECH} while provider_adapter dies", within=SOON)
    await until_speaking(client, discussion)

    await kill(client, ADAPTER)

    found = await until_terminal(client, discussion)
    names = await one_end(client, discussion)
    (turn,) = found["turns"]
    assert found["state"] == "completed", found
    assert turn["text"].split() == words(60)
    assert names.count("AttemptCut") == 1
    assert names.count("TurnRestarted") == 1
    assert await requests_of(client, "while provider_adapter dies") == turn["attempts"] == 2


@pytest.mark.parametrize("program", each([*PROGRAMS, ADAPTER]))
async def test_a_frozen_program_goes_on_where_it_was(client: Client, program: str) -> None:
    topic = f"{SPEECH} while {program} is frozen"
    discussion = await opened(client, topic, within=SOON)
    async with watched(client, discussion) as viewer:
        await until_speaking(client, discussion)
        pid = await pid_of(client.system, program)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(5)  # this is the fault itself, not a wait for a fact
        finally:
            os.kill(pid, signal.SIGCONT)

        found = await until_terminal(client, discussion)
        (turn,) = found["turns"]
        assert found["state"] == "completed", found
        assert turn["text"].split() == words(60)
        assert await requests_of(client, topic) == turn["attempts"] == 1
        assert (await viewer).names()[-1] == "DiscussionCompleted"


@pytest.mark.slow  # two processes come back, one after the other
async def test_without_the_vault_nothing_is_asked_and_what_waits_says_so(client: Client) -> None:
    """Nobody else has the key: not even an adapter that had it a moment ago, once it is anew."""
    topic = f"{SPEECH} without the vault"
    vault = await pid_of(client.system, "key_vault")
    body = {"topic": topic, "participants": [{"persona": "riley-engstrom"}]}
    before = await opened(client, f"{SPEECH} with the vault still there", within=SOON)
    await until_terminal(client, before)
    killed = await pid_of(client.system, ADAPTER)
    os.kill(killed, signal.SIGKILL)  # what it has borrowed is gone with it
    await another_runs(client, ADAPTER, killed)
    os.kill(vault, signal.SIGSTOP)
    try:
        status, answer = await client.ask("POST", "/api/v1/discussions", body)
        assert status in {201, 503, 504}, answer
        if status == 201:
            found = await until(client, answer["id"], "waiting")
            assert found["turns"][0]["failure"]["title"]
        assert await requests_of(client, topic) == 0
    finally:
        os.kill(vault, signal.SIGCONT)

    discussion = answer["id"] if status == 201 else await opened(client, topic, within=SOON)
    found = await until_terminal(client, discussion)
    assert found["state"] == "completed", found
    assert await requests_of(client, topic) == 1


async def another_runs(client: Client, program: str, killed: int) -> None:
    """Wait until what was killed runs again and answers."""

    async def ready() -> bool:
        if await pid_of(client.system, program) == killed:
            return False
        async with client.http.get(f"{client.system.url}/readyz") as answer:
            return answer.status == 200

    await eventually(ready, within=SOON)


# --- All of them ----------------------------------------------------------------------------


@pytest.mark.slow  # all seven processes come back
async def test_everything_at_once(client: Client) -> None:
    """Ten discussions, and every program killed while they speak."""
    discussions = await asyncio.gather(
        *(
            opened(client, f"{SPEECH} in the storm, number {number}.", within=SOON)
            for number in range(10)
        )
    )
    for program in [*PROGRAMS, ADAPTER]:
        await kill(client, program)

    found = await asyncio.gather(*(until_terminal(client, each) for each in discussions))

    for discussion in found:
        await one_end(client, discussion["id"])
        (turn,) = discussion["turns"]
        assert turn["attempts"] <= 3
    asked = await requests_of(client, "in the storm")
    assert asked <= sum(discussion["turns"][0]["attempts"] for discussion in found)


# The two minutes that were promised have their turn in `make test/faults`.
@pytest.mark.parametrize("seconds", [12, pytest.param(120, marks=pytest.mark.slow)])
async def test_something_dies_every_two_seconds(
    client: Client, dice: random.Random, seconds: int
) -> None:
    """Whatever was accepted comes to its end, and each whole text is what the provider said."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    killed: list[str] = []
    accepted: dict[str, int] = {}

    async def ask_again_and_again(who: int) -> None:
        number = 0
        while loop.time() < end:
            number += 1
            length = dice.randint(5, 80)
            topic = f"[[rate: 20 ; many: {length}]] {seconds} s, number {number} of {who}."
            accepted[await opened(client, topic, within=4 * SOON)] = length
            await asyncio.sleep(1)  # the pace of asking

    async def kill_again_and_again() -> None:
        while loop.time() < end:
            program = dice.choice([*PROGRAMS, ADAPTER])
            facts = client.system.launched.home.facts()
            pid = facts.processes.get(program) if facts else None
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(program)
            await asyncio.sleep(2)  # the pace of dying, as the test's name has it

    await asyncio.gather(*map(ask_again_and_again, range(4)), kill_again_and_again())

    assert len(killed) >= seconds / 4, f"hardly anything died: {killed}"
    assert accepted
    for discussion, length in accepted.items():
        found = await until_terminal(client, discussion, within=4 * SOON)
        await one_end(client, discussion)
        (turn,) = found["turns"]
        if turn["state"] == "completed":
            assert turn["text"].split() == words(length), found
        else:
            gave_up_with_a_reason(turn)
    completed = [await state_of(client, discussion) for discussion in accepted]
    states = [found["state"] for found in completed if found]
    print(f"{len(states)} discussions, {states.count('completed')} of them completed")  # noqa: T201
    assert len(states) == len(accepted)
    assert states.count("completed") >= len(states) / 2, "to give up is no way to survive"


def gave_up_with_a_reason(turn: dict[str, Any]) -> None:
    """Tried as often as is sensible, and said so."""
    assert turn["failure"]["class"] in {"ambiguous", "midstream", "transient"}, turn
    assert turn["failure"]["next_step"]
    assert turn["attempts"] >= 2, turn
