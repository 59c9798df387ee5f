"""Those who ask a provider directly, as is done everywhere: one that insists, a vendor's SDK."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
import openai

from bench.running import KEY
from bench.storm.weather import MODEL

AGAIN = 0.25
"""Seconds after which the frontend of the incident asked again."""


class Contestant(Protocol):
    """Somebody who wants answers."""

    name: str

    async def ask(self, question: str) -> None:
        """Until it is answered, however long that takes."""
        ...

    async def expect_trouble(self, *, new_key: bool) -> None:
        """The fault is about to come."""
        ...

    async def replace_key(self) -> None:
        """The provider takes another key from now on; a person enters it."""
        ...


class _Client(ABC):
    """What the two have in common: each question is a loop of its own."""

    name = ""

    def __init__(self, speed: float) -> None:
        self._again = AGAIN / speed

    async def ask(self, question: str) -> None:
        while not await self._answered(question):  # noqa: ASYNC110 - that is the point of it
            await asyncio.sleep(self._again)

    @abstractmethod
    async def _answered(self, question: str) -> bool:
        """Whether the question, asked once, has had a whole answer."""

    async def expect_trouble(self, *, new_key: bool) -> None:  # noqa: B027 - none need do anything
        """It makes no difference here."""

    async def replace_key(self) -> None:  # noqa: B027 - see expect_trouble
        """The loops go on with whatever key there is."""


class Naive(_Client):
    """Connects again after 250 ms, whatever the answer was."""

    name = "naive client"

    def __init__(self, base_url: str, http: aiohttp.ClientSession, speed: float) -> None:
        super().__init__(speed)
        self._url = f"{base_url}/chat/completions"
        self._http = http

    async def _answered(self, question: str) -> bool:
        body = {
            "model": MODEL,
            "stream": True,
            "messages": [{"role": "user", "content": question}],
        }
        try:
            async with self._http.post(
                self._url, json=body, headers={"Authorization": f"Bearer {KEY}"}
            ) as answer:
                return answer.status == 200 and b'"finish_reason":"stop"' in await answer.read()
        except aiohttp.ClientError:
            return False


class Sdk(_Client):
    """The OpenAI SDK as it comes (two retries of its own), in a frontend that asks again."""

    name = "OpenAI SDK"

    def __init__(self, base_url: str, speed: float) -> None:
        super().__init__(speed)
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=KEY)

    async def _answered(self, question: str) -> bool:
        try:
            stream = await self._client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": question}], stream=True
            )
            reasons = [choice.finish_reason async for chunk in stream for choice in chunk.choices]
        except openai.OpenAIError:
            return False
        return any(reasons)

    async def close(self) -> None:
        await self._client.close()


@asynccontextmanager
async def naive(base_url: str, speed: float) -> AsyncGenerator[Naive]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Naive(base_url, http, speed)


@asynccontextmanager
async def sdk(base_url: str, speed: float) -> AsyncGenerator[Sdk]:
    client = Sdk(base_url, speed)
    try:
        yield client
    finally:
        await client.close()
