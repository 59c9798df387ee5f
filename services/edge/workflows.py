"""Workflows over HTTP: list, define, revise, put away, start."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from contracts.keys import Done
from contracts.workflows import (
    ArchiveWorkflow,
    DefineWorkflow,
    GetWorkflow,
    ListWorkflows,
    ReviseWorkflow,
    RunAccepted,
    StartRun,
    WorkflowList,
    WorkflowView,
)
from services.edge.asks import ask
from services.edge.call import Call, plain
from services.edge.workflow_bodies import RunBody, WorkflowBody


class RunOpened(Struct, frozen=True, kw_only=True):
    """The run belongs to the server from here on."""

    id: str
    version: int


async def list_them(call: Call) -> web.StreamResponse:
    """All workflows of the workspace."""
    command = ListWorkflows(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "discussion", "workflows", command, WorkflowList))


async def read_one(call: Call) -> web.StreamResponse:
    """One workflow, with its definition and the text of it."""
    command = GetWorkflow(workspace=call.workspace, workflow=call.segments["slug"])
    return plain(await ask(call.tools.bus, "discussion", "get_workflow", command, WorkflowView))


async def define_one(call: Call) -> web.StreamResponse:
    """A new workflow."""
    body = await call.body(WorkflowBody)
    command = DefineWorkflow(
        workspace=call.workspace,
        source=body.text(),
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    made = await ask(call.tools.bus, "discussion", "define_workflow", command, WorkflowView)
    return plain(made, status=201, headers={"Location": f"/api/v1/workflows/{made.slug}"})


async def revise_one(call: Call) -> web.StreamResponse:
    """A new version; runs that have begun keep theirs."""
    body = await call.body(WorkflowBody)
    command = ReviseWorkflow(
        workspace=call.workspace,
        workflow=call.segments["slug"],
        source=body.text(),
        by=call.who.token,
    )
    return plain(await ask(call.tools.bus, "discussion", "revise_workflow", command, WorkflowView))


async def archive_one(call: Call) -> web.StreamResponse:
    """Put it away; its runs stay."""
    command = ArchiveWorkflow(
        workspace=call.workspace, workflow=call.segments["slug"], by=call.who.token
    )
    await ask(call.tools.bus, "discussion", "archive_workflow", command, Done)
    return web.Response(status=204)


async def start_one(call: Call) -> web.StreamResponse:
    """Start a run."""
    body = await call.body(RunBody)
    command = StartRun(
        workspace=call.workspace,
        workflow=call.segments["id"],
        inputs=body.inputs,
        budget=body.budget.budget() if body.budget else None,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    return opened(await ask(call.tools.bus, "discussion", "start_run", command, RunAccepted))


def opened(accepted: RunAccepted) -> web.Response:
    """201, and where the run is."""
    answer = RunOpened(id=accepted.run, version=accepted.version)
    return plain(answer, status=201, headers={"Location": f"/api/v1/runs/{answer.id}"})
