"""How every service lives: start, log, answer for its health, and leave in good order.

A service's `__main__` names its settings and a `wire` function that connects its rooms; all the
rest is here. A background task that fails takes the whole process down, loudly: whoever started
it starts it again, and the log in PostgreSQL knows what was in progress.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog

from shared import health
from shared.bus import Bus
from shared.hardening import harden
from shared.redaction import redact_log
from shared.settings import ServiceSettings

if TYPE_CHECKING:
    from shared.database import Pool

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

FILES = 65_536
"""Open files that are enough for everybody, where the system would allow any number."""

DRAIN = timedelta(seconds=10)
"""How long a service may take to finish what it has begun, all of it, once told to stop."""

AT_LEAST = timedelta(seconds=1)
"""So long each part may take, whatever those before it took: enough to close a connection."""

S = TypeVar("S", bound=ServiceSettings)


class Service(Generic[S]):
    """One running service: its settings, its connections, its background work."""

    def __init__(self, name: str, settings: S) -> None:
        self.name = name
        self.settings = settings
        self.log = structlog.stdlib.get_logger(name)
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._farewells: list[Callable[[], Awaitable[None]]] = []

    async def connect_bus(self) -> Bus:
        """The bus under this service's own credential; drained when the service stops."""
        bus = await Bus.connect(
            self.settings.nats_url, service=self.name, seed_file=self.settings.nats_seed_file
        )
        self.on_stop(bus.drain)
        return bus

    async def connect_database(self) -> Pool:
        """A pool on this service's own schema; closed when the service stops."""
        # Here, since a service that remembers nothing has no database driver in its image.
        from shared.database import connect  # noqa: PLC0415

        pool = await connect(self.settings.database_url, self.name)
        self.on_stop(pool.close)
        return pool

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` in the background; if it fails, the service stops with its error."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def on_stop(self, farewell: Callable[[], Awaitable[None]]) -> None:
        """Call `farewell` on the way out; the last registered goes first."""
        self._farewells.append(farewell)

    def stop(self) -> None:
        """Begin to leave; what runs is given `DRAIN` to finish."""
        self._stopped.set()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("background work failed", work=task.get_name(), exc_info=error)
            self._failure = self._failure or error
            self.stop()

    async def run(self, wire: Callable[[Service[S]], Awaitable[None]]) -> int:
        """Wire the service, stay until told to stop, leave in good order. Returns the exit code."""
        loop = asyncio.get_running_loop()
        health.count_tasks(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        obstacle: Exception | None = None
        try:
            await wire(self)
            self.log.info("ready")
            await self._stopped.wait()
        except Exception as error:
            # Whatever it was, what has begun is stopped in good order.
            self.log.exception("cannot start")
            self._failure = self._failure or error
            obstacle = error
        self.log.info("stopping")
        deadline = loop.time() + DRAIN.total_seconds()
        for farewell in reversed(self._farewells):
            await self._say(farewell, deadline - loop.time())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if obstacle is not None:
            # Once more as the last word, which is what a launcher shows.
            self.log.error(f"did not start: {obstacle}")  # noqa: G004 - it takes no arguments
        return 1 if self._failure is not None else 0

    async def _say(self, farewell: Callable[[], Awaitable[None]], left: float) -> None:
        try:
            await asyncio.wait_for(farewell(), max(left, AT_LEAST.total_seconds()))
        except Exception:
            # A part that cannot leave keeps none of the others.
            self.log.exception("did not stop cleanly", step=repr(farewell))


def allow_files() -> None:
    """As many open files as we may have: each viewer is one, and a shell begins with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main(name: str, settings: type[S], wire: Callable[[Service[S]], Awaitable[None]]) -> None:
    """What a service's `__main__` calls; does not return."""
    harden()
    allow_files()
    told = settings()
    start_logging(told)
    health.serve(name, told.metrics_host, told.metrics_port)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        code = runner.run(Service(name, told).run(wire))
    sys.exit(code)


def start_logging(settings: ServiceSettings) -> None:
    """One line an entry on stdout, JSON or for people; nothing that looks like a key gets out."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact_log,
    ]
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
