"""Parley itself in the storm: the whole system, questions over HTTP, viewers on live streams."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.hurry import hurry
from bench.running import system
from bench.storm.weather import CONCURRENCY, MODEL, RPM
from local.api import Api
from local.home import Home

VIEWERS = 20

LIMITS = f"rpm={RPM},concurrency={CONCURRENCY}"


class Parley:
    """As whoever asks sees it."""

    name = "Parley"

    def __init__(self, api: Api, speed: float) -> None:
        self._api = api
        self._speed = speed
        self._viewers: list[asyncio.Task[None]] = []
        self._secrets = 0

    async def ask(self, question: str) -> None:
        """Once. The first twenty are watched live; of the others one looks how they are."""
        opened = await self._api.post(
            "/api/v1/discussions",
            {"topic": question, "participants": [{"model": f"kimi/{MODEL}"}]},
        )
        discussion = str(opened["id"])
        if len(self._viewers) < VIEWERS:
            self._viewers.append(asyncio.create_task(self._watch(discussion)))
        while True:
            found = await self._api.get(f"/api/v1/discussions/{discussion}")
            if found["state"] == "completed":
                return
            if found["state"] in {"failed", "cancelled"}:
                raise Unanswered(found)
            await asyncio.sleep(1 / self._speed)

    async def _watch(self, discussion: str) -> None:
        async for _ in self._api.events(discussion):
            pass

    async def expect_trouble(self, *, new_key: bool) -> None:
        """Nobody watches the former discussions any more."""
        for viewer in self._viewers:
            viewer.cancel()
        await asyncio.gather(*self._viewers, return_exceptions=True)
        self._viewers.clear()
        if new_key:
            await self.replace_key()

    async def replace_key(self) -> None:
        """As a person does it: `POST /api/v1/keys/{id}/rotate`."""
        keys: list[dict[str, Any]] = (await self._api.get("/api/v1/keys"))["items"]
        self._secrets += 1
        secret = f"sk-storm{self._secrets:040d}"
        await self._api.post(f"/api/v1/keys/{keys[0]['id']}/rotate", {"secret": secret})


class Unanswered(Exception):
    """A discussion failed: nobody asks it again."""

    def __init__(self, found: dict[str, Any]) -> None:
        turn = found["turns"][0]
        super().__init__(f"{found['state']}: {turn.get('failure', turn['state'])}")


@asynccontextmanager
async def parley(base_url: str, speed: float) -> AsyncGenerator[Parley]:
    """Started with a key that has worked once."""
    with tempfile.TemporaryDirectory(prefix="parley-storm-") as folder:
        home = Path(folder)
        async with system(home, base_url, LIMITS) as running:
            if speed != 1:
                await hurry(Home(home), speed)
            async with Api.at(running.url, running.token) as api:
                yield Parley(api, speed)
