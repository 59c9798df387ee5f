"""Discussions in a whole system that is being broken: how they are begun, followed and judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp

from tests.eventually import eventually
from tests.launched import command_line
from tests.readers import Reader
from tests.systems import Client, RunningSystem

TERMINAL = {"completed", "failed", "cancelled"}
AWAY = {503, 504}
"""What the edge answers while a part is away."""
LOST = (aiohttp.ClientError, TimeoutError, ConnectionError)


def words(number: int) -> list[str]:
    """What the provider says to `many: number`."""
    return [f"word{n}" for n in range(number)]


async def pid_of(system: RunningSystem, program: str) -> int:
    """The process that runs under this name now."""

    async def known() -> int | None:
        facts = system.launched.home.facts()
        pid = facts.processes.get(program) if facts else None
        return pid if pid and command_line(pid) else None

    pid = await eventually(known, within=timedelta(seconds=60))
    assert pid is not None
    return pid


async def opened(client: Client, topic: str, *, within: timedelta) -> str:
    """Ask until it is taken, each time under the same key: it is opened once, however often."""
    body = {"topic": topic, "participants": [{"persona": "riley-engstrom"}]}
    key = {"Idempotency-Key": str(uuid4())}

    async def taken() -> str | None:
        try:
            status, answer = await client.ask("POST", "/api/v1/discussions", body, **key)
        except LOST:
            return None
        assert status in {201, *AWAY}, answer
        if status != 201:
            explained(answer)
        return answer["id"] if status == 201 else None

    id_ = await eventually(taken, within=within)
    assert id_ is not None
    return id_


def explained(problem: dict[str, Any]) -> None:
    """Whoever is turned away is told why and what to do."""
    assert problem["type"].startswith("urn:parley:problem:"), problem
    assert problem["title"], problem
    assert problem["next_step"], problem


async def state_of(client: Client, discussion: str) -> dict[str, Any] | None:
    """The discussion; None while it cannot be looked at."""
    try:
        status, found = await client.ask("GET", f"/api/v1/discussions/{discussion}")
    except LOST:
        return None
    if status in AWAY:
        explained(found)
        return None
    assert status == 200, found
    return found


async def until(
    client: Client, discussion: str, *states: str, within: timedelta = timedelta(seconds=120)
) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        found = await state_of(client, discussion)
        assert found is None or found["state"] in states, found
        return found

    found = await eventually(there, within=within)
    assert found is not None
    return found


async def until_terminal(
    client: Client, discussion: str, *, within: timedelta = timedelta(seconds=180)
) -> dict[str, Any]:
    return await until(client, discussion, *TERMINAL, within=within)


async def follow(client: Client, discussion: str) -> Reader:
    """A viewer who comes back whenever the line is lost, and keeps books; until the end."""
    reader = client.system.reader(discussion)
    while reader.ended is None:
        status = 0
        with suppress(*LOST):
            status = await reader.follow(client.http)
        assert status in {0, 200, 204, *AWAY}
        if status == 204:
            break  # it lost only the word that it was over
        if reader.ended is None:
            await asyncio.sleep(0.2)  # sooner than `retry:` asks: the worst of viewers
    return reader


@asynccontextmanager
async def watched(client: Client, discussion: str) -> AsyncGenerator[asyncio.Task[Reader]]:
    """Somebody follows it all the while."""
    following = asyncio.create_task(follow(client, discussion))
    try:
        yield following
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def until_speaking(client: Client, discussion: str) -> None:
    """Until text has been seen live."""
    reader = client.system.reader(discussion)
    while not any(reader.text.values()):
        await reader.follow(client.http, leave_after=1 + len(reader.facts))


async def requests_of(client: Client, marker: str) -> int:
    """Requests for an answer that the provider itself has counted."""
    address = client.system.provider.removesuffix("/v1") + "/log"
    async with client.http.get(address) as answer:
        log = await answer.json()
    return sum(marker in str(entry) for entry in log)
