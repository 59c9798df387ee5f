"""Three quarters of an hour of work and misfortune, and nothing grows: `make soak`.

SOAK_MINUTES says how long, PARLEY_FAULT_SEED plays the dice of a former run again.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import linear_regression, mean

import aiohttp
import pytest
import pytest_asyncio

from contracts.subjects import SERVICES
from shared.database import connect_alone, service_dsn
from tests.eventually import eventually
from tests.faults.conftest import client_of
from tests.faults.stories import follow, opened, pid_of, until_terminal
from tests.systems import Client, RunningSystem, started

MINUTES = float(os.environ.get("SOAK_MINUTES") or 45)
SAMPLE = 5.0
SOON = timedelta(minutes=5)
LATE = timedelta(minutes=12)
"""Two of a breaker's longest rests, and some."""
PACE = 1.0
"""Seconds between two discussions."""

SELDOM = 0.1
"""Of all questions. Two of the seven misfortunes never end well: with many more of them a provider
would be failing by any measure, and the time would go by in waiting for it."""

PLAIN = "[[rate: 60 ; many: {length}]]"
MISFORTUNES = [
    "[[rate: 60 ; many: {length} ; cut-once ; text: And that was all.]]",
    "[[rate: 60 ; many: 3 ; finish: none]]",
    "[[rate: 60 ; many: {length} ; finish: length]]",
    "[[think: Let me see. ; text: Well, ; wait: 2s ; text: yes.]]",
    "[[comment: keep-alive ; wait: 1s ; comment: keep-alive ; text: At last.]]",
    "[[like: filtered]]",
    "[[html: 502]]",
]
MEGABYTE = 1 << 20


@dataclass
class Meters:
    """What each process holds, sample after sample, for as long as it lives."""

    system: RunningSystem
    memory: dict[tuple[str, int], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By name and process id: seconds and bytes."""
    descriptors: dict[tuple[str, int], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    threads: dict[tuple[str, int], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    tasks: dict[tuple[str, int], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Of the edge, which has some for each viewer and tells how many."""
    outbox: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    async def sample(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            facts = self.system.launched.home.facts()
            for name in SERVICES:
                pid = facts.processes.get(name, 0) if facts else 0
                try:
                    self._read(name, pid, loop.time())
                except OSError:
                    continue  # it has just died
            edge = facts.processes.get("edge", 0) if facts else 0
            if (count := await tasks_of_the_edge(self.system)) is not None:
                self.tasks["edge", edge].append((loop.time(), count))
            self.outbox.append((loop.time(), await outbox(self.system)))
            await asyncio.sleep(SAMPLE)

    def _read(self, name: str, pid: int, at: float) -> None:
        place = Path(f"/proc/{pid}")
        status = dict(
            line.split(":", 1)
            for line in (place / "status").read_text().splitlines()
            if ":" in line
        )
        self.memory[name, pid].append((at, float(status["VmRSS"].split()[0]) * 1024))
        self.threads[name, pid].append((at, float(status["Threads"])))
        self.descriptors[name, pid].append((at, float(len(list((place / "fd").iterdir())))))


async def tasks_of_the_edge(system: RunningSystem) -> float | None:
    """None while it is away."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            http.get(f"{system.url}/metrics") as answer,
        ):
            found = re.search(r"^parley_tasks (\S+)$", await answer.text(), re.MULTILINE)
    except (aiohttp.ClientError, TimeoutError):
        return None
    return float(found[1]) if found else None


async def outbox(system: RunningSystem) -> float:
    """Facts that are journaled and not on the bus yet; what cannot be read is none."""
    password = system.launched.home.passwords()["discussion"]
    try:
        conn = await connect_alone(
            service_dsn(system.facts.database, "discussion", password), "discussion", "soak"
        )
    except OSError:
        return 0
    try:
        rows: int = await conn.fetchval("SELECT count(*) FROM outbox")
        return float(rows)
    finally:
        await conn.close()


def growth(series: list[tuple[float, float]]) -> tuple[float, float]:
    """How much it grows from one end of its later two thirds to the other, and its mean there.

    The first third is for warming up: caches fill, pools open.
    """
    later = series[len(series) // 3 :]
    times, values = zip(*later, strict=True)
    return linear_regression(times, values).slope * (times[-1] - times[0]), mean(values)


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    with started(tmp_path_factory.mktemp("soak"), rate=60) as running:
        yield running


@pytest_asyncio.fixture
async def client(soaked: RunningSystem) -> object:
    async with client_of(soaked) as made:
        yield made


@pytest.mark.soak
async def test_nothing_grows_and_everything_ends(client: Client, dice: random.Random) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + MINUTES * 60
    meters = Meters(client.system)
    accepted: list[str] = []
    viewers: set[asyncio.Task[object]] = set()

    async def ask() -> None:
        number = 0
        while loop.time() < end:
            number += 1
            script = dice.choice(MISFORTUNES) if dice.random() < SELDOM else PLAIN
            topic = script.format(length=dice.randint(5, 120)) + f" soak, number {number}."
            accepted.append(await opened(client, topic, within=SOON))
            if dice.random() < 0.5:
                viewers.add(asyncio.create_task(follow(client, accepted[-1])))
            for task in [task for task in viewers if task.done()]:
                viewers.discard(task)
                task.result()
            await asyncio.sleep(PACE)

    async def trouble() -> None:
        """Something is frozen twice a minute, and now and then something dies."""
        while loop.time() < end:
            await asyncio.sleep(30)  # twice a minute
            program = dice.choice([*SERVICES, "nats-server", "postgres"])
            pid = await pid_of(client.system, program)
            if dice.random() < 0.1:
                os.kill(pid, signal.SIGKILL)
                continue
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(1)  # frozen so long: the fault itself
            os.kill(pid, signal.SIGCONT)

    async def clear_sky() -> None:
        """Others go on asking, and nothing is amiss any more. Who has never failed goes to see
        whether the provider is back; among those that always fail nobody would find out.
        """
        while True:
            topic = PLAIN.format(length=5) + " The sky is clear."
            await opened(client, topic, within=SOON)
            await asyncio.sleep(PACE)

    measuring = asyncio.create_task(meters.sample())
    try:
        await asyncio.gather(ask(), trouble())
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
    clearing = asyncio.create_task(clear_sky())
    try:
        await asyncio.gather(*viewers)
        states = Counter[str]()
        for discussion in accepted:
            states[(await until_terminal(client, discussion, within=LATE))["state"]] += 1
    finally:
        clearing.cancel()
        await asyncio.gather(clearing, return_exceptions=True)
    print(f"{len(accepted)} discussions: {dict(states)}")  # noqa: T201 - for who looks at the run
    report(meters)
    assert states["completed"] >= 0.6 * len(accepted)
    await eventually(lambda: _nothing_left(client.system), within=timedelta(seconds=60))
    assert growth(meters.outbox)[0] < 50


async def _nothing_left(system: RunningSystem) -> bool:
    return await outbox(system) == 0


def report(meters: Meters) -> None:
    """One line for each process that lived for most of the time; what grows, fails."""
    longest = max(map(len, meters.memory.values()))
    findings: list[str] = []
    looked_at: set[str] = set()
    for who, series in meters.memory.items():
        if len(series) < max(longest // 3, 6):
            continue
        looked_at.add(who[0])
        more, held = growth(series)
        opened_more, opened_mean = growth(meters.descriptors[who])
        threads_more, _ = growth(meters.threads[who])
        line = (
            f"{who[0]:17} {held / MEGABYTE:6.0f} MB {more / MEGABYTE:+6.1f}   "
            f"{opened_mean:5.0f} descriptors {opened_more:+5.1f}   threads {threads_more:+5.1f}"
        )
        print(line)  # noqa: T201
        if more > max(0.15 * held, 16 * MEGABYTE) or opened_more > 20 or threads_more > 4:
            findings.append(line)
    for who, series in meters.tasks.items():
        if len(series) < max(longest // 3, 6):
            continue
        looked_at.add("tasks")
        more, held = growth(series)
        print(f"{who[0]:17} {held:6.0f} tasks {more:+6.1f}")  # noqa: T201
        if more > 50:
            findings.append(f"{who[0]}: {held:.0f} tasks, {more:+.1f}")
    assert not findings, findings
    # Who is killed again and again lives too short a life to be judged; not all of them do.
    assert len(looked_at) > len(SERVICES) / 2, looked_at
