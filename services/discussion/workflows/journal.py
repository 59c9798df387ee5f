"""How workflows and runs are remembered: load, decide, note the row that lists show, append."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import asyncpg
import msgspec

from contracts.discussion_events import DISCUSSION_EVENTS
from contracts.event import Event
from contracts.failures import Gone, NotFound
from contracts.ids import is_id
from contracts.workflow_events import (
    RunDeleted,
    RunEvent,
    RunStarted,
    WorkflowArchived,
    WorkflowEvent,
)
from contracts.workflows import RunState
from services.discussion.sql import SQL as DISCUSSION_SQL
from services.discussion.store import Store
from services.discussion.wakeups import set_wakeup
from services.discussion.workflows import aggregate, definitions
from services.discussion.workflows.aggregate import Asked, Going, Over, Run
from services.discussion.workflows.members import SQL
from shared.database import Connection
from shared.journal import Journal, Recorded


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run as of one version."""

    id: str
    events: list[Recorded[Event]]
    state: Run

    @property
    def version(self) -> int:
        return len(self.events)

    @property
    def facts(self) -> list[RunEvent]:
        return [cast("RunEvent", recorded.event) for recorded in self.events]

    @property
    def started(self) -> RunStarted:
        first = self.events[0].event
        assert isinstance(first, RunStarted)
        return first


class Runs:
    """The journal of workflows and runs, in the caller's transactions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._journal: Journal[Event] = Journal(DISCUSSION_EVENTS)

    # --- Runs ---------------------------------------------------------------------------------

    async def hold(self, conn: Connection, run: str) -> Loaded:
        """Load it to change it; who wants to change it too waits until this transaction ends."""
        await conn.execute(DISCUSSION_SQL["hold_stream"], run)
        return await self.load(conn, run)

    async def load(self, conn: Connection, run: str) -> Loaded:
        events = await self._journal.load(conn, run)
        known = [cast("RunEvent", recorded.event) for recorded in events]
        return Loaded(run, events, aggregate.replay(known))

    async def history(self, conn: Connection, run: str, after: int) -> list[Recorded[Event]]:
        return await self._journal.load(conn, run, after=after)

    async def decide(
        self, conn: Connection, loaded: Loaded, command: aggregate.Command
    ) -> list[RunEvent]:
        now = await self._store.clock(conn)
        return aggregate.decide(command, loaded.state, now=now)

    async def append(
        self, conn: Connection, loaded: Loaded, events: Sequence[RunEvent], *, by: str = ""
    ) -> None:
        """Late in the transaction: see store. WrongVersion: somebody was faster."""
        if not events:
            return
        first = loaded.started if loaded.events else events[0]
        assert isinstance(first, RunStarted)
        state = loaded.state
        for event in events:
            state = aggregate.evolve(state, event)
        await conn.execute(
            SQL["save_run"],
            loaded.id,
            first.workspace,
            first.workflow,
            first.definition.slug,
            first.definition.title.encode("utf-8", "replace"),
            state_of(state, events[-1]).value,
            loaded.version + len(events),
            events[-1].at,
        )
        if isinstance(events[-1], RunDeleted):
            await self._forget(conn, first, events[-1])
        await self._journal.append(
            conn,
            loaded.id,
            loaded.version,
            events,
            workspace=first.workspace,
            meta={"by": by} if by else None,
        )

    async def _forget(self, conn: Connection, started: RunStarted, deleted: RunDeleted) -> None:
        """What it was given goes, here and once all of it is there, on the bus too."""
        await self._journal.forget_words(conn, started.run)
        await conn.execute(SQL["forget_run"], started.run)
        await set_wakeup(
            conn,
            "purge",
            started.run,
            workspace=started.workspace,
            due=deleted.at,
            discussion=started.run,
        )

    async def find(self, conn: Connection, workspace: str, run: str) -> asyncpg.Record:
        """Its line in the list; NotFound where the workspace has no such run, Gone where it was
        deleted.
        """
        row = await conn.fetchrow(SQL["find_run"], run, workspace) if is_id(run) else None
        if row is None:
            raise NotFound(
                "There is no run with this id.", next_step="GET /api/v1/runs lists them."
            )
        if row["state"] == "deleted":
            raise Gone(
                "This run was deleted, and with it what its discussions said.",
                slug="run-deleted",
                title="This run was deleted",
                next_step="GET /api/v1/runs lists those there are.",
            )
        return row

    # --- Workflows ------------------------------------------------------------------------------

    async def workflow(self, conn: Connection, workflow: str) -> tuple[definitions.Workflow, int]:
        """The workflow to be changed, and its version in the journal."""
        await conn.execute(DISCUSSION_SQL["hold_stream"], workflow)
        events = await self._journal.load(conn, workflow)
        known = [cast("WorkflowEvent", recorded.event) for recorded in events]
        return definitions.replay(known), len(events)

    async def change_workflow(
        self, conn: Connection, workflow: str, version: int, events: Sequence[WorkflowEvent]
    ) -> None:
        for event in events:
            archived = isinstance(event, WorkflowArchived)
            definition, source = (
                (definitions.GONE, "") if archived else (event.definition, event.source)
            )
            await conn.execute(
                SQL["save_workflow"],
                workflow,
                event.workspace,
                definition.slug,
                getattr(event, "version", 1),
                archived,
                not archived and event.built_in,
                msgspec.json.encode(definition),
                source.encode("utf-8", "replace"),
                event.at,
            )
        if events:
            await self._journal.append(
                conn, workflow, version, events, workspace=events[0].workspace
            )


def state_of(state: Run, last: RunEvent) -> RunState:
    """In one word, as people see it."""
    match state:
        case Over(cancelled=True):
            return RunState.CANCELLED
        case Over():
            failed = type(last).__name__ == "RunFailed"
            return RunState.FAILED if failed else RunState.COMPLETED
        case Going(steps=steps):
            asked = any(isinstance(progress.phase, Asked) for progress in steps.values())
            working = any(
                isinstance(progress.phase, aggregate.Working | aggregate.Judging)
                for progress in steps.values()
            )
            return RunState.WAITING if asked and not working else RunState.RUNNING
        case _:
            return RunState.RUNNING
