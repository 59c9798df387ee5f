"""Crowds of viewers: they cost the provider nothing, the edge little, and lose no word."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import resource
import signal
from collections import Counter
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.eventually import eventually
from tests.faults.test_kills import pid_of, requests_of, until_terminal
from tests.systems import Client, RunningSystem

SILENT = "[[text: Hold. ; wait: 25s ; comment: hb ; wait: 25s ; comment: hb ; wait: 25s]]"
"""Lives, and says nothing for longer than the test takes."""

MORE_MEMORY = 24 << 20
"""Bytes by which the edge may have grown once everybody has left: what Python keeps for itself."""


@pytest.fixture(autouse=True)
def many_files() -> Generator[None]:
    """All viewers are in this process, and each has a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= 4_096, "ulimit -Hn 4096, at least"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass(eq=False)
class Viewer:
    """One raw connection, read as a browser reads it; it comes back when it was told to."""

    system: RunningSystem
    discussion: str
    last_id: str = ""
    versions: list[int] = field(default_factory=list[int])
    text: str = ""
    """Of the turn that has completed."""
    ended: bool = False
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    tries: list[float] = field(default_factory=list[float])
    """When it tried to connect, by the loop's clock."""
    _retry: float = 3.0

    async def follow(self) -> None:
        """To the end, over as many connections as it takes."""
        while not self.ended:
            self.tries.append(asyncio.get_running_loop().time())
            try:
                await self.watch()
            except OSError:
                pass
            finally:
                self.connected.clear()
            if not self.ended:
                await asyncio.sleep(self._retry)

    async def watch(self) -> None:
        """One connection, as long as it lasts."""
        place = urlsplit(self.system.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=4 << 20)
        try:
            last = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
            writer.write(
                f"GET /api/v1/discussions/{self.discussion}/events HTTP/1.1\r\n"
                f"Host: {place.netloc}\r\nAuthorization: Bearer {self.system.token}\r\n{last}"
                "\r\n".encode()
            )
            async for name, value in _fields(reader):
                self._take(name, value)
                if self.ended:
                    return
        finally:
            writer.transport.abort()

    def _take(self, name: str, value: str) -> None:
        match name:
            case "":
                self.connected.set()
            case "retry":
                self._retry = int(value) / 1_000
            case "id":
                self.last_id = value
                self.versions.append(int(value))
            case "event":
                self.ended = value == "end"
            case "data" if '"finish_reason"' in value:
                self.text = json.loads(value)["text"]
            case _:
                pass


async def _fields(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, str]]:
    """The lines of the stream; chunk sizes and the head have no such form."""
    while line := await reader.readline():
        if found := re.fullmatch(rb"(id|event|data|retry|): (.*)\n", line):
            yield found[1].decode(), found[2].decode()


async def figure(client: Client, name: str) -> float:
    """What the edge says of itself."""
    async with client.http.get(f"{client.system.url}/metrics") as answer:
        found = re.search(rf"^{name} (\S+)$", await answer.text(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_two_hundred_viewers_and_a_thousand_idle_ones(client: Client) -> None:
    system = client.system
    memory = await figure(client, "process_resident_memory_bytes")
    files = await figure(client, "process_open_fds")
    before = int(await figure(client, "parley_edge_streams"))
    tasks = await figure(client, "parley_tasks")
    silent = await client.open(f"{SILENT} for a thousand")
    idle = [Viewer(system, silent) for _ in range(1_000)]
    idling = [asyncio.create_task(viewer.follow()) for viewer in idle]

    async def all_are_in() -> bool:
        # Who comes when a thousand have come within the second is asked to come a little later.
        assert await figure(client, "parley_edge_streams") == before + 1_000
        return await figure(client, "parley_tasks") >= tasks + 1_000

    await eventually(all_are_in, within=timedelta(seconds=60))
    watched = await client.open("[[rate: 20 ; many: 300]] for two hundred viewers")
    viewers = [Viewer(system, watched) for _ in range(200)]
    following = [asyncio.create_task(viewer.follow()) for viewer in viewers]
    await asyncio.gather(*(viewer.connected.wait() for viewer in viewers))
    status, _ = await client.ask("GET", "/api/v1/discussions")
    assert status == 200

    await asyncio.wait_for(asyncio.gather(*following), 60)
    await client.ask("POST", f"/api/v1/discussions/{silent}/cancel")
    await asyncio.wait_for(asyncio.gather(*idling), 60)

    whole = [f"word{number}" for number in range(300)]
    assert all(viewer.text.split() == whole for viewer in viewers)
    for viewer in [*viewers, *idle]:
        assert viewer.versions == list(range(1, len(viewer.versions) + 1))
    assert await requests_of(client, "for two hundred viewers") == 1
    assert await requests_of(client, "for a thousand") == 1

    async def back_to_normal() -> bool:
        assert await figure(client, "parley_edge_streams") == before
        assert await figure(client, "process_open_fds") <= files + 5
        assert await figure(client, "parley_tasks") <= tasks + 5
        grown = await figure(client, "process_resident_memory_bytes") - memory
        assert grown <= MORE_MEMORY, f"{grown / (1 << 20):.1f} MiB more"
        return True

    await eventually(back_to_normal, within=timedelta(seconds=30))


@pytest.mark.slow  # a restart of the edge, and the seconds over which its viewers come back
async def test_after_a_restart_of_the_edge_nobody_comes_in_a_crowd(client: Client) -> None:
    system = client.system
    discussion = await client.open("[[rate: 20 ; many: 400]] while the edge restarts")
    viewers = [Viewer(system, discussion) for _ in range(200)]
    following = [asyncio.create_task(viewer.follow()) for viewer in viewers]
    await asyncio.gather(*(viewer.connected.wait() for viewer in viewers))

    os.kill(await pid_of(system, "edge"), signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*following), 90)

    assert all(len(viewer.tries) > 1 for viewer in viewers)
    again = sorted(at for viewer in viewers for at in viewer.tries[1:])
    # Three seconds lie between the least and the most that they were told. All at one moment would
    # be a peak that is its own mean, so the length of it counts as well.
    assert again[-1] - again[0] >= 2, "they came all at once"
    halves = Counter(int(2 * (at - again[0])) for at in again)
    mean = len(again) / (max(halves) + 1)
    assert max(halves.values()) <= 3 * mean, halves
    found = await until_terminal(client, discussion)
    for viewer in viewers:
        assert viewer.versions == list(range(1, found["version"] + 1))
        assert viewer.text == found["turns"][0]["text"]
    assert await requests_of(client, "while the edge restarts") == 1


SPEECHES = [
    "[[rate: 20 ; many: 120]]",
    "[[rate: 40 ; think: Let me see, this takes a little thought. ; many: 200]]",
    "[[rate: 20 ; text: naïve 👩‍👩‍👧 café 🎉 漢字 ; wait: 2s ; many: 60 ; text: \u2028 and out.]]",
    "[[rate: 20 ; many: 70 ; cut-once ; text: It went on.]]",
]


# 500 have their turn in `make test/faults`: two minutes of coming and going.
@pytest.mark.parametrize("histories", [60, pytest.param(500, marks=pytest.mark.slow)])
async def test_what_a_reader_saw_is_the_journal_over_any_history_of_reconnects(
    client: Client, dice: random.Random, histories: int
) -> None:
    discussions = [
        await client.open(speech, "riley-engstrom", "morgan-castellano") for speech in SPEECHES
    ]
    readers = [
        client.system.reader(discussions[number % len(discussions)]) for number in range(histories)
    ]
    patience = [random.Random(dice.randrange(1 << 32)) for _ in readers]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=4 << 20) as http:

        async def follow(number: int) -> None:
            reader, own = readers[number], patience[number]
            while reader.ended is None:
                status = await reader.follow(
                    http, leave_after=own.choice([1, 1, 2, 3, 5, 10, 30, 100])
                )
                if status == 204:
                    return

        await asyncio.wait_for(asyncio.gather(*map(follow, range(histories))), 300)
        journals: dict[str, list[tuple[str, Any]]] = {}
        for discussion in discussions:
            whole = client.system.reader(discussion)
            async with asyncio.timeout(60):
                while whole.ended is None:  # so many came that the edge may ask for patience
                    await whole.follow(http)
            journals[whole.address] = [(fact.name, fact.data) for fact in whole.facts]

    for reader in readers:
        assert [(fact.name, fact.data) for fact in reader.facts] == journals[reader.address]
    live = sum(any(reader.text.values()) for reader in readers)
    assert live > histories / 2, "what is compared was heard live, too, and by most"
    dropped = sum(reader.connections > 1 for reader in readers)
    assert dropped > histories / 2, "they did drop"
    for discussion in discussions:
        found = await client.read(discussion)
        told = client.system.reader(discussion).address
        truth = {
            turn["id"]: turn["text"] for turn in found["turns"] if turn["state"] == "completed"
        }
        assert truth == {
            data["turn"]: data["text"] for name, data in journals[told] if name == "TurnCompleted"
        }
    print(f"{sum(reader.connections for reader in readers)} connections")  # noqa: T201
