"""The provider of the story: an account with a limit, and a fault that comes and goes."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

RPM = 100
CONCURRENCY = 15
WORDS = 20
"""A second, of an answer."""

MODEL = "kimi-k2.6"


@dataclass(frozen=True, slots=True)
class Fault:
    """How the provider fails, for all who ask."""

    name: str
    says: str
    """In the words of a script (local/scripted/script.py)."""
    of_the_key: bool = False
    """A person replaces the key afterwards."""
    new_key: bool = False
    """The key has been taken in and listed models, but never answered."""


BUSY = (
    "error: 429 rate_limit_reached_error retry-after=1 Your account "
    "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3> request reached "
    f"organization max RPM: {RPM}, please try again after 1 seconds"
)
"""Somebody else of the same organisation uses all of its minute."""

FAULTS = (
    Fault("401", "like: wrong-key", of_the_key=True),
    Fault("401, new key", "like: wrong-key", of_the_key=True, new_key=True),
    Fault("503", "like: down"),
    Fault("429", BUSY),
)


@dataclass
class Provider:
    """A scripted provider in a process of its own."""

    base_url: str
    http: aiohttp.ClientSession

    @property
    def _root(self) -> str:
        return self.base_url.removesuffix("/v1")

    async def breaks(self, fault: Fault) -> None:
        """From now on. A new key is only refused when it asks for an answer."""
        await self._put("script" if fault.new_key else "outage", fault.says)

    async def is_mended(self, script: str = "") -> None:
        """From now on it answers, with what `script` says."""
        async with self.http.delete(f"{self._root}/outage"):
            pass
        await self.tell(script)

    async def tell(self, script: str) -> None:
        """What it is to say."""
        await self._put("script", script)

    async def log(self) -> list[dict[str, Any]]:
        async with self.http.get(f"{self._root}/log") as answer:
            return await answer.json()

    async def begins_anew(self) -> None:
        """Its log, and the account's minute."""
        async with self.http.delete(f"{self._root}/log"):
            pass

    async def _put(self, what: str, told: str) -> None:
        async with self.http.put(f"{self._root}/{what}", data=told.encode()) as answer:
            answer.raise_for_status()


@asynccontextmanager
async def provider(speed: float, *, rpm: int | None = RPM) -> AsyncGenerator[Provider]:
    """Running, until the block ends; `speed` times as fast as life."""
    limits = [] if rpm is None else ["--rpm", str(rpm), "--minute", str(60 / speed)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.scripted", "--rate", str(WORDS * speed), *limits),
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        base_url = (await process.stdout.readline()).decode().strip()
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            yield Provider(base_url, http)
    finally:
        process.terminate()
        await process.wait()
