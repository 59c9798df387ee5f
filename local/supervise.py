"""Keep processes running: start them, start one again when it dies, stop all in reverse order.

One that dies never takes the others with it. The pause before its next start doubles, up to a few
seconds, and is short again once it has lived for a while.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

_FIRST_PAUSE = timedelta(milliseconds=250)
_LONGEST_PAUSE = timedelta(seconds=8)
_PROVEN_AFTER = timedelta(seconds=30)
_TRIES_AT_FIRST = 3


class Part(Protocol):
    """Something that can be started, waited for and stopped: one process of the system."""

    name: str

    @property
    def pid(self) -> int | None: ...
    async def start(self) -> object:
        """Return once it is ready. Leave nothing behind when it fails or is cancelled."""
        ...

    async def wait(self) -> int: ...
    async def stop(self) -> None: ...


class Supervisor:
    """Keeps what it was given to keep, until told to stop.

    `say` gets its words for people, `changed` is called whenever a process id is a new one.
    """

    def __init__(self, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._say = say
        self._changed = changed
        self._stages: defaultdict[int, list[Part]] = defaultdict(list)
        self._keepers: set[asyncio.Task[None]] = set()

    def processes(self) -> dict[str, int]:
        """Process ids by name, of those that run."""
        parts = [part for stage in self._stages.values() for part in stage]
        return {part.name: part.pid for part in parts if part.pid is not None}

    async def begin(self, part: Part, stage: int) -> None:
        """Start it and keep it. Raises when it does not come up after a few tries.

        Later stages are stopped before earlier ones.
        """
        self._stages[stage].append(part)
        for missed in range(_TRIES_AT_FIRST):
            try:
                await part.start()
                break
            except Exception as error:
                if missed == _TRIES_AT_FIRST - 1:
                    raise
                self._say(f"{part.name} did not start, trying again: {_first_line(error)}")
                await asyncio.sleep(_pause(missed).total_seconds())
        self._changed()
        keeper = asyncio.create_task(self._keep(part), name=f"keep {part.name}")
        self._keepers.add(keeper)

    async def stop(self) -> None:
        """Stop everything, the last stage first, the parts of a stage together."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for _, stage in sorted(self._stages.items(), reverse=True):
            results = await asyncio.gather(*(part.stop() for part in stage), return_exceptions=True)
            for part, result in zip(stage, results, strict=True):
                if isinstance(result, Exception):
                    self._say(f"{part.name} could not be stopped: {result}")

    async def _keep(self, part: Part) -> None:
        clock = asyncio.get_running_loop().time
        missed = 0
        while True:
            since = clock()
            status = await part.wait()
            if clock() - since > _PROVEN_AFTER.total_seconds():
                missed = 0
            await part.stop()  # what is left of it
            self._changed()
            reason = f"ended unexpectedly ({status})"
            while True:
                pause = _pause(missed)
                self._say(f"{part.name} {reason}; starting it again in {_seconds(pause)}")
                await asyncio.sleep(pause.total_seconds())
                missed += 1
                try:
                    await part.start()
                    break
                except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do
                    reason = f"did not start: {_first_line(error)}"
            self._say(f"{part.name} runs again")
            self._changed()


def _pause(missed: int) -> timedelta:
    return min(_FIRST_PAUSE * 2 ** min(missed, 10), _LONGEST_PAUSE)


def _seconds(pause: timedelta) -> str:
    return f"{pause.total_seconds():g} s"


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]
