"""The whole system of one home: what runs, in which order, and what each part is told.

PostgreSQL, NATS and the model start together; as soon as the first two answer, so do the five
services, each a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from contracts.failures import Unreachable
from contracts.subjects import ADMIN, SERVICES
from local.broker import EmbeddedBroker
from local.environment import for_services, take_keks, take_keys, without_password
from local.home import STATEFUL, Facts, Home
from local.logbook import Logbook, nats_matters, postgres_matters
from local.ports import LOOPBACK, free_port, obstacle, remembered_port
from local.postgres import EmbeddedPostgres
from local.programs import Pings, PythonProgram, page_answers
from local.supervise import Supervisor
from shared.database import prepare, service_dsn
from shared.topology import ensure

_GROUND, _SERVICES, _DOOR = range(3)
"""Stages: what started first is stopped last."""

_KILLED_RUN_LEAVES_WITHIN = timedelta(seconds=5)


class CannotStart(Exception):
    """Parley cannot start as it was told to; the message says what to change."""


class _FurnishedBroker(EmbeddedBroker):
    """With its streams: those in memory are gone whenever it starts again."""

    async def start(self) -> str:
        url = await super().start()
        try:
            await ensure(url, self.seed_file(ADMIN))
        except BaseException:
            await self.stop()
            raise
        return url


@dataclass(frozen=True)
class _Broker:
    url: str
    seed_of: Callable[[str], Path | None]


class System:
    """Everything `parley up` runs. Whoever starts it holds the lock of the home.

    Takes the providers' keys out of `environment` and keeps them until the vault has them; the
    vault's own key, if it is there, as long as it runs.
    """

    def __init__(self, home: Home, environment: MutableMapping[str, str], log: Logbook) -> None:
        self._home = home
        self._log = log
        self._keys = take_keys(environment)
        self._keks = take_keks(environment)
        self._given = dict(environment)
        self._host = environment.get("PARLEY_HOST") or LOOPBACK
        self._port = _port(environment.get("PARLEY_PORT") or "8080", "PARLEY_PORT") or free_port()
        self._supervisor = Supervisor(log.say, self._write_facts)
        self._facts: Facts | None = None
        self._pings: Pings | None = None

    async def start(self) -> Facts:
        """Start everything; return when every service answers."""
        await self._until_the_port_is_free()
        async with asyncio.TaskGroup() as together:
            database = together.create_task(self._start_database())
            broker = together.create_task(self._start_broker())
            model = together.create_task(self._start_model())
        admin_dsn, bus, model_url = database.result(), broker.result(), model.result()
        self._facts = Facts(
            pid=os.getpid(),
            started_at=datetime.now(UTC),
            url=self._url(),
            nats=bus.url,
            database=without_password(admin_dsn),
            model=model_url,
        )
        self._pings = await Pings.connect(bus.url, bus.seed_of(ADMIN))
        async with asyncio.TaskGroup() as together:
            for service in SERVICES:
                program = self._service(service, admin_dsn, bus, model_url)
                stage = _DOOR if service == "edge" else _SERVICES
                together.create_task(self._supervisor.begin(program, stage))
        self._keys.clear()
        self._write_facts()
        return self._facts

    async def stop(self) -> None:
        """Stop everything in good order."""
        if self._pings is not None:
            await self._pings.close()
        await self._supervisor.stop()
        self._home.facts_file.unlink(missing_ok=True)

    # --- the ground -------------------------------------------------------------------------

    async def _start_database(self) -> str:
        """Answers the administrator's address."""
        dsn = self._given.get("PARLEY_DATABASE_URL", "")
        if not dsn:
            output = self._log.of("postgres", shown=postgres_matters)
            server = EmbeddedPostgres(self._home.path, output=output)
            await self._supervisor.begin(server, _GROUND)
            dsn = server.dsn
        try:
            await prepare(dsn, self._home.passwords())
        except OSError as error:
            raise CannotStart(
                f"There is no PostgreSQL at {without_password(dsn)} ({error}). "
                "Correct PARLEY_DATABASE_URL, or leave it out to use the embedded one."
            ) from error
        return dsn

    async def _start_broker(self) -> _Broker:
        url = self._given.get("PARLEY_NATS_URL", "")
        if url:
            named = self._given.get("PARLEY_NATS_SEED_FILE", "")
            seed = Path(named) if named else None
            try:
                await ensure(url, seed)
            except Unreachable as error:
                raise CannotStart(
                    f"{error} Correct PARLEY_NATS_URL, or leave it out to use the embedded one."
                ) from error
            return _Broker(url, lambda _: seed)
        server = _FurnishedBroker(
            self._home.path,
            port=_port(self._given.get("PARLEY_NATS_PORT") or "0", "PARLEY_NATS_PORT"),
            output=self._log.of("nats-server", shown=nats_matters),
        )
        await self._supervisor.begin(server, _GROUND)
        return _Broker(server.url, server.seed_file)

    async def _start_model(self) -> str:
        """Answers the address of the demonstration model; nothing when there is none."""
        if self._given.get("PARLEY_LOCAL_MODEL", "").lower() in {"off", "0", "no", "false"}:
            return ""
        if self._given.get("LOCAL_BASE_URL"):
            return self._given["LOCAL_BASE_URL"]
        port = remembered_port(self._home.path / "model-port")
        program = PythonProgram(
            "model",
            "local.model",
            arguments=("--port", str(port)),
            env=for_services(self._given),
            ready=partial(page_answers, f"http://{LOOPBACK}:{port}/health"),
            output=self._log.of("model"),
        )
        try:
            await self._supervisor.begin(program, _GROUND)
        except Exception as error:  # noqa: BLE001 - it is only for demonstration
            self._log.say(f"The demonstration model does not run here; going on without. {error}")
            return ""
        return f"http://{LOOPBACK}:{port}/v1"

    # --- the services -----------------------------------------------------------------------

    def _service(
        self, service: str, admin_dsn: str, broker: _Broker, model_url: str
    ) -> PythonProgram:
        pings = self._pings
        assert pings is not None
        ready = partial(pings.answers, service)
        if service == "edge":
            ready = partial(page_answers, f"{self._url()}/readyz")
        return PythonProgram(
            service,
            f"services.{service}",
            env=self._environment_of(service, admin_dsn, broker, model_url),
            ready=ready,
            output=self._log.of(service),
            handover=self._handover if service == "key_vault" else bytes,
        )

    def _environment_of(
        self, service: str, admin_dsn: str, broker: _Broker, model_url: str
    ) -> Mapping[str, str]:
        told = {
            "PARLEY_LOG_FORMAT": "console",
            **for_services(self._given),
            "PARLEY_NATS_URL": broker.url,
        }
        seed = broker.seed_of(service)
        if seed is not None:
            told["PARLEY_NATS_SEED_FILE"] = str(seed)
        if model_url:
            told["LOCAL_BASE_URL"] = model_url
        if service in STATEFUL:
            password = self._home.passwords()[service]
            told["PARLEY_DATABASE_URL"] = service_dsn(admin_dsn, service, password)
        if service == "edge":
            told |= {"PARLEY_HOST": self._host, "PARLEY_PORT": str(self._port)}
        if service == "key_vault":
            told |= {
                "PARLEY_KEK_FILE": str(self._home.kek),
                "PARLEY_OWNER_TOKEN_FILE": str(self._home.owner_token),
                "PARLEY_HANDOVER": "stdin",
            }
        return told

    def _handover(self) -> bytes:
        """The keys from the environment; once the vault has them, there are none any more.

        The vault's own key is needed whenever the vault starts again.
        """
        return json.dumps({"keys": self._keys, **self._keks}).encode() + b"\n"

    # --- the rest ---------------------------------------------------------------------------

    def _url(self) -> str:
        """Where a program on this machine reaches the edge."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def _until_the_port_is_free(self) -> None:
        """At once, unless a former run was killed: its edge may need a moment to go."""
        patience = timedelta() if self._home.facts() is None else _KILLED_RUN_LEAVES_WITHIN
        deadline = asyncio.get_running_loop().time() + patience.total_seconds()
        while reason := obstacle(self._host, self._port):
            if asyncio.get_running_loop().time() >= deadline:
                raise CannotStart(
                    f"Port {self._port} of {self._host} cannot be used: {reason}. "
                    f"Choose another: PARLEY_PORT={self._port + 1} make run"
                )
            await asyncio.sleep(0.05)

    def _write_facts(self) -> None:
        if self._facts is not None:
            self._facts = replace(self._facts, processes=self._supervisor.processes())
            self._home.write_facts(self._facts)


def _port(text: str, variable: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise CannotStart(f"{variable} must be a port number, e.g. 8080, and is {text!r}.")
    return number
