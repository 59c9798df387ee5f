"""Runs of workflows over HTTP: list, read, follow, choose at a gate, cancel, fork, delete."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from contracts.keys import Done
from contracts.workflows import (
    AnswerGate,
    CancelRun,
    DeleteRun,
    ForkRun,
    GetRun,
    ListRuns,
    RunAccepted,
    RunLine,
    RunList,
    RunView,
)
from services.edge import sse, workflows
from services.edge.asks import ask
from services.edge.call import Call, plain
from services.edge.workflow_bodies import ChooseBody, ForkRunBody, RunsQuery


class RunsAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of runs, newest first."""

    items: list[RunLine]
    next_cursor: str = ""
    """Where the next page begins; left out on the last."""


async def list_them(call: Call) -> web.StreamResponse:
    """Runs of the workspace, a page at a time."""
    query = call.query(RunsQuery)
    command = ListRuns(
        workspace=call.workspace,
        workflow=query.workflow,
        state=query.state,
        cursor=query.cursor,
        limit=query.limit,
    )
    found = await ask(call.tools.bus, "discussion", "runs", command, RunList)
    return plain(RunsAnswer(items=found.items, next_cursor=found.next_cursor))


async def read_one(call: Call) -> web.StreamResponse:
    """A run as it stands."""
    return plain(await _view(call))


async def follow(call: Call) -> web.StreamResponse:
    """Follow a run, as a discussion is followed."""
    sse.check_accepted(call.request)
    return await sse.follow_log(call, call.id("id", "run"), "run_history")


async def choose(call: Call) -> web.StreamResponse:
    """A person chooses at a gate; the same choice again changes nothing."""
    body = await call.body(ChooseBody)
    wanted = body.choose
    command = AnswerGate(
        workspace=call.workspace,
        run=call.id("id", "run"),
        step=call.segments["step"],
        candidate=wanted if isinstance(wanted, int) else None,
        model=wanted if isinstance(wanted, str) else "",
        by=call.who.token,
    )
    await ask(call.tools.bus, "discussion", "answer_gate", command, Done)
    return plain(await _view(call))


async def cancel_one(call: Call) -> web.StreamResponse:
    """Stop a run and its discussions; stopping it twice, or after its end, changes nothing."""
    command = CancelRun(workspace=call.workspace, run=call.id("id", "run"), by=call.who.token)
    await ask(call.tools.bus, "discussion", "cancel_run", command, Done)
    return plain(await _view(call))


async def delete_one(call: Call) -> web.StreamResponse:
    """Delete what it was given and what its discussions said, for good."""
    command = DeleteRun(workspace=call.workspace, run=call.id("id", "run"), by=call.who.token)
    await ask(call.tools.bus, "discussion", "delete_run", command, Done)
    call.tools.hubs.forget(call.workspace, command.run)
    return web.Response(status=204)


async def fork_one(call: Call) -> web.StreamResponse:
    """Another run that keeps what came before a step."""
    body = await call.body(ForkRunBody)
    command = ForkRun(
        workspace=call.workspace,
        run=call.id("id", "run"),
        step=body.step,
        inputs=body.inputs,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    accepted = await ask(call.tools.bus, "discussion", "fork_run", command, RunAccepted)
    return workflows.opened(accepted)


async def _view(call: Call) -> RunView:
    command = GetRun(workspace=call.workspace, run=call.id("id", "run"))
    return await ask(call.tools.bus, "discussion", "get_run", command, RunView)
