"""Systems to be broken, beside those that others share. After each test the invariants hold."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
import pytest_asyncio

from local.home import Home
from local.ports import free_port
from shared.database import connect_alone, service_dsn
from tests import databases, invariants
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.faultproxy import HEALTHY, FaultProxy, in_a_thread, of_url
from tests.house import House, running
from tests.launched import READY_WITHIN, erase, launched
from tests.nats_server import program
from tests.neighbours import neighbours
from tests.systems import Client, RunningSystem, scripted, settings, started, warm_up

SEED = "PARLEY_FAULT_SEED"


@pytest.fixture
def dice() -> random.Random:
    """For what a test leaves to chance. The seed of a run is printed, and can be given again."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"\nTo play the same dice again: {SEED}={seed}")  # noqa: T201 - pytest shows it on failure
    return random.Random(seed)


# --- The whole system -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    """Each test leaves it whole again, or that is the finding. It speaks slowly, to be hit."""
    with started(tmp_path_factory.mktemp("faults"), rate=20) as running:
        yield running


@pytest_asyncio.fixture
async def client(running_system: RunningSystem) -> AsyncGenerator[Client]:
    async with client_of(running_system) as made:
        yield made


@asynccontextmanager
async def client_of(system: RunningSystem) -> AsyncGenerator[Client]:
    """A client whose every answer is noted; once it is done with, the invariants must hold."""
    statuses = invariants.Statuses()
    trace = aiohttp.TraceConfig()

    async def note(
        _: aiohttp.ClientSession, __: SimpleNamespace, ended: aiohttp.TraceRequestEndParams
    ) -> None:
        if ended.url.port == urlsplit(system.url).port:
            statuses.seen.append((ended.response.status, f"{ended.method} {ended.url.path}"))

    trace.on_request_end.append(note)
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=60),
        connector=aiohttp.TCPConnector(limit=200),
        trace_configs=[trace],
    ) as http:
        made = Client(system, http)
        yield made
        await eventually(lambda: _ready(made), within=READY_WITHIN)
        statuses.hold()
        await holds(system, http)


async def holds(system: RunningSystem, http: aiohttp.ClientSession) -> None:
    """The invariants of a whole system: its journal, its tables, its provider's books."""
    before = await _log(system, http)
    home = system.launched.home
    dsn = service_dsn(system.facts.database, "discussion", home.passwords()["discussion"])
    conn = await connect_alone(dsn, "discussion", "invariants")
    try:
        found = await invariants.books(conn)
    finally:
        await conn.close()
    invariants.hold(found)
    invariants.the_provider_counts_no_more(found, before)
    invariants.the_provider_counts_no_less(found, await _log(system, http))
    no_key_in_the_clear(system)


async def _log(system: RunningSystem, http: aiohttp.ClientSession) -> list[invariants.Asked]:
    address = system.provider.removesuffix("/v1") + "/log"
    async with http.get(address) as answer:
        return invariants.asked_of(await answer.json())


def no_key_in_the_clear(system: RunningSystem) -> None:
    """The provider's key is in no file of the home, logs included, and in no argument list."""
    key = settings("")["KIMI_API_KEY"].encode()
    for file in [*system.launched.home.path.rglob("*"), system.launched.said]:
        if file.is_file() and not file.is_symlink():
            assert key not in file.read_bytes(), f"a key in the clear in {file}"
    facts = system.launched.home.facts()
    for pid in facts.processes.values() if facts else ():
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                assert key not in Path(f"/proc/{pid}/{name}").read_bytes(), f"{name} of {pid}"


# --- The whole system, with bad lines ---------------------------------------------------------


@dataclass(frozen=True)
class Behind:
    """A whole system whose broker, database and provider are at the end of faulty lines."""

    system: RunningSystem
    client: Client
    nats: FaultProxy
    database: FaultProxy
    provider: FaultProxy


@pytest.fixture(scope="session")
def bad_lines(
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[tuple[RunningSystem, FaultProxy, FaultProxy, FaultProxy]]:
    folder = tmp_path_factory.mktemp("lines")
    home = Home(folder / "home")
    with ExitStack() as stack:
        provider_url = stack.enter_context(scripted("--rate", "20"))
        port = stack.enter_context(broker_of_the_operators(folder))
        nats = stack.enter_context(in_a_thread(("127.0.0.1", port)))
        provider = stack.enter_context(in_a_thread(of_url(provider_url)))
        # A server of its own: roles and their passwords belong to a server, not to a database.
        dsn = databases.at(stack.enter_context(databases.server(folder / "postgres")), "parley")
        query = dict(parse_qsl(urlsplit(dsn).query))
        database = stack.enter_context(in_a_thread(Path(query["host"], ".s.PGSQL.5432")))
        system = stack.enter_context(
            launched(
                home,
                **settings(f"http://127.0.0.1:{provider.port}/v1"),
                PARLEY_NATS_URL=f"nats://127.0.0.1:{nats.port}",
                PARLEY_DATABASE_URL=dsn.replace(query["host"], str(database.folder)),
            )
        )
        stack.callback(erase, home)
        made = RunningSystem(system, asyncio.run(system.ready()), provider_url)
        asyncio.run(warm_up(made))
        yield made, nats, database, provider


@pytest_asyncio.fixture
async def behind(
    bad_lines: tuple[RunningSystem, FaultProxy, FaultProxy, FaultProxy],
) -> AsyncGenerator[Behind]:
    system, nats, database, provider = bad_lines
    async with client_of(system) as client:
        try:
            yield Behind(system, client, nats, database, provider)
        finally:
            for line in (nats, database, provider):
                await line.become(HEALTHY)
            await eventually(lambda: _ready(client), within=READY_WITHIN)


async def _ready(client: Client) -> bool:
    try:
        async with client.http.get(f"{client.system.url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@contextmanager
def broker_of_the_operators(folder: Path) -> Generator[int]:
    """A broker without keys, as an operator may have one already: its port."""
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\nmax_payload: 8MB\n'
        f'jetstream {{ store_dir: "{folder / "jetstream"}", max_file_store: 20GB, '
        "max_memory_store: 1GB, sync_interval: always }\n"
    )
    process = subprocess.Popen([program(), "-c", str(config), "-l", str(folder / "nats.log")])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


# --- Discussion alone -------------------------------------------------------------------------


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    """Discussion as a whole service, with a verified key that has not answered yet."""
    async with house_on(database, broker) as made:
        yield made


@asynccontextmanager
async def house_on(
    database: Database, broker: Broker, *, replicas: int = 1
) -> AsyncGenerator[House]:
    adapter, vault = await neighbours(broker)
    made = House(await broker.bus("edge"), adapter, vault, database, broker)
    async with several(database, broker, replicas):
        await made.kimi_works()
        yield made
        await house_holds(made)


@asynccontextmanager
async def several(database: Database, broker: Broker, replicas: int) -> AsyncGenerator[None]:
    """So many of discussion at once."""
    if not replicas:
        yield
        return
    async with running(database, broker), several(database, broker, replicas - 1):
        yield


async def house_holds(house: House) -> None:
    pool = await house.database.pool("discussion")
    made = list(house.adapter.attempts)
    async with pool.acquire() as conn:
        found = await invariants.books(conn)
    invariants.hold(found)
    invariants.one_request_for_one_attempt(found, made)
    never = found.never_sent()
    moments = [event.at for event in found.started() if event.attempt not in never]
    invariants.no_minute_holds_more(moments, 100)  # Kimi's, where nobody has declared another
