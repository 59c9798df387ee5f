"""What workflows and runs are asked, and what is answered. Each verb is one line of the list."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, cast

import asyncpg
import msgspec
import structlog

from contracts.budgets import BudgetScope
from contracts.discussion import DiscussionState, History
from contracts.failures import Conflict, Gone, Invalid
from contracts.keys import Done
from contracts.workflow_events import Definition, RunForked, RunStarted
from contracts.workflows import (
    AnswerGate,
    ArchiveWorkflow,
    CancelRun,
    DefineWorkflow,
    DeleteRun,
    ForkRun,
    GetRun,
    GetRunHistory,
    GetWorkflow,
    ListRuns,
    ListWorkflows,
    ReviseWorkflow,
    RunAccepted,
    RunLine,
    RunList,
    RunState,
    RunView,
    StartRun,
    WorkflowLine,
    WorkflowList,
    WorkflowView,
)
from services.discussion import budgets, history, races
from services.discussion.store import Store
from services.discussion.workflows import (
    aggregate,
    definitions,
    library,
    members,
    results,
    views,
)
from services.discussion.workflows.aggregate import (
    Cancel,
    Choose,
    Delete,
    NobodyIsAsked,
    NoSuchCandidate,
    NoSuchStep,
    Start,
)
from services.discussion.workflows.definitions import Written, workflow_id
from services.discussion.workflows.journal import Loaded, Runs
from services.discussion.workflows.members import SQL
from services.discussion.workflows.refusals import check_inputs, no_step, no_workflow, sound
from shared.bus import Verb
from shared.database import Connection
from shared.idempotency import remember, remembered
from shared.ids import fresh

MOST_LISTED = 200

log = structlog.stdlib.get_logger("workflows")


class Workflows:
    """The verbs of workflows and runs."""

    def __init__(self, store: Store, runs: Runs) -> None:
        self._store = store
        self._runs = runs

    def verbs(self) -> Sequence[Verb[Any]]:
        return [
            Verb("workflows", ListWorkflows, self.workflows),
            Verb("get_workflow", GetWorkflow, self.get_workflow),
            Verb("define_workflow", DefineWorkflow, self.define),
            Verb("revise_workflow", ReviseWorkflow, self.revise),
            Verb("archive_workflow", ArchiveWorkflow, self.archive),
            Verb("start_run", StartRun, self.start),
            Verb("runs", ListRuns, self.list_runs),
            Verb("get_run", GetRun, self.get_run),
            Verb("run_history", GetRunHistory, self.history),
            Verb("answer_gate", AnswerGate, self.choose),
            Verb("cancel_run", CancelRun, self.cancel),
            Verb("delete_run", DeleteRun, self.delete),
            Verb("fork_run", ForkRun, self.fork),
        ]

    # --- Workflows ------------------------------------------------------------------------------

    async def seed(self, workspace: str) -> None:
        """Have the built-in workflows ready; those that somebody has changed stay as they are."""
        for source in library.built_ins():
            written = Written(workspace=workspace, definition=sound(source), source=source)
            await self._change(written.definition.slug, workspace, definitions.Seed(written))

    async def workflows(self, command: ListWorkflows) -> WorkflowList:
        async with self._store.reading() as conn:
            rows = await conn.fetch(SQL["list_workflows"], command.workspace)
        return WorkflowList([_line(row) for row in rows])

    async def get_workflow(self, command: GetWorkflow) -> WorkflowView:
        async with self._store.reading() as conn:
            return await self._workflow(conn, command.workspace, command.workflow)

    async def define(self, command: DefineWorkflow) -> WorkflowView:
        definition = sound(command.source)
        written = Written(
            workspace=command.workspace,
            definition=definition,
            source=command.source,
            by=command.by,
        )
        try:
            return await self._change(
                definition.slug,
                command.workspace,
                definitions.Define(written),
                key=_key(command.workspace, "define", command.idempotency_key),
                body_hmac=command.body_hmac,
            )
        except definitions.AlreadyDefined as taken:
            raise Conflict(
                f"There is a workflow called {definition.slug!r} already.",
                next_step=f"Choose another slug, or PUT /api/v1/workflows/{definition.slug}.",
            ) from taken

    async def revise(self, command: ReviseWorkflow) -> WorkflowView:
        async with self._store.reading() as conn:
            present = await self._workflow(conn, command.workspace, command.workflow)
        definition = sound(command.source)
        if definition.slug != present.slug:
            raise Invalid(
                f"The definition is of {definition.slug!r}, and this workflow is {present.slug!r}.",
                slug="another-workflow",
                errors=[{"field": "slug", "message": f"is {present.slug} here"}],
                next_step="Correct the slug, or POST /api/v1/workflows to make a new workflow.",
            )
        written = Written(
            workspace=command.workspace,
            definition=definition,
            source=command.source,
            by=command.by,
        )
        return await self._change(definition.slug, command.workspace, definitions.Revise(written))

    async def archive(self, command: ArchiveWorkflow) -> Done:
        async with self._store.reading() as conn:
            present = await self._workflow(conn, command.workspace, command.workflow)
        wish = definitions.Archive(workspace=command.workspace, by=command.by)
        await self._change(present.slug, command.workspace, wish, gone=True)
        return Done()

    async def _change(
        self,
        slug: str,
        workspace: str,
        command: definitions.Command,
        *,
        key: str = "",
        body_hmac: bytes = b"",
        gone: bool = False,
    ) -> WorkflowView:
        once = partial(self._changed, slug, workspace, command, key, body_hmac, gone=gone)
        try:
            return await races.settled(once)
        except definitions.NotDefined as missing:
            raise no_workflow(slug, []) from missing

    async def _changed(
        self,
        slug: str,
        workspace: str,
        command: definitions.Command,
        key: str,
        body_hmac: bytes,
        *,
        gone: bool,
    ) -> WorkflowView:
        id = workflow_id(workspace, slug)
        async with self._store.transaction() as conn:
            if (reply := await remembered(conn, key, body_hmac)) is not None:
                return msgspec.json.decode(reply, type=WorkflowView)
            state, version = await self._runs.workflow(conn, id)
            now = await self._store.clock(conn)
            events = definitions.decide(command, state, now=now)
            await self._runs.change_workflow(conn, id, version, events)
            if gone or (isinstance(command, definitions.Seed) and not events):
                return _NOBODY
            answer = await self._workflow(conn, workspace, id)
            await remember(conn, key, body_hmac, msgspec.json.encode(answer))
        return answer

    async def _workflow(self, conn: Connection, workspace: str, wanted: str) -> WorkflowView:
        row = None
        if wanted.isprintable() and len(wanted) <= 80:
            row = await conn.fetchrow(SQL["find_workflow"], workspace, wanted)
        if row is None:
            rows = await conn.fetch(SQL["list_workflows"], workspace)
            raise no_workflow(wanted, [cast("str", one["slug"]) for one in rows])
        return WorkflowView(
            id=row["workflow"],
            slug=row["slug"],
            version=row["version"],
            built_in=row["built_in"],
            updated_at=row["updated_at"],
            definition=_decode(row["definition"]),
            source=bytes(row["source"]).decode(),
        )

    # --- Runs -----------------------------------------------------------------------------------

    async def start(self, command: StartRun) -> RunAccepted:
        key = _key(command.workspace, f"start_run/{command.workflow}", command.idempotency_key)
        async with self._store.transaction() as conn:
            if (reply := await remembered(conn, key, command.body_hmac)) is not None:
                return msgspec.json.decode(reply, type=RunAccepted)
            workflow = await self._workflow(conn, command.workspace, command.workflow)
            check_inputs(workflow.definition.inputs, command.inputs)
            started = RunStarted(
                at=await self._store.clock(conn),
                run=fresh(),
                workspace=command.workspace,
                workflow=workflow.id,
                version=workflow.version,
                definition=workflow.definition,
                inputs=command.inputs,
                budget=command.budget,
                started_by=command.by,
            )
            answer = await self._started(conn, Start(started), command.by)
            await remember(conn, key, command.body_hmac, msgspec.json.encode(answer))
        return answer

    async def _started(self, conn: Connection, start: Start, by: str) -> RunAccepted:
        run, workspace = start.started.run, start.started.workspace
        loaded = Loaded(run, [], aggregate.NotStarted())
        events = await self._runs.decide(conn, loaded, start)
        bound = start.started.budget or start.started.definition.budget
        if bound is not None and bound.usd is not None:
            # Each request is held to it when it is made, beside what is reckoned step by step.
            await budgets.allow(
                conn, workspace, BudgetScope.RUN, run, bound.usd, start.started.at, by=by
            )
        await members.wake(conn, run, workspace)
        await self._runs.append(conn, loaded, events, by=by)
        return RunAccepted(run=run, version=len(events))

    async def fork(self, command: ForkRun) -> RunAccepted:
        key = _key(command.workspace, f"fork_run/{command.run}", command.idempotency_key)
        async with self._store.transaction() as conn:
            if (reply := await remembered(conn, key, command.body_hmac)) is not None:
                return msgspec.json.decode(reply, type=RunAccepted)
            origin = await self._load(conn, command.workspace, command.run)
            now = await self._store.clock(conn)
            before = origin.started
            inputs = before.inputs if command.inputs is None else command.inputs
            check_inputs(before.definition.inputs, inputs)
            started = msgspec.structs.replace(
                before, at=now, run=fresh(), inputs=inputs, started_by=command.by
            )
            try:
                kept = aggregate.kept(origin.state, command.step)
            except NoSuchStep as unknown:
                raise no_step(command.step, before.definition) from unknown
            forked = RunForked(
                at=now, run=started.run, origin=command.run, step=command.step, kept=kept
            )
            answer = await self._started(conn, Start(started, forked), command.by)
            await remember(conn, key, command.body_hmac, msgspec.json.encode(answer))
        return answer

    async def choose(self, command: AnswerGate) -> Done:
        candidate = command.candidate
        if candidate is None:
            candidate = await self._on_model(command)
        wish = Choose(step=command.step, candidate=candidate, by=command.by)
        try:
            await self._change_run(command.workspace, command.run, wish, command.by)
        except NoSuchStep as unknown:
            async with self._store.reading() as conn:
                loaded = await self._load(conn, command.workspace, command.run)
            raise no_step(command.step, loaded.started.definition) from unknown
        except NoSuchCandidate as unknown:
            there = ", ".join(map(str, unknown.among))
            raise Invalid(
                f"There is no candidate {command.model or candidate} to choose here.",
                slug="unknown-candidate",
                errors=[{"field": "choose", "message": f"is one of {there}"}],
                next_step="GET /api/v1/runs/{id} shows the candidates of the step.",
            ) from unknown
        except NobodyIsAsked as early:
            told = "Nobody is asked to choose at this step just now."
            if early.chosen is not None:
                told = f"Candidate {early.chosen} has been chosen already."
            raise Conflict(
                told, next_step="GET /api/v1/runs/{id}; to choose anew, fork the run at the step."
            ) from early
        return Done()

    async def _on_model(self, command: AnswerGate) -> int:
        """The candidate on the model that was named; one that there is not, if there is none."""
        async with self._store.reading() as conn:
            loaded = await self._load(conn, command.workspace, command.run)
        for step in loaded.started.definition.steps:
            if step.name == command.step and step.compare_providers is not None:
                models = step.compare_providers.models
                return models.index(command.model) if command.model in models else len(models)
        return 0

    async def cancel(self, command: CancelRun) -> Done:
        await self._change_run(command.workspace, command.run, Cancel(command.by), command.by)
        return Done()

    async def delete(self, command: DeleteRun) -> Done:
        """Its discussions are deleted by whoever works on the run, which is woken for that."""
        with suppress(Gone):
            wish = Delete(command.by)
            await self._change_run(command.workspace, command.run, wish, command.by)
        return Done()

    async def _change_run(
        self, workspace: str, run: str, command: aggregate.Command, by: str
    ) -> None:
        async def once() -> None:
            async with self._store.transaction() as conn:
                await self._runs.find(conn, workspace, run)
                # The wake-up before the run: who works on a run holds nothing when it rests.
                await members.wake(conn, run, workspace)
                loaded = await self._runs.hold(conn, run)
                events = await self._runs.decide(conn, loaded, command)
                await self._runs.append(conn, loaded, events, by=by)

        await races.settled(once)

    async def _load(self, conn: Connection, workspace: str, run: str) -> Loaded:
        await self._runs.find(conn, workspace, run)
        return await self._runs.load(conn, run)

    # --- Reading runs -----------------------------------------------------------------------------

    async def get_run(self, command: GetRun) -> RunView:
        async with self._store.reading() as conn:
            loaded = await self._load(conn, command.workspace, command.run)
            found: dict[str, results.Result] = {}
            for discussion in views.discussions(loaded.facts):
                if facts := (await self._store.load(conn, discussion)).facts:
                    found[discussion] = results.result(facts)
        return views.view(loaded.facts, found)

    async def list_runs(self, command: ListRuns) -> RunList:
        limit = max(1, min(command.limit, MOST_LISTED))
        async with self._store.reading() as conn:
            rows = await conn.fetch(
                SQL["list_runs"],
                command.workspace,
                command.workflow if command.workflow.isprintable() else "?",
                command.state.value if command.state else "",
                command.cursor,
                limit + 1,
            )
        items = [
            RunLine(
                id=row["run"],
                workflow=row["workflow"],
                slug=row["slug"],
                title=bytes(row["title"]).decode(),
                state=RunState(row["state"]),
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
            for row in rows[:limit]
        ]
        more = len(rows) > limit
        return RunList(items=items, next_cursor=items[-1].id if more else "")

    async def history(self, command: GetRunHistory) -> History:
        async with self._store.reading() as conn:
            row = await self._runs.find(conn, command.workspace, command.discussion)
            recorded = await self._runs.history(conn, command.discussion, max(0, command.after))
        return History(
            items=history.page(recorded, command.limit),
            version=row["version"],
            state=DiscussionState(RunState(row["state"]).value),
        )


# --- Words ------------------------------------------------------------------------------------

_NOBODY = WorkflowView(
    id="",
    slug="",
    version=0,
    built_in=False,
    updated_at=datetime.min,  # noqa: DTZ901 - it is thrown away
    definition=definitions.GONE,
    source="",
)


def _decode(record: object) -> Definition:
    return msgspec.json.decode(bytes(cast("bytes", record)), type=Definition)


def _key(workspace: str, verb: str, key: str) -> str:
    return f"{workspace}/{verb}/{key}" if key else ""


def _line(row: asyncpg.Record) -> WorkflowLine:
    definition = _decode(row["definition"])
    return WorkflowLine(
        id=row["workflow"],
        slug=row["slug"],
        title=definition.title,
        description=definition.description,
        version=row["version"],
        built_in=row["built_in"],
        inputs=definition.inputs,
        steps=[step.name for step in definition.steps],
        updated_at=row["updated_at"],
    )
