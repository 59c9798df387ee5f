# ruff: noqa: ASYNC220 - looking at a file or starting a process is quick enough here

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from local.children import Child
from local.home import CHECKOUT
from tests.eventually import eventually

PLAIN = {"PATH": os.environ["PATH"]}


async def started(script: str, output: Path) -> Child:
    return await Child.start("sh", ["/bin/sh", "-c", script], env=PLAIN, output=output)


def runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


async def gone(pid: int) -> bool:
    return not runs(pid)


async def test_its_last_words_come_with_its_death(tmp_path: Path) -> None:
    child = await started("echo no such database; exit 3", tmp_path / "log")
    await child.wait()

    death = child.died()

    assert death.status == 3
    assert death.last_words == ("no such database",)


async def test_what_it_prints_arrives_line_by_line() -> None:
    lines: list[str] = []
    child = await Child.start(
        "sh", ["/bin/sh", "-c", "cat; echo end"], env=PLAIN, output=lines.append, stdin=b"a\nb\n"
    )
    await child.wait()

    assert lines == ["a", "b", "end"]


async def test_it_gets_exactly_the_environment_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIMI_API_KEY", "sk-canary")
    child = await started("env", tmp_path / "log")
    await child.wait()

    assert "sk-canary" not in (tmp_path / "log").read_text()


async def test_one_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    child = await started(
        "trap '' TERM; echo deaf; while :; do read x < /dev/zero; done", tmp_path / "log"
    )

    async def deaf() -> bool:
        return "deaf" in (tmp_path / "log").read_text()

    await eventually(deaf)

    assert await child.stop(grace=timedelta(milliseconds=50)) == -signal.SIGKILL


async def test_what_it_started_itself_goes_with_it(tmp_path: Path) -> None:
    child = await started("sleep 1000 & echo $!; wait", tmp_path / "log")

    async def grandchild() -> int:
        return int((tmp_path / "log").read_text() or "0")

    pid = await eventually(grandchild)
    await child.stop()

    await eventually(lambda: gone(pid))


PARENT = """
import asyncio, sys
from local.children import Child

async def main() -> None:
    child = await Child.start("sleep", ["/bin/sleep", "1000"], env={}, output=print)
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def parent() -> AsyncGenerator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise is Linux's")
async def test_it_dies_with_its_parent_however_that_dies(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert runs(child)

    parent.kill()

    await eventually(lambda: gone(child))
