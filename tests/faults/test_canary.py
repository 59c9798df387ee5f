"""A canary key lives through everything a key lives through, and is found nowhere afterwards.

The provider repeats the key in every header and every refusal, in all the forms it can take.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from contracts.subjects import STREAMS
from local.home import CHECKOUT, Home
from local.scripted import Script, ScriptedProvider
from services.edge.routes import ROUTES
from tests.brokers import Broker
from tests.canary import (
    Haystacks,
    Listeners,
    formed,
    formless,
    overheard,
    piece,
    processes,
    stored,
    traces,
)
from tests.eventually import eventually
from tests.faults.stories import LOST
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, warm_up

HANDED, ADDED, ROTATED, REFUSED, LAST = (formless() for _ in range(5))
"""In the environment at first start, added by a person, its successor, one that no provider
takes, and the last one."""
MISPLACED = formed()
"""Sent where no key belongs."""
MARKER = f"marker-{piece()}"
"""In a topic, to see that the places searched are those where things are."""

WORKFLOW = f"""\
slug: canary
title: Canary
steps:
  - name: song
    personas: [riley-engstrom]
    prompt: "[[text: Sung.]] {MARKER}"
"""

PATIENT = timedelta(seconds=120)


@dataclass
class Cage:
    """The system, its provider, and what was collected."""

    home: Home
    provider: ScriptedProvider
    client: Client
    stacks: Haystacks

    async def add(self, secret: str) -> dict[str, Any]:
        body = {"provider": "kimi", "secret": secret}
        status, key = await self.client.ask("POST", "/api/v1/keys", body)
        assert status == 201, key
        return key

    async def asked(self, topic: str, *states: str) -> dict[str, Any]:
        """A new discussion, once it has come to one of these states."""
        discussion = await eventually(lambda: self.client.open(f"{topic} {MARKER}"))
        return await self.reaches(discussion, *states)

    async def reaches(self, discussion: str, *states: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await self.client.read(discussion)
            assert found["state"] in states, found
            return found

        found = await eventually(there, within=PATIENT)
        assert found is not None
        return found

    async def breaks_off(self, topic: str) -> None:
        """A discussion that has failed once; it is not waited for whether it does again."""
        discussion = await self.client.open(f"{topic} {MARKER}")

        async def failed() -> bool:
            (turn,) = (await self.client.read(discussion))["turns"]
            return turn["attempts"] > 0 and "failure" in turn

        await eventually(failed, within=PATIENT)
        await self.client.ask("POST", f"/api/v1/discussions/{discussion}/cancel")

    async def cancelled(self, discussion: str) -> bool:
        try:
            status, _ = await self.client.ask("POST", f"/api/v1/discussions/{discussion}/cancel")
        except LOST:
            return False  # it has only just been started again
        return status < 300


@asynccontextmanager
async def caged(folder: Path) -> AsyncGenerator[Cage]:
    """A system of its own at its most talkative, all its subscribers listened to."""
    home, stacks = Home(folder / "home"), Haystacks()
    settings = {
        "KIMI_LIMITS": "rpm=60000,tpm=100000000,concurrency=100",
        "KIMI_API_KEY": HANDED,
        "PARLEY_LOG_LEVEL": "debug",
    }
    try:
        async with ScriptedProvider(keys=[HANDED], echoes=True) as provider:
            with launched(home, **settings, KIMI_BASE_URL=provider.base_url) as running:
                facts = await running.ready()
                broker = Broker(facts.nats, lambda name: home.path / "nats" / f"{name}.nk")
                async with (
                    Listeners(broker, stacks),
                    aiohttp.ClientSession(trace_configs=[overheard(stacks)]) as http,
                ):
                    client = Client(RunningSystem(running, facts, provider.base_url), http)
                    yield Cage(home, provider, client, stacks)
                running.process.terminate()
                await running.ended()  # while the provider still answers
            stacks.add("said", running.said.read_bytes())
            stacks.add_files("home", home.path)
    finally:
        erase(home)


async def live(cage: Cage) -> None:
    """Success, 500, a cut, a page of a proxy; rotated, refused, replaced: a key's whole life."""
    provider = cage.provider
    await warm_up(cage.client.system)
    assert (await cage.add(REFUSED))["state"] == "quarantined"
    provider.keys = {HANDED, ADDED, ROTATED}
    added = (await cage.add(ADDED))["id"]
    await cage.asked("[[text: Sung.]]", "completed")
    provider.script = Script("like: server-error\n---\nhtml: 502\n---\ntext: Sung.")
    await cage.asked("Sing after a 500 and a proxy's page.", "completed")
    await cage.breaks_off("[[like: cut]]")
    await cage.breaks_off("[[like: in-band]]")

    path = f"/api/v1/keys/{added}/rotate"
    status, _ = await cage.client.ask("POST", path, {"secret": REFUSED})
    assert status == 422
    status, key = await cage.client.ask("POST", path, {"secret": ROTATED})
    assert (status, key["state"]) == (200, "active")
    await cage.asked("[[text: Sung.]]", "completed")
    await cage.asked("[[error: 400 invalid_request_error This cannot be asked.]]", "failed")

    await works(cage)
    provider.keys = {LAST}
    stopped = await cage.asked("[[text: Sung at last.]]", "waiting", "parked")

    async def given_up() -> bool:
        _, refused = await cage.client.ask("POST", f"/api/v1/keys/{added}/verify")
        return refused["state"] == "quarantined"

    await eventually(given_up, within=PATIENT)
    assert (await cage.add(LAST))["state"] == "active"
    await cage.reaches(stopped["id"], "completed")


async def works(cage: Cage) -> None:
    """A run of a workflow, to its end."""
    status, _ = await cage.client.ask("POST", "/api/v1/workflows", {"source": WORKFLOW})
    assert status == 201
    status, run = await cage.client.ask("POST", "/api/v1/workflows/canary/runs", {"inputs": {}})
    assert status == 201, run

    async def over() -> bool:
        _, found = await cage.client.ask("GET", f"/api/v1/runs/{run['id']}")
        return found["state"] == "completed"

    await eventually(over, within=PATIENT)


async def err(cage: Cage) -> None:
    """Keys in all the wrong places: what is refused is not repeated, not even to its sender."""
    http, url = cage.client.http, cage.client.system.url
    owner = cage.client.system.headers
    bodies: list[Any] = [
        {"provider": "kimi", "secret": f"{LAST} {LAST}"},
        {"provider": "kimi", "secret": f"{LAST}\n", "label": 1},
        {"provider": "kimi", "secret": [LAST]},
        {"provider": "kimi", "secret": {LAST: LAST}},
        {"provider": "nobody", "secret": LAST},
        {"provider": "kimi", "secret": LAST * 60},
        {"provider": MISPLACED, "secret": "kimi"},
        {"provider": "kimi", "secret": LAST, "region": MISPLACED},
        {"provider": "kimi", MISPLACED: LAST},
        {"topic": "x", "participants": [{"persona": MISPLACED}]},
        {"topic": "x", "participants": [{"model": f"kimi/{MISPLACED}"}]},
        {"model": MISPLACED, "messages": [{"role": "user", "content": "x"}]},
        {"role": MISPLACED},
    ]
    for route in ROUTES:
        path = route.path.replace("{", "").replace("}", "").replace("...", "")
        for headers in (
            {"Authorization": f"Bearer {LAST}"},
            {**owner, "Idempotency-Key": f"{LAST} {LAST}"},
            {"Cookie": f"parley_session={LAST}"},
            {**owner, "Last-Event-ID": LAST, "Accept": LAST},
        ):
            async with http.request(route.method, url + path, headers=headers) as answer:
                await answer.read()
        if route.method == "GET":
            for more in (f"?key={LAST}", f"?cursor={MISPLACED}", f"/{MISPLACED}"):
                async with http.get(url + path + more, headers=owner) as answer:
                    await answer.read()
        for body in bodies if route.method in {"POST", "PUT"} else ():
            async with http.request(route.method, url + path, json=body, headers=owner) as answer:
                await answer.read()
        async with http.request(
            route.method,
            url + path,
            data=f'{{"secret": "{LAST}", "secret": "{LAST}"',
            headers={**owner, "Content-Type": "application/json"},
        ) as answer:
            await answer.read()


async def walk(cage: Cage) -> None:
    """Everything that can be read over HTTP, as the owner."""
    _, listed = await cage.client.ask("GET", "/api/v1/discussions")
    discussions = [each["id"] for each in listed["items"]]
    _, listed = await cage.client.ask("GET", "/api/v1/keys")
    keys = [each["id"] for each in listed["items"]]
    _, runs = await cage.client.ask("GET", "/api/v1/runs")
    follow = ",".join(f"{each}:0" for each in discussions[:5])
    await cage.client.ask("PUT", "/api/v1/budgets/workspace", {"amount": 1_000})
    known = {
        "/discussions/{id}": [f"/discussions/{each}" for each in discussions],
        "/keys/{id}": [f"/keys/{each}" for each in keys],
        "/runs/{id}": [f"/runs/{each['id']}" for each in runs["items"]],
        "/workflows/{slug}": ["/workflows/canary"],
        "{budget}": ["workspace"],
        "/discussions/events": [f"/discussions/events?follow={follow}"],
        "{slug}": ["riley-engstrom"],
        "{model...}": ["kimi/kimi-k2.6"],
        "{path...}": ["app.js"],
    }
    for route in ROUTES:
        if route.method != "GET":
            continue
        paths = [route.path]
        for name, values in known.items():
            paths = [path.replace(name, value) for path in paths for value in values]
        for path in dict.fromkeys(paths):
            await read(cage, path, stream=route.media == "text/event-stream")


async def read(cage: Cage, path: str, *, stream: bool) -> None:
    """One answer; of a stream what there is of it now."""
    system = cage.client.system
    async with cage.client.http.get(system.url + path, headers=system.headers) as answer:
        assert answer.status == 200, path
        if not stream:
            await answer.read()
            return
        # What is over ends with its end; what waits has told all that there is to tell.
        async for part in answer.content.iter_any():
            cage.stacks.add("http", part)
            if b"event: end" in part or b"TurnWaiting" in part or b": " in part[:2]:
                return


async def in_database(cage: Cage) -> None:
    """What is in its files, in its log of changes, and in every row as text."""
    password = (cage.home.path / "postgres" / "admin-password").read_text()
    address = cage.client.system.facts.database
    database = await asyncpg.connect(
        address.replace("://", f"://parley_admin:{password}@", 1), timeout=10
    )
    try:
        await database.execute("CHECKPOINT")
        await database.execute("SELECT pg_switch_wal()")
        tables = await database.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for table in tables:
            name = table["name"]
            for row in await database.fetch(f"SELECT t::text AS whole FROM {name} AS t"):
                cage.stacks.add(f"table {name}", row["whole"].encode())
        folder = Path(await database.fetchval("SHOW data_directory"))
    finally:
        await database.close()
    cage.stacks.add_files("wal", folder / "pg_wal")
    cage.stacks.add_files("data", folder / "base")
    cage.stacks.add_files("data", folder / "global")


def core_limits(pid: int) -> list[str]:
    """How large a core file of the process may become, and may be allowed to become."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4:6] for line in lines if line.startswith("Max core file size"))


async def crash(cage: Cage) -> list[Path]:
    """End the programs that hold keys as a bug would, while they work: the core files left."""
    before = set(CHECKOUT.glob("core*"))
    provider = cage.provider
    provider.rate = 20
    speaking = [await cage.client.open("[[many: 60]]") for _ in range(4)]
    for discussion in speaking:
        reader = cage.client.system.reader(discussion)
        while not any(reader.text.values()):
            await reader.follow(cage.client.http, leave_after=1 + len(reader.facts))
    for program in ("provider_adapter", "key_vault", "edge", "discussion"):
        facts = cage.home.facts()
        assert facts is not None
        pid = facts.processes[program]
        assert core_limits(pid) == ["0", "0"]
        os.kill(pid, signal.SIGABRT)

        async def again(program: str = program, pid: int = pid) -> bool:
            facts = cage.home.facts()
            return facts is not None and facts.processes.get(program, pid) != pid

        await eventually(again, within=PATIENT)
    for discussion in speaking:  # that nothing is lost is for others to show, and takes longer
        await eventually(partial(cage.cancelled, discussion), within=PATIENT)
    return sorted(set(CHECKOUT.glob("core*")) - before)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_key_is_found_nowhere_but_where_it_belongs(tmp_path: Path) -> None:
    cores: list[Path] = []
    async with caged(tmp_path) as cage:
        await live(cage)
        await err(cage)
        processes(cage.stacks)
        await walk(cage)
        cores = await crash(cage)
        processes(cage.stacks)
        await in_database(cage)
        broker = Broker(
            cage.client.system.facts.nats, lambda name: cage.home.path / "nats" / f"{name}.nk"
        )
        await stored(broker, [stream.name for stream in STREAMS], cage.stacks)
    stacks = cage.stacks

    keys = (HANDED, ADDED, ROTATED, REFUSED, LAST)
    leaks = stacks.holding(*(trace for secret in keys for trace in traces(secret)))
    assert not leaks, leaks
    # What is sent as the name of a model travels as one, but is not said back or written down.
    leaks = stacks.holding(*traces(MISPLACED))
    assert not [place for place in leaks if not place.startswith("bus")], leaks
    assert cores == []
    # Where nothing at all could be found, the silence would prove nothing.
    for place in ("http", "bus as integration", "bus as discussion", "stream EVENTS", "wal"):
        assert stacks.have(MARKER, place), place
    for place in ("table discussion.", "data", "home: nats/jetstream"):
        assert stacks.have(MARKER, place), place
    assert stacks.have("services.key_vault", "process cmdline")
    if os.geteuid() == 0:  # the services are not dumpable: nobody else may read theirs
        assert stacks.have("PARLEY_LOG_LEVEL=debug", "process environ")
    assert stacks.have("KeyQuarantined", "home: logs/key_vault.log")
