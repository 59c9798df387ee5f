"""`parley up` keeps its processes running, and leaves none behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.subjects import SERVICES
from local.home import Facts, Home
from tests.eventually import eventually
from tests.launched import READY_WITHIN, Launched, all_gone, command_line, erase, launched


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[Launched]:
    """One that runs while the tests look at it."""
    home = Home(tmp_path_factory.mktemp("running") / "home")
    with launched(home) as running:
        asyncio.run(running.ready())
        yield running
    erase(home)


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    home = Home(tmp_path / "home")
    yield home
    erase(home)


async def pids(system: Launched) -> list[int]:
    facts = await system.ready()
    return [facts.pid, *facts.processes.values()]


async def test_each_process_tells_by_its_command_line_what_it_is(system: Launched) -> None:
    facts = await system.ready()

    for service in SERVICES:
        assert f"services.{service}" in command_line(facts.processes[service])
    assert Path(command_line(facts.processes["nats-server"])[0]).name == "nats-server"
    assert Path(command_line(facts.processes["postgres"])[0]).name == "postgres"


async def test_a_service_that_dies_comes_back_and_the_others_stay(system: Launched) -> None:
    before = (await system.ready()).processes
    os.kill(before["persona"], signal.SIGKILL)

    async def back() -> Facts | None:
        facts = await system.ready()
        return facts if facts.processes["persona"] != before["persona"] else None

    after = await eventually(back, within=READY_WITHIN)

    assert after is not None
    assert {**after.processes, "persona": 0} == {**before, "persona": 0}


async def test_a_broker_that_dies_comes_back_at_the_same_address(system: Launched) -> None:
    before = await system.ready()
    os.kill(before.processes["nats-server"], signal.SIGKILL)

    async def back() -> Facts | None:
        facts = system.home.facts()
        found = facts.processes.get("nats-server") if facts else None
        return facts if found not in {None, before.processes["nats-server"]} else None

    after = await eventually(back, within=READY_WITHIN)

    assert after is not None
    assert after.nats == before.nats


async def test_a_second_one_in_the_same_home_is_refused(system: Launched) -> None:
    with launched(system.home) as second:
        assert await second.did_not_start() == 1

    said = second.said.read_text()
    assert f"process {system.process.pid}" in said
    assert "PARLEY_HOME" in said


async def test_a_taken_port_is_named_with_what_changes_it(system: Launched, home: Home) -> None:
    port = urlsplit((await system.ready()).url).port

    with launched(home, PARLEY_PORT=str(port)) as second:
        assert await second.did_not_start() == 1

    assert f"Port {port}" in second.said.read_text()
    assert "PARLEY_PORT=" in second.said.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
async def test_a_signal_stops_everything_and_the_next_start_has_what_was_kept(
    home: Home, number: signal.Signals
) -> None:
    with launched(home) as first:
        running = await pids(first)
        first.tell(number)
        assert await first.ended() == 0
        await all_gone(running)
        token = home.token()

    with launched(home) as second:
        await second.ready()
        assert home.token() == token


async def test_killed_it_leaves_nothing_and_the_next_start_needs_no_help(home: Home) -> None:
    with launched(home) as first:
        running = await pids(first)
        first.tell(signal.SIGKILL)
        await all_gone(running)

    with launched(home) as second:
        await second.ready()


async def test_a_signal_while_it_starts_stops_what_has_started(home: Home) -> None:
    with launched(home) as system:

        async def under_way() -> bool:
            return (home.logs / "postgres.log").exists()

        await eventually(under_way, within=READY_WITHIN)
        system.tell(signal.SIGINT)
        assert await system.ended() == 0

    assert home.facts() is None
    lock = home.path / "nats" / "nats-server.conf"
    await all_gone([pid for pid in _every_pid() if str(lock) in command_line(pid)])


def _every_pid() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
