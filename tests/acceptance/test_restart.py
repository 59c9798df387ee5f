"""Ctrl-C and a second start: what was finished reads back the same, what ran comes to an end."""

from __future__ import annotations

import signal
from pathlib import Path

import aiohttp

from local.home import Home
from tests.eventually import eventually
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, scripted, settings, warm_up

TERMINAL = {"completed", "failed", "cancelled"}


async def test_a_stopped_system_goes_on_where_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    try:
        with scripted("--rate", "30") as provider:
            with launched(home, **settings(provider)) as first:
                before = RunningSystem(first, await first.ready(), provider)
                await warm_up(before)
                async with aiohttp.ClientSession() as http:
                    client = Client(before, http)
                    finished = await client.open("[[text: This is done.]]", "riley-engstrom")
                    reader = before.reader(finished)
                    await reader.follow(http)
                    told = await client.read(finished)
                    running = await client.open("[[rate: 20 ; many: 100]]", "riley-engstrom")
                    watching = before.reader(running)
                    await watching.follow(http, leave_after=20)
                first.tell(signal.SIGINT)
                assert await first.ended() == 0

            with launched(home, **settings(provider)) as second:
                after = RunningSystem(second, await second.ready(), provider)
                async with aiohttp.ClientSession() as http:
                    client = Client(after, http)

                    async def over() -> bool:
                        try:
                            return (await client.read(running))["state"] in TERMINAL
                        except (OSError, AssertionError):
                            return False

                    await eventually(over)
                    assert await client.read(finished) == told
                    again = after.reader(finished)
                    await again.follow(http)
                    assert [fact.data for fact in again.facts] == [
                        fact.data for fact in reader.facts
                    ]
                    watching.address = after.reader(running).address
                    while watching.ended is None:
                        assert await watching.follow(http) == 200
    finally:
        erase(home)
