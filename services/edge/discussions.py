"""Discussions over HTTP: open, read, list, cancel. The run itself belongs to the server."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET, Struct
from msgspec.structs import replace

from contracts.discussion import (
    CancelDiscussion,
    ConcludeDiscussion,
    DiscussionLine,
    DiscussionList,
    DiscussionView,
    Estimate,
    ForkDiscussion,
    GetDiscussion,
    ListDiscussions,
    OpenDiscussion,
    Opened,
    PickWinner,
    PostMessage,
    RetryTurn,
)
from contracts.keeping import DeleteDiscussion, RenameDiscussion
from contracts.keys import Done
from contracts.modes import Options
from services.edge import answers, export
from services.edge.asks import ask
from services.edge.bodies import (
    ExportQuery,
    ForkBody,
    ListQuery,
    OpenBody,
    PickBody,
    PostBody,
    RenameBody,
)
from services.edge.call import Call, plain
from services.edge.live import with_live_text


class DiscussionsAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of discussions, newest first."""

    items: list[DiscussionLine]
    next_cursor: str = ""
    """Where the next page begins; left out on the last."""


async def open_one(call: Call) -> web.StreamResponse:
    """Begin a discussion."""
    command = replace(
        _wish(call, await call.body(OpenBody)),
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    return _opened(await ask(call.tools.bus, "discussion", "open", command, Opened))


def _opened(opened: Opened) -> web.StreamResponse:
    told = opened.estimate
    answer = answers.OpenedAnswer(
        id=opened.discussion,
        version=opened.version,
        estimate=UNSET if told is None else answers.estimate(told),
    )
    return plain(answer, status=201, headers={"Location": f"/api/v1/discussions/{answer.id}"})


async def estimate_one(call: Call) -> web.StreamResponse:
    """What it would take; nothing is begun."""
    command = _wish(call, await call.body(OpenBody))
    told = await ask(call.tools.bus, "discussion", "estimate", command, Estimate)
    return plain(answers.estimate(told))


def _wish(call: Call, body: OpenBody) -> OpenDiscussion:
    return OpenDiscussion(
        workspace=call.workspace,
        mode=body.chosen_mode(),
        participants=body.wanted(),
        topic=body.topic,
        parameters=None if body.options is None else body.options.parameters(),
        options=Options() if body.options is None else body.options.of_mode(),
        by=call.who.token,
        budget=None if body.options is None else body.options.budget,
    )


async def read_one(call: Call) -> web.StreamResponse:
    """A discussion as it stands."""
    return plain(answers.discussion(await _view(call)))


async def cancel_one(call: Call) -> web.StreamResponse:
    """Stop a discussion; stopping it twice, or after its end, changes nothing."""
    command = CancelDiscussion(
        workspace=call.workspace, discussion=call.id("id", "discussion"), by=call.who.token
    )
    return await _done(call, "cancel", command)


async def rename_one(call: Call) -> web.StreamResponse:
    """Give it another title."""
    body = await call.body(RenameBody)
    command = RenameDiscussion(
        workspace=call.workspace,
        discussion=call.id("id", "discussion"),
        title=body.title,
        by=call.who.token,
    )
    return await _done(call, "rename", command)


async def delete_one(call: Call) -> web.StreamResponse:
    """Delete what was said in it, for good; what runs of it is cancelled first."""
    command = DeleteDiscussion(
        workspace=call.workspace, discussion=call.id("id", "discussion"), by=call.who.token
    )
    await ask(call.tools.bus, "discussion", "delete", command, Done)
    call.tools.hubs.forget(call.workspace, command.discussion)
    return web.Response(status=204)


async def export_one(call: Call) -> web.StreamResponse:
    """The whole of it as a document: Markdown for people, JSON for programs."""
    wanted = call.query(ExportQuery).format or _preferred(call.request.headers.get("Accept", ""))
    told = answers.discussion(await _view(call))
    name = export.file_name(told.title, "json" if wanted == "json" else "md")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if wanted == "json":
        return plain(export.Document(discussion=told), headers=headers)
    return web.Response(
        body=export.markdown(told).encode("utf-8", "replace"),
        content_type="text/markdown",
        charset="utf-8",
        headers=headers,
    )


def _preferred(accept: str) -> str:
    """Markdown, unless it is JSON that is asked for first."""
    for kind in accept.lower().split(","):
        match kind.partition(";")[0].strip():
            case "application/json":
                return "json"
            case "text/markdown" | "text/*" | "*/*":
                return "markdown"
            case _:
                pass
    return "markdown"


async def retry_turn(call: Call) -> web.StreamResponse:
    """Try a turn again that failed, or look at once whether one that waits can go on."""
    command = RetryTurn(
        workspace=call.workspace,
        discussion=call.id("id", "discussion"),
        turn=call.id("turn", "turn"),
        by=call.who.token,
    )
    return await _done(call, "retry", command)


async def post_message(call: Call) -> web.StreamResponse:
    """Say something into a discussion; one that is over goes on."""
    body = await call.body(PostBody)
    command = PostMessage(
        workspace=call.workspace,
        discussion=call.id("id", "discussion"),
        text=body.text,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    return await _done(call, "post", command, status=201)


async def conclude_one(call: Call) -> web.StreamResponse:
    """No further round: what is being said is still heard."""
    command = ConcludeDiscussion(
        workspace=call.workspace, discussion=call.id("id", "discussion"), by=call.who.token
    )
    return await _done(call, "conclude", command)


async def pick_winner(call: Call) -> web.StreamResponse:
    """Name the best answer of a comparison; the last pick counts."""
    body = await call.body(PickBody)
    command = PickWinner(
        workspace=call.workspace,
        discussion=call.id("id", "discussion"),
        turn=body.turn,
        by=call.who.token,
    )
    return await _done(call, "pick", command)


async def fork_one(call: Call) -> web.StreamResponse:
    """Ask a turn again in a discussion of its own."""
    body = await call.body(ForkBody)
    command = ForkDiscussion(
        workspace=call.workspace,
        discussion=call.id("id", "discussion"),
        turn=body.turn,
        persona=body.persona,
        model=body.model,
        text=body.text,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    return _opened(await ask(call.tools.bus, "discussion", "fork", command, Opened))


async def list_them(call: Call) -> web.StreamResponse:
    """Discussions of the workspace, a page at a time."""
    query = call.query(ListQuery)
    command = ListDiscussions(
        workspace=call.workspace,
        state=query.state,
        q=query.q,
        cursor=query.cursor,
        limit=query.limit,
    )
    found = await ask(call.tools.bus, "discussion", "list", command, DiscussionList)
    return plain(DiscussionsAnswer(items=found.items, next_cursor=found.next_cursor))


async def _done(call: Call, verb: str, command: Struct, *, status: int = 200) -> web.StreamResponse:
    """The discussion as it stands after what was asked for."""
    await ask(call.tools.bus, "discussion", verb, command, Done)
    return plain(answers.discussion(await _view(call)), status=status)


async def _view(call: Call) -> DiscussionView:
    command = GetDiscussion(workspace=call.workspace, discussion=call.id("id", "discussion"))
    view = await ask(call.tools.bus, "discussion", "get", command, DiscussionView)
    tools = call.tools
    return await with_live_text(view, bus=tools.bus, hubs=tools.hubs, workspace=call.workspace)
