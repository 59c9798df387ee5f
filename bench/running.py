"""A Parley of the benchmark's own: started in a folder, with a key, ended at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.viewers import Viewer, post

START_WITHIN = 120.0

KEY = "sk-" + "b" * 48


@dataclass(frozen=True)
class System:
    """A running system under measurement."""

    pid: int
    url: str
    token: str


@asynccontextmanager
async def system(home: Path, base_url: str, limits: str) -> AsyncGenerator[System]:
    """Parley itself, on a free port, with a key for the Kimi at `base_url` that has worked."""
    env = os.environ | {
        "PARLEY_HOME": str(home),
        "PARLEY_PORT": "0",
        "PARLEY_LOCAL_MODEL": "off",
        "KIMI_BASE_URL": base_url,
        "KIMI_API_KEY": KEY,
        "KIMI_LIMITS": limits,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local", "up", env=env, stdout=PIPE, stderr=DEVNULL
    )
    swallowing: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_WITHIN):
            url = await _until_ready(process)
            token = (home / "owner-token").read_text().strip()
            await _until_kimi(url, token)
        swallowing = asyncio.create_task(_swallow(process))
        yield System(process.pid, url, token)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if swallowing is not None:
            await swallowing
        _erase(home)


async def _until_ready(process: Process) -> str:
    """The address, as the launcher prints it when all is ready."""
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if "/#token=" in line:
            return line.split()[-1].partition("/#")[0]
    raise RuntimeError("Parley did not start; try `make run` to see why.")


async def _until_kimi(url: str, token: str) -> None:
    """Until the key has been verified, and has answered a question."""
    question: dict[str, object] = {
        "topic": "rate=0 deltas=1",
        "mode": "single",
        "participants": [{"persona": "riley-engstrom", "model": "kimi/kimi-k2.6"}],
    }
    while True:
        try:
            opened = await post(url, "/api/v1/discussions", token, question)
        except RuntimeError as error:
            if "no-key" not in str(error) and "unknown" not in str(error):
                raise
            await asyncio.sleep(0.2)
            continue
        viewer = Viewer(url, token)
        await viewer.watch(str(opened["id"]))
        if not viewer.ended:
            raise RuntimeError(f"the stream of {opened['id']} broke off")
        return


async def _swallow(process: Process) -> None:
    assert process.stdout is not None
    while await process.stdout.readline():
        pass


def _erase(home: Path) -> None:
    """What a home of root's has elsewhere."""
    place = home / "postgres" / "place"
    if place.exists():
        shutil.rmtree(place.read_text().strip(), ignore_errors=True)
