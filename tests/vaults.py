"""The vault as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from contracts.keys import DescribeVault, VaultIdentity
from contracts.subjects import command_subject
from shared.bus import Bus
from tests.eventually import eventually

ROOT = Path(__file__).parents[1]


@dataclass
class Process:
    """A vault that was started."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def folder(self) -> Path:
        return Path("/proc") / str(self.process.pid)

    async def ready(self, edge: Bus) -> VaultIdentity:
        """Its public keys, once it answers."""

        async def answers() -> VaultIdentity:
            assert self.process.returncode is None, self.log.read_text()
            assert '"event": "ready"' in self.log.read_text()  # it hears every verb
            try:  # where a spy hears too, nobody says at once that nobody answers
                return await edge.request(
                    command_subject("key_vault", "identity"),
                    DescribeVault(),
                    VaultIdentity,
                    within=timedelta(seconds=1),
                )
            except Exception as error:
                raise AssertionError(error) from error

        return await eventually(answers, within=timedelta(seconds=30))


@asynccontextmanager
async def running_vault(
    dsn: str, url: str, folder: Path, line: bytes = b"", seed: Path | None = None, **more: str
) -> AsyncGenerator[Process]:
    """With a line on its standard input, if there is one, as the launcher would start it."""
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.key_vault",
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PARLEY_DATABASE_URL": dsn,
                "PARLEY_NATS_URL": url,
                "PARLEY_KEK_FILE": str(folder / "kek"),
                "PARLEY_OWNER_TOKEN_FILE": str(folder / "owner-token"),
                "PARLEY_LOG_LEVEL": "debug",
                **({"PARLEY_HANDOVER": "stdin"} if line else {}),
                **({"PARLEY_NATS_SEED_FILE": str(seed)} if seed else {}),
                **more,
            },
        )
        assert process.stdin is not None
        process.stdin.write(line)
        await process.stdin.drain()
        process.stdin.close()
        try:
            yield Process(process, log)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


def environment_of(process: Path) -> bytes:
    """What root sees; others see nothing, for the vault is closed to them (shared/hardening.py)."""
    try:
        return (process / "environ").read_bytes()
    except PermissionError:
        return b""
