"""The Python programs of the system as parts that can be supervised: the services and the model."""

from __future__ import annotations

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

from contracts.failures import Unreachable
from contracts.subjects import ADMIN
from local.children import Child, OnLine
from local.home import CHECKOUT
from shared.connection import Connection

Ready = Callable[[], Awaitable[bool]]

_READY_WITHIN = timedelta(seconds=60)
_CONNECTED_WITHIN = timedelta(seconds=10)
_ANSWERS_WITHIN = timedelta(seconds=1)
_ASK_AGAIN = timedelta(milliseconds=40)
_LEAVES_WITHIN = timedelta(seconds=6)


class NotReady(Exception):
    """A program runs but does not answer; its log tells why."""


class PythonProgram:
    """`python -m <module>`, ready when `ready` says so.

    `handover` is asked at each start for what the program gets on its standard input.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *,
        env: Mapping[str, str],
        ready: Ready,
        output: OnLine,
        arguments: tuple[str, ...] = (),
        handover: Callable[[], bytes] = bytes,
    ) -> None:
        self.name = name
        self._argv = (sys.executable, "-m", module, *arguments)
        self._env = env
        self._ready = ready
        self._output = output
        self._handover = handover
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Start it, and return when it is ready."""
        child = self._child = await Child.start(
            self.name,
            self._argv,
            env=self._env,
            cwd=CHECKOUT,
            output=self._output,
            stdin=self._handover(),
        )
        try:
            await asyncio.wait_for(self._until_ready(child), _READY_WITHIN.total_seconds())
        except TimeoutError:
            await self.stop()
            raise NotReady(
                f"{self.name} did not become ready within {_READY_WITHIN.seconds} s"
            ) from None
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        assert self._child is not None, "start it first"
        return await self._child.wait()

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(grace=_LEAVES_WITHIN)
            self._child = None

    async def _until_ready(self, child: Child) -> None:
        while not await self._ready():
            if child.status is not None:
                await child.wait()
                raise child.died()
            await asyncio.sleep(_ASK_AGAIN.total_seconds())


class Pings:
    """Asks the services on the bus whether they are there (`$SRV.PING.<service>`, NATS ADR-32)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, url: str, seed_file: Path | None) -> Pings:
        """With the administrator's key, or without one where the broker is not ours."""
        connection = Connection(ADMIN)
        await connection.open(url, seed_file, _CONNECTED_WITHIN)
        return cls(connection)

    async def answers(self, service: str) -> bool:
        """Does at least one replica of it answer now?"""
        subject = f"$SRV.PING.{service}"
        reply, expected = self._connection.expect(subject)
        try:
            self._connection.client.put(subject, b"", reply)
            message = await asyncio.wait_for(expected, _ANSWERS_WITHIN.total_seconds())
        except (TimeoutError, Unreachable):
            return False
        finally:
            self._connection.give_up(reply)
        return message.status == 0  # 503: nobody listens

    async def close(self) -> None:
        await self._connection.close()


async def page_answers(url: str) -> bool:
    """Does this address answer with 200?"""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback, ours
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    return await asyncio.to_thread(ask)
