"""Discussion dies at every boundary of a consensus: the panel comes to the same result anyway.

A boundary is a moment at which facts are written. Killed there, what it was about to do next is not
done; or, where the database gives the transaction up, not even the facts are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.discussion import DiscussionView
from contracts.modes import Options
from tests import invariants
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.faults.conftest import house_holds
from tests.faults.steps import passes, prove_the_key, written
from tests.house import House
from tests.neighbours import neighbours
from tests.panels import convene, seat
from tests.replicas import LOCK, Replica, paused, replica

PANEL = ("plain-a-abc", "plain-b-abc", "plain-c-abc-a")
"""One objects; the draft is mended; then they agree."""

LONG = Options(patience=100_000)
LEASED = 31
"""Seconds after which an attempt is looked after, or tried again."""


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    """Nobody in it yet."""
    adapter, vault = await neighbours(broker)
    seat(adapter, *PANEL)
    made = House(await broker.bus("edge"), adapter, vault, database, broker)
    yield made
    await house_holds(made)


async def stop_at_versions(database: Database) -> None:
    """A transaction that writes the version of `stops` into a new discussion waits for the lock
    before it commits.
    """
    pool = await database.pool("discussion")
    await pool.execute(
        "CREATE TABLE stops (version bigint NOT NULL);"
        "CREATE TABLE known (stream text NOT NULL);"
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM stops s WHERE s.version = NEW.version) "
        "AND EXISTS (SELECT FROM discussions d WHERE d.discussion = NEW.stream) "
        "AND NOT EXISTS (SELECT FROM known k WHERE k.stream = NEW.stream) "
        f"THEN PERFORM pg_advisory_xact_lock_shared({LOCK}); END IF; RETURN NEW; END $$;"
        "CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON events "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stop()"
    )


async def next_stop(database: Database, version: int) -> None:
    """From now on it is this version of discussions that are not there yet."""
    pool = await database.pool("discussion")
    await pool.execute("DELETE FROM stops")
    await pool.execute("INSERT INTO known SELECT discussion FROM discussions")
    await pool.execute("INSERT INTO stops VALUES ($1)", version)


async def stopped_or_over(house: House, talk: str) -> int | None:
    """The backend that waits at the stop; None if the panel ended before it."""
    pool = await house.database.pool("discussion")

    async def either() -> tuple[int | None] | None:
        pid: int | None = await pool.fetchval(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            f"AND objid = {LOCK} LIMIT 1"
        )
        return (pid,) if pid is not None or await over(house, talk) else None

    found = await eventually(either, within=timedelta(seconds=60))
    assert found is not None
    return found[0]


async def over(house: House, talk: str) -> bool:
    pool = await house.database.pool("discussion")
    state = "SELECT state IN ('completed', 'failed') FROM discussions WHERE discussion = $1"
    return bool(await pool.fetchval(state, talk))


async def version_of(house: House, talk: str) -> int:
    pool = await house.database.pool("discussion")
    return int(await pool.fetchval("SELECT max(version) FROM events WHERE stream = $1", talk) or 0)


async def finished(house: House, talk: str) -> DiscussionView:
    """Time passes until it is over: what died is looked after, and tried again."""
    for _ in range(20):
        await passes(house, LEASED)
        with suppress(AssertionError):  # not yet: more time has to pass
            await eventually(lambda: over(house, talk), within=timedelta(seconds=1))
            return await house.view(talk)
    raise AssertionError(await house.view(talk))


def result(view: DiscussionView) -> tuple[object, ...]:
    """What may not depend on who died when."""
    assert view.conclusion is not None
    member = {turn.id: turn.participant for turn in view.turns}
    return (
        view.state,
        view.conclusion.outcome,
        member[view.conclusion.winner],
        [member[leader] for leader in view.conclusion.leaders],
        view.conclusion.text,
        len(view.turns),
        len(view.dissents),
        view.stopped_by,
    )


async def asked_once(house: House, talk: str) -> None:
    """No turn's request was made twice."""
    mine = [command for command in house.adapter.attempts if command.discussion == talk]
    assert set(Counter(command.turn for command in mine).values()) == {1}
    invariants.one_request_for_one_attempt(await written(house), house.adapter.attempts)


@pytest.mark.slow  # a kill and a start of discussion for each of some twenty facts, twice
@pytest.mark.parametrize("kept", [True, False], ids=["after the commit", "before the commit"])
async def test_killed_at_every_boundary_a_panel_comes_to_the_same_result(
    house: House, tmp_path: Path, kept: bool
) -> None:
    async with AsyncExitStack() as stack:
        alive: Replica = await stack.enter_async_context(
            replica(house.database, house.broker, tmp_path, "first")
        )
        await house.kimi_works()
        await prove_the_key(house)
        undisturbed = await convene(house, *PANEL, options=LONG)
        expected = result(await finished(house, undisturbed))
        await stop_at_versions(house.database)

        boundaries = 0
        version = 1 + len(PANEL) + 1  # it was opened, and its drafts are due
        while True:
            await next_stop(house.database, version)
            async with paused(house.database):
                talk = await convene(house, *PANEL, options=LONG)
                waits = await stopped_or_over(house, talk)
                if waits is None:
                    break
                await alive.kill()
                if not kept:
                    pool = await house.database.pool("discussion")
                    await pool.execute("SELECT pg_terminate_backend($1)", waits)
            # Whatever was given up is not stopped at again.
            await next_stop(house.database, 0)
            boundaries += 1
            name = f"after-{boundaries}"
            before = await version_of(house, talk)
            alive = await stack.enter_async_context(
                replica(house.database, house.broker, tmp_path, name)
            )
            assert result(await finished(house, talk)) == expected, f"killed at {version}"
            await asked_once(house, talk)
            version = max(version, before) + 1
        assert boundaries > 20
