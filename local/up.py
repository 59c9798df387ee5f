"""`parley up`: the whole system in the foreground, until Ctrl-C, SIGTERM or a closed terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import traceback
from collections.abc import AsyncGenerator, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import structlog
from rich.console import Console

from local.home import Facts, Home, HomeRefused
from local.logbook import Logbook
from local.system import System
from shared.hardening import harden

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IMPATIENCE = timedelta(seconds=1)


def up(environment: MutableMapping[str, str]) -> int:
    """Run until told to stop. Answers the exit status: 0 when it was told, 1 when it could not."""
    harden()  # this process holds the keys of its environment until the vault has them
    console = Console()
    home = Home.chosen()
    try:
        home.prepare()
        with home.locked():
            return asyncio.run(_run(home, environment, Logbook(home.logs, console)))
    except HomeRefused as refused:
        Console(stderr=True).print(str(refused), style="red", soft_wrap=True, highlight=False)
        return 1


@asynccontextmanager
async def running(
    home: Home, environment: MutableMapping[str, str], log: Logbook
) -> AsyncGenerator[Facts]:
    """The system runs inside, and is stopped on the way out, however that is left."""
    _keep_remarks(log)
    system = System(home, environment, log)
    try:
        yield await system.start()
    finally:
        await system.stop()


async def _run(home: Home, environment: MutableMapping[str, str], log: Logbook) -> int:
    begun = time.monotonic()
    stop_on_signals(log.say)
    try:
        log.say(f"starting in {home.path}")
        async with running(home, environment, log) as facts:
            home.obstacle.unlink(missing_ok=True)
            log.say(f"ready after {time.monotonic() - begun:.1f} s")
            log.show(welcome(facts, home))
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.say("stopped; everything is kept for the next time")
        return 0
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and all was stopped
        causes = _causes(error)
        for cause in causes:
            log.say(str(cause) or repr(cause), style="bold red")
            log.keep("".join(traceback.format_exception(cause)))
        home.obstacle.write_text("\n".join(_in_brief(cause) for cause in causes))
        return 1
    return 0


def stop_on_signals(say: Callable[[str], None] = lambda _: None) -> None:
    """The first signal cancels this task, which stops everything in order.

    A later one leaves at once; the children notice and follow. What comes with the first one (a
    terminal that closes sends two) is the same wish.
    """
    loop, here = asyncio.get_running_loop(), asyncio.current_task()
    assert here is not None
    first: list[float] = []

    def leave(number: signal.Signals) -> None:
        if not first:
            first.append(loop.time())
            say(f"stopping ({number.name})")
            here.cancel()
        elif loop.time() > first[0] + _IMPATIENCE.total_seconds():
            os._exit(130)

    for number in _STOP:
        # nohup wants SIGHUP ignored. A script's `&` has SIGINT ignored too, but whoever sends it to
        # us in spite of that means it.
        ignored = signal.getsignal(number) is signal.SIG_IGN
        if number is not signal.SIGHUP or not ignored:
            loop.add_signal_handler(number, leave, number)


def _keep_remarks(log: Logbook) -> None:
    """What shared parts remark while they work for the launcher goes into its file."""
    line = structlog.processors.KeyValueRenderer(key_order=["event"])

    def keep(logger: object, level: str, event: structlog.typing.EventDict) -> str:
        log.keep(f"{level}: {line(logger, level, event)}")
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.processors.format_exc_info, keep])


def _causes(error: Exception) -> list[Exception]:
    """What really happened, out of the groups that concurrent work wraps it in."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    group = cast("ExceptionGroup[Exception]", error)
    return [cause for part in group.exceptions for cause in _causes(part)]


def _in_brief(cause: Exception) -> str:
    return (str(cause) or repr(cause)).splitlines()[0]


def welcome(facts: Facts, home: Home) -> str:
    """What a person needs to know first."""
    parley = Path(sys.executable).with_name("parley")
    command = _short(parley) if parley.exists() else f"{_short(Path(sys.executable))} -m local"
    return f"""
  Open    {facts.url}/#token={home.token()}
          (this link signs you in; the token is kept in {_short(home.owner_token)})
  Ask     {command} ask "How do we announce the beta?" --persona riley-engstrom
  Check   {command} doctor
  HTTP    curl -H "Authorization: Bearer $(cat {_short(home.owner_token)})" \
{facts.url}/api/v1/personas
  Read    {facts.url}/docs
  Stop    Ctrl-C
"""


def _short(path: Path) -> str:
    """Relative to where the person is, where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
