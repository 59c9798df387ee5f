"""A whole system in a storm: its provider keeps an account's limits and can be broken, time runs
faster, and what the provider's own log says is what counts.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench.hurry import hurry
from bench.storm.ledger import Request, requests
from bench.storm.weather import Provider
from contracts.discussion_events import DISCUSSION_EVENTS, DiscussionEvent
from local.home import CHECKOUT, STATEFUL, Home
from local.ports import LOOPBACK, free_port
from local.programs import page_answers
from shared.database import connect_alone, service_dsn
from shared.journal import Journal
from tests.eventually import eventually
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, scripted, settings, warm_up

SPEED = 4
"""A second of the test is so many for whoever waits. Much faster, and what the machine takes for
a request would be more than a provider's meter may be late by."""

PATIENCE = timedelta(seconds=240)

TERMINAL = {"completed", "failed", "cancelled"}


@dataclass
class Storm:
    """The system, its provider, and who watches."""

    client: Client
    provider: Provider
    viewers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def ask(self, topics: Sequence[str], **more: object) -> list[str]:
        """All at once; the discussions' ids."""
        return await asyncio.gather(*(self.client.open(topic, **more) for topic in topics))

    def watch(self, discussions: Sequence[str]) -> None:
        """A viewer for each, until the test ends."""
        for discussion in discussions:
            self.viewers.append(asyncio.create_task(self._watch(discussion)))

    async def _watch(self, discussion: str) -> None:
        reader = self.client.system.reader(discussion)
        while reader.ended is None:
            await reader.follow(self.client.http)

    async def reach(
        self, discussions: Sequence[str], *states: str, least: int | None = None
    ) -> list[dict[str, Any]]:
        """Wait until all of them (or `least`) are in one of the states; all as they are then."""

        async def there() -> list[dict[str, Any]]:
            found = await asyncio.gather(*(self.client.read(each) for each in discussions))
            arrived = sum(each["state"] in states for each in found)
            told = sorted(each["state"] for each in found)
            assert arrived >= (len(discussions) if least is None else least), told
            return found

        return await eventually(there, within=PATIENCE)

    async def journal(self, discussions: Sequence[str]) -> list[DiscussionEvent]:
        """Every fact of these, in the order in which they were committed.

        Their times would not tell that: each is taken before its transaction waits for an account
        that another one holds.
        """
        system = self.client.system
        dsn = service_dsn(
            system.facts.database, "discussion", system.launched.home.passwords()["discussion"]
        )
        conn = await connect_alone(dsn, "discussion", "storm")
        try:
            recorded = await Journal[Any](DISCUSSION_EVENTS).read_all(conn, after=0, limit=1 << 20)
        finally:
            await conn.close()
        return [one.event for one in recorded if one.stream in discussions]

    async def asked(self) -> list[Request]:
        """What reached the provider, in seconds of the story."""
        found = requests(await self.provider.log())
        return [Request(each.at * SPEED, each.chat, each.status) for each in found]

    async def chats(self) -> int:
        return sum(request.chat for request in await self.asked())

    async def rotate(self, secret: str) -> None:
        """As a person does it."""
        _, keys = await self.client.ask("GET", "/api/v1/keys")
        status, key = await self.client.ask(
            "POST", f"/api/v1/keys/{keys['items'][0]['id']}/rotate", {"secret": secret}
        )
        assert status == 200, key

    async def passes(self, seconds: float) -> None:
        """The fault goes on: the one thing that has to be waited for."""
        await asyncio.sleep(seconds / SPEED)


@contextmanager
def stormy(folder: Path, *, rpm: int, concurrency: int) -> Generator[RunningSystem]:
    """A system whose key has worked; its provider refuses what is more than the account may."""
    home = Home(folder / "home")
    limits = f"rpm={rpm},concurrency={concurrency}"
    told = ("--rpm", str(rpm), "--concurrency", str(concurrency), "--minute", str(60 / SPEED))
    with (
        scripted("--rate", str(20 * SPEED), *told) as provider,
        launched(home, **settings(provider) | {"KIMI_LIMITS": limits}) as system,
    ):
        running = RunningSystem(system, asyncio.run(system.ready()), provider)
        asyncio.run(warm_up(running))
        asyncio.run(hurry(home, SPEED))
        yield running
    erase(home)


@asynccontextmanager
async def storm_in(system: RunningSystem) -> AsyncGenerator[Storm]:
    """For one test: the provider is well before and after it, and its log is empty."""
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=200)
    ) as http:
        provider = Provider(system.provider, http)
        await provider.is_mended()
        await provider.begins_anew()
        storm = Storm(Client(system, http), provider)
        try:
            yield storm
        finally:
            for viewer in storm.viewers:
                viewer.cancel()
            seen = await asyncio.gather(*storm.viewers, return_exceptions=True)
            await provider.is_mended()
        # Who was watching watched until the end, or until now: without them it is another story.
        troubled = [one for one in seen if isinstance(one, Exception)]
        assert not troubled, troubled


@asynccontextmanager
async def replicas(system: RunningSystem, limits: str, *services: str) -> AsyncGenerator[None]:
    """One more process of each service, as a second container of it would be started."""
    ports = {free_port(): service for service in services}
    processes = [_replica(system, limits, service, port) for port, service in ports.items()]
    try:
        for port in ports:
            health = f"http://{LOOPBACK}:{port}/healthz"
            await eventually(partial(page_answers, health), within=timedelta(seconds=60))
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.wait, 20)


def _replica(
    system: RunningSystem, limits: str, service: str, port: int
) -> subprocess.Popen[bytes]:
    home, facts = system.launched.home, system.facts
    told = {
        "PATH": os.environ["PATH"],
        "PARLEY_NATS_URL": facts.nats,
        "PARLEY_NATS_SEED_FILE": str(home.path / "nats" / f"{service}.nk"),
        "PARLEY_METRICS_PORT": str(port),
        "KIMI_BASE_URL": system.provider,
        "KIMI_LIMITS": limits,
    }
    if service in STATEFUL:
        password = home.passwords()[service]
        told["PARLEY_DATABASE_URL"] = service_dsn(facts.database, service, password)
    return subprocess.Popen(
        [sys.executable, "-m", f"services.{service}"],
        cwd=CHECKOUT,
        env=told,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
