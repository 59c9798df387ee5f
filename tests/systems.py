"""The whole system as real processes, with a scripted provider in Kimi's place."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from local.home import CHECKOUT, Facts, Home
from tests.eventually import eventually
from tests.launched import READY_WITHIN, Launched, erase, launched
from tests.readers import Reader

KEY = "sk-acceptance0123456789abcdefghijklmnop"


@dataclass(frozen=True)
class RunningSystem:
    """A system that runs, and how to reach it."""

    launched: Launched
    facts: Facts
    provider: str
    """Address of the scripted provider."""

    @property
    def url(self) -> str:
        return self.facts.url

    @property
    def asked(self) -> str:
        """Where the provider tells what it has been asked, and what it bills for it."""
        return f"{self.provider.removesuffix('/v1')}/log"

    @property
    def token(self) -> str:
        return self.launched.home.owner_token.read_text().strip()

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def reader(self, discussion: str) -> Reader:
        return Reader(f"{self.url}/api/v1/discussions/{discussion}/events", self.headers)


@dataclass(frozen=True)
class Client:
    """HTTP as the owner."""

    system: RunningSystem
    http: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:
        async with self.http.request(
            method,
            self.system.url + path,
            json=body,
            headers={**self.system.headers, **headers},
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def open(self, topic: str, *personas: str, **more: object) -> str:
        """A new discussion's id."""
        who = [{"persona": slug} for slug in personas or ("riley-engstrom",)]
        status, opened = await self.ask(
            "POST", "/api/v1/discussions", {"topic": topic, "participants": who, **more}
        )
        assert status == 201, opened
        return opened["id"]

    async def read(self, discussion: str) -> dict[str, Any]:
        status, found = await self.ask("GET", f"/api/v1/discussions/{discussion}")
        assert status == 200, found
        return found


@contextmanager
def scripted(*arguments: str) -> Generator[str]:
    """A scripted provider in a process of its own: its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.scripted", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def settings(provider: str) -> dict[str, str]:
    """Environment of a system whose Kimi is the scripted provider, without narrow limits."""
    return {
        "KIMI_BASE_URL": provider,
        "KIMI_API_KEY": KEY,
        "KIMI_LIMITS": "rpm=60000,tpm=100000000,concurrency=100",
    }


@contextmanager
def started(folder: Path, *, rate: int) -> Generator[RunningSystem]:
    """A system of its own, in `folder`; its provider says `rate` words a second."""
    home = Home(folder / "home")
    with scripted("--rate", str(rate)) as provider, launched(home, **settings(provider)) as system:
        running = RunningSystem(system, asyncio.run(system.ready()), provider)
        asyncio.run(warm_up(running))
        yield running
    erase(home)


async def until_it_answers(system: RunningSystem) -> None:
    """Every service is there, and so is a model to ask."""
    async with aiohttp.ClientSession() as http:

        async def has_a_model() -> bool:
            try:
                async with http.get(f"{system.url}/readyz") as answer:
                    if answer.status != 200:
                        return False
            except OSError:
                return False
            _, models = await Client(system, http).ask("GET", "/api/v1/models")
            return any(model.get("default") for model in models["items"])

        await eventually(has_a_model, within=READY_WITHIN)


async def warm_up(system: RunningSystem) -> None:
    """A key runs alone until it has completed an attempt; let it."""
    await until_it_answers(system)
    async with aiohttp.ClientSession() as http:
        client = Client(system, http)
        # The key of the environment is verified while people may already knock.
        discussion = await eventually(lambda: client.open("[[text: Ready.]]"))
        reader = system.reader(discussion)
        while reader.ended is None:
            await reader.follow(http)
        assert reader.ended == {"state": "completed"}, reader.facts
