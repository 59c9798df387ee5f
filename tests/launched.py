"""The whole system as a user starts it: `parley up` in its own process, in its own home."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from contracts.subjects import SERVICES
from local.home import CHECKOUT, Facts, Home
from tests.eventually import eventually

READY_WITHIN = timedelta(seconds=60)
GONE_WITHIN = timedelta(seconds=20)

_STARTED = 'trap "" INT; ulimit -c unlimited 2>/dev/null; ulimit -Sn 1024; exec "$@"'


class Launched:
    """A launcher, running or ended."""

    def __init__(self, home: Home, checkout: Path = CHECKOUT, /, **settings: str) -> None:
        self.home = home
        self.said = home.path.with_name(f"{home.path.name}.out")
        own = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        with self.said.open("ab") as output:
            self.process = subprocess.Popen(
                # As a script's `&` starts it: with SIGINT ignored, until it says otherwise. And as
                # on a developer's machine, where whatever crashes may leave a core file, and the
                # shell lets nobody have more than 1,024 files open.
                ["sh", "-c", _STARTED, "sh", sys.executable, "-m", "local", "up"],
                cwd=checkout,
                env={
                    **own,
                    "PARLEY_HOME": str(home.path),
                    "PARLEY_PORT": "0",
                    "PARLEY_LOCAL_MODEL": "off",
                    **settings,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def ready(self) -> Facts:
        """What runs, once everything does."""

        async def everything() -> Facts | None:
            assert self.process.poll() is None, self.said.read_text()
            facts = self.home.facts()
            own = facts is not None and facts.pid == self.process.pid
            return facts if own and facts and set(SERVICES) <= set(facts.processes) else None

        facts = await eventually(everything, within=READY_WITHIN)
        assert facts is not None
        return facts

    async def ended(self) -> int:
        """Its exit status, once it has one: after it was told to stop."""
        return await self._ends(GONE_WITHIN)

    async def did_not_start(self) -> int:
        """Its exit status: it may have come a long way before it found out what is wrong."""
        return await self._ends(READY_WITHIN + GONE_WITHIN)

    async def _ends(self, within: timedelta) -> int:
        async def over() -> bool:
            return self.process.poll() is not None

        await eventually(over, within=within)
        assert self.process.returncode is not None
        return self.process.returncode

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@contextmanager
def launched(home: Home, checkout: Path = CHECKOUT, /, **settings: str) -> Generator[Launched]:
    """Ended at the end, whatever happened in between."""
    system = Launched(home, checkout, **settings)
    try:
        yield system
    finally:
        if system.process.poll() is None:
            system.tell(signal.SIGTERM)
            try:
                system.process.wait(GONE_WITHIN.total_seconds())
            except subprocess.TimeoutExpired:
                system.process.kill()
                system.process.wait()


def erase(home: Home) -> None:
    """What a home of root's has elsewhere."""
    place = home.path / "postgres" / "place"
    if place.exists():
        shutil.rmtree(place.read_text().strip(), ignore_errors=True)


def command_line(pid: int) -> list[str]:
    """Empty once the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []


async def all_gone(pids: list[int]) -> None:
    """Wait until none of them runs any more."""

    async def gone() -> bool:
        await asyncio.sleep(0)
        return not any(command_line(pid) for pid in pids)

    await eventually(gone, within=GONE_WITHIN)
