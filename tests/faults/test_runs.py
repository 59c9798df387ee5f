"""kill -9 of discussion between any two facts of a run: the same result, and nobody asked twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.attempts import RunAttempt
from contracts.failures import Refused, TimedOut, Unavailable, Unreachable
from contracts.keys import Done
from contracts.workflows import (
    AnswerGate,
    DefineWorkflow,
    GetRun,
    RunAccepted,
    RunState,
    RunView,
    StartRun,
    WorkflowView,
)
from shared.database import Pool
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import House
from tests.neighbours import Adapter, completed, neighbours
from tests.replicas import LOCK, replica

WORKFLOW = """\
slug: tea
title: Tea
inputs: [guest]
steps:
  - name: ideas
    models: [kimi/kimi-k2.6]
    prompt: "IDEAS for {{ inputs.guest }}"
  - name: draft
    after: [ideas]
    prompt: "DRAFT from {{ steps.ideas.text }}"
    compare_providers:
      models: [kimi/kimi-k2.6, kimi/kimi-k3]
      gate: person
  - name: plan
    after: [draft]
    models: [kimi/kimi-k3]
    prompt: "PLAN from {{ steps.draft.text }}"
"""

ASKED = 4
"""Requests of an undisturbed run."""

SOON = timedelta(seconds=60)
AWAY = (Unreachable, TimedOut, Unavailable)


async def echoes(adapter: Adapter, command: RunAttempt) -> None:
    """The same question has the same answer."""
    text = f"{command.model} on <{command.messages[-1].content}>"
    await adapter.end(completed(command, text))


class Story:
    """One run, from its start to its end, through whatever happens to discussion."""

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.guest = name
        self.run = ""

    async def ask(self, verb: str, command: Any, answer: type[Any]) -> Any:
        """None while nobody is there to answer."""
        with suppress(*AWAY):
            async with asyncio.timeout(5):
                return await self.house.ask(verb, command, answer)
        return None

    async def goes_on(self) -> RunView | None:
        """Do what a person does: start it, look at it, choose; the run at its end."""
        if not self.run:
            command = StartRun(
                workspace="default",
                workflow="tea",
                inputs={"guest": self.guest},
                idempotency_key=self.guest,
            )
            accepted = await self.ask("start_run", command, RunAccepted)
            self.run = accepted.run if accepted else ""
            return None
        view = await self.ask("get_run", GetRun(workspace="default", run=self.run), RunView)
        if view is not None and view.state is RunState.WAITING:
            choice = AnswerGate(workspace="default", run=self.run, step="draft", candidate=1)
            with suppress(Refused):
                await self.ask("answer_gate", choice, Done)
            return None
        return view if view is not None and view.state is not RunState.RUNNING else None

    async def comes_to_its_end(self) -> RunView:
        found = await eventually(self.goes_on, within=SOON)
        assert found is not None
        return found

    def requests(self) -> list[RunAttempt]:
        return [
            attempt
            for attempt in self.house.adapter.attempts
            if f"IDEAS for {self.guest}" in str(attempt.messages[-1].content)
        ]

    def result(self, view: RunView) -> list[tuple[str, str, str, str]]:
        """What people see of it, whatever the ids are."""
        return [
            (step.name, step.state.value, step.text.replace(self.guest, "…"), _how(step))
            for step in view.steps
        ]


def _how(step: Any) -> str:
    return step.gate.how if step.gate else ""


# --- Where it can die ------------------------------------------------------------------------


async def watch_the_journal(pool: Pool) -> None:
    """Note where each append begins, and stop at the one that is named."""
    await pool.execute(
        "CREATE TABLE appends (events bigint);"
        "CREATE TABLE stop_at (events bigint);"
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE known bigint := (SELECT count(*) FROM events); BEGIN "
        "INSERT INTO appends VALUES (known); "
        "IF known >= (SELECT events FROM stop_at) THEN "
        f"PERFORM pg_advisory_xact_lock_shared({LOCK}); END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER stop BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION stop()"
    )


async def boundaries(pool: Pool, since: int) -> list[int]:
    """How many facts there were when each append began, counted from `since`."""
    rows = await pool.fetch("SELECT DISTINCT events FROM appends WHERE events >= $1", since)
    return sorted(int(row["events"]) - since for row in rows)


async def facts(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM events"))


@asynccontextmanager
async def stopped_at(pool: Pool, events: int) -> AsyncGenerator[None]:
    """Within, whoever appends after so many facts waits."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        await pool.execute("INSERT INTO stop_at VALUES ($1)", events)
        try:
            yield
        finally:
            await pool.execute("DELETE FROM stop_at")


async def somebody_waits(pool: Pool) -> None:
    """Wait until an append has come to where it is to stop."""

    async def waits() -> bool:
        return bool(
            await pool.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                f"AND objid = {LOCK}"
            )
        )

    await eventually(waits, within=SOON)


async def forget_the_dead(pool: Pool) -> None:
    """PostgreSQL notices at once that the killed process is gone, and undoes what it was doing."""

    async def gone() -> bool:
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            f"WHERE locktype = 'advisory' AND NOT granted AND objid = {LOCK}"
        )
        return not await pool.fetchval(
            f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} "
            "AND NOT granted"
        )

    await eventually(gone)


# At each boundary discussion is killed and started once: all of them take minutes.
@pytest.mark.parametrize(
    "every", [4, pytest.param(1, marks=pytest.mark.slow)], ids=["some boundaries", "all of them"]
)
async def test_a_run_survives_a_kill_between_any_two_facts(
    database: Database, broker: Broker, tmp_path: Path, every: int
) -> None:
    adapter, vault = await neighbours(broker)
    adapter.script = echoes
    pool = await database.pool("discussion")
    house = House(await broker.bus("edge"), adapter, vault, database, broker)
    undisturbed = Story(house, "nobody in particular")
    async with replica(database, broker, tmp_path, "first"):
        await house.kimi_works()
        definition = DefineWorkflow(workspace="default", source=WORKFLOW)
        await house.ask("define_workflow", definition, WorkflowView)
        await Story(house, "the first, with a key that is new").comes_to_its_end()
        await watch_the_journal(pool)
        await house.later(timedelta(0))
        before = await facts(pool)
        view = await undisturbed.comes_to_its_end()
        assert view.state is RunState.COMPLETED
        places = await boundaries(pool, before)
    expected = undisturbed.result(view)
    assert len(undisturbed.requests()) == ASKED
    assert len(places) > 12, places

    for place in places[::every]:
        story = Story(house, f"guest {place}")
        async with replica(database, broker, tmp_path, f"dies after {place}") as dies:
            async with stopped_at(pool, await facts(pool) + place):
                going = asyncio.create_task(story.comes_to_its_end())
                await somebody_waits(pool)
                await dies.kill()
                await forget_the_dead(pool)
            going.cancel()
            with suppress(asyncio.CancelledError):
                await going
        # What the dead one had claimed comes back after a while, and so does what it had asked for.
        await pool.execute("INSERT INTO hurry VALUES ($1)", timedelta(minutes=2))
        async with replica(database, broker, tmp_path, f"goes on after {place}"):
            found = await story.comes_to_its_end()

        assert story.result(found) == expected, f"killed after {place} facts"
        asked = Counter(str(request.messages[-1].content) for request in story.requests())
        models = Counter(
            (str(request.messages[-1].content), request.model) for request in story.requests()
        )
        assert len(story.requests()) == ASKED, f"killed after {place} facts: {asked}"
        assert set(models.values()) == {1}, models
        attempts = Counter(request.attempt for request in adapter.attempts)
        assert set(attempts.values()) == {1}
