"""The key that encrypts all keys: changed while all runs, and missed if it is the wrong one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp

from local.home import CHECKOUT, Home
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, scripted, settings, warm_up


async def parley(home: Home, *words: str) -> tuple[int, str]:
    """Exit status, and everything it said."""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "local", *words],
        cwd=CHECKOUT,
        env={**os.environ, "PARLEY_HOME": str(home.path), "PARLEY_LOCAL_MODEL": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return ended.returncode, " ".join(ended.stdout.split())


async def test_a_kek_is_changed_and_a_wrong_one_is_called_by_its_name(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    stale = ""
    try:
        with scripted("--rate", "200") as provider:
            with launched(home, **settings(provider)) as first:
                system = RunningSystem(first, await first.ready(), provider)
                await warm_up(system)
                stale = home.kek.read_text()
                status, said = await parley(home, "vault", "rewrap")
                assert (status, "destroyed" in said, "Back up" in said) == (0, True, True)
                assert home.kek.read_text() != stale
                # A key that was stored before is still lent, and answers.
                async with aiohttp.ClientSession() as http:
                    discussion = await Client(system, http).open("[[text: Still here.]]")
                    reader = system.reader(discussion)
                    while reader.ended is None:
                        await reader.follow(http)
                    assert (await Client(system, http).read(discussion))["state"] == "completed"
                assert (await parley(home, "doctor"))[0] == 0
                first.process.terminate()
                await first.ended()

            current = home.kek.read_text()
            home.kek.write_text(stale)
            with launched(home, **settings(provider)) as wrong:
                assert await wrong.did_not_start() == 1
                told = " ".join(wrong.said.read_text().split())
                assert "was encrypted with KEK version 2; here is 1" in told
                assert "Put the right one back" in told
            status, said = await parley(home, "doctor")
            assert status == 1
            assert "did not start the last time" in said
            assert "not the key that this database was encrypted with" in said

            home.kek.unlink()
            status, said = await parley(home, "doctor")
            assert "Put it back from your backup" in said
            home.kek.write_text(current)
            home.kek.chmod(0o600)
            with launched(home, **settings(provider)) as again:
                await again.ready()
                assert "did not start" not in (await parley(home, "doctor"))[1]
                again.process.terminate()
                await again.ended()
    finally:
        erase(home)
