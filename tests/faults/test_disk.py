"""The broker's disk is full, under a whole system: nothing is lost, and nobody told "our fault"."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from local.home import Home
from tests.faults.conftest import client_of
from tests.faults.stories import (
    explained,
    opened,
    pid_of,
    requests_of,
    state_of,
    until_terminal,
    words,
)
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, scripted, settings, warm_up

SPEECH = "[[rate: 20 ; many: 20]]"
SIZE = 16 << 20
SOON = timedelta(seconds=90)


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """A file system of its own, that can be filled."""
    folder.mkdir()
    size = f"size={SIZE}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Until nothing more goes in."""
    junk = disk / "junk"
    with junk.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    assert shutil.disk_usage(disk).free < 4096
    return junk


@pytest_asyncio.fixture
async def disk_and_client(tmp_path: Path) -> AsyncGenerator[tuple[Path, Client]]:
    home = Home(tmp_path / "home")
    home.path.mkdir(mode=0o700)
    with (
        small_disk(home.path / "nats") as disk,
        scripted("--rate", "20") as provider,
        launched(home, **settings(provider)) as system,
    ):
        running = RunningSystem(system, await system.ready(), provider)
        await asyncio.to_thread(asyncio.run, warm_up(running))
        async with client_of(running) as client:
            yield disk, client
    erase(home)


@pytest.mark.slow  # a system of its own on a disk of its own, and a broker that starts again
async def test_without_room_on_the_brokers_disk_nothing_is_lost(
    disk_and_client: tuple[Path, Client],
) -> None:
    disk, client = disk_and_client
    junk = fill(disk)
    accepted: dict[str, str] = {}
    for number in range(6):
        topic = f"{SPEECH} on a full disk, number {number}."
        body = {"topic": topic, "participants": [{"persona": "riley-engstrom"}]}
        status, answer = await client.ask("POST", "/api/v1/discussions", body)
        if status == 201:
            accepted[answer["id"]] = topic
        else:
            assert status in {503, 504}, answer
            explained(answer)
        await asyncio.sleep(2)  # room to ask again, for whoever would: it is counted below
    assert accepted, "the journal has room"
    for discussion in accepted:
        found = await state_of(client, discussion)
        assert found is None or found["state"] in {"running", "waiting", "completed"}, found
    asked = await requests_of(client, "on a full disk")
    assert asked < len(accepted), "what cannot be kept is not asked for again and again"

    junk.unlink()
    # A stream whose disk was full takes nothing more until the server is started again (2.14.3).
    os.kill(await pid_of(client.system, "nats-server"), signal.SIGKILL)

    for discussion, topic in accepted.items():
        found = await until_terminal(client, discussion, within=2 * SOON)
        (turn,) = found["turns"]
        assert found["state"] == "completed", found
        assert turn["text"].split() == words(20)
        assert await requests_of(client, topic) <= turn["attempts"] <= 2
    later = await opened(client, f"{SPEECH} with room again", within=SOON)
    assert (await until_terminal(client, later))["state"] == "completed"
