"""The OpenAI-compatible door: each call is a stored discussion with exactly the given messages.

The official clients work unchanged: whole answers or streams, errors in OpenAI's shape, with the
header that keeps a client from trying again by itself.
"""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from contracts.discussion import CancelDiscussion, OpenDiscussion, Opened, WantedParticipant
from contracts.discussion_events import TurnCompleted
from contracts.failures import Invalid, NotFound
from contracts.keeping import DeleteDiscussion
from contracts.keys import Done
from contracts.modes import Mode, Options
from contracts.supply import ListModels, ModelList
from services.edge import sse
from services.edge.asks import ask
from services.edge.call import Call, plain
from services.edge.completion import STOPPING, Completing
from services.edge.openai_bodies import CompletionBody
from services.edge.openai_words import (
    NO_RETRY,
    Completion,
    ModelCard,
    ModelCards,
    WireError,
    completion_of,
)
from services.edge.outlet import Ending, Outlet
from services.edge.panel import NAMES, PANEL, PATIENCE, Panel, lineup
from services.edge.personas import everyone

UNDECIDED = 2.0
"""Seconds in which a failure is still told by the status of the answer; then the stream begins."""

PERSONA = "persona/"
PANEL_ROUNDS = 2
"""Of a debate: who waits for an answer waits for each of them."""


async def complete(call: Call) -> web.StreamResponse:
    """Complete a chat."""
    body = await call.body(CompletionBody)
    opened = await ask(call.tools.bus, "discussion", "open", _command(call, body), Opened)
    discussion = opened.discussion
    follows = Panel if body.model.startswith(PANEL) else Completing
    completing = follows(
        f"chatcmpl-{discussion}", int(time.time()), body.model, with_usage=body.includes_usage
    )
    await _follow(call, discussion, completing, keeps=body.store is not False)
    if body.stream:
        return await _stream(call, discussion, completing)
    return await _whole(discussion, completing)


async def list_models(call: Call) -> web.StreamResponse:
    """Everything that can be named as a model."""
    return plain(ModelCards(data=await _cards(call)))


async def read_model(call: Call) -> web.StreamResponse:
    """One of them."""
    wanted = call.segments["model"]
    for card in await _cards(call):
        if card.id == wanted:
            return plain(card)
    raise NotFound(
        f"There is no model called {wanted[:200]!r}.",
        slug="unknown-model",
        next_step="GET /v1/models lists what there is.",
    )


# --- Asking -----------------------------------------------------------------------------------


def _command(call: Call, body: CompletionBody) -> OpenDiscussion:
    mode, members = Mode.SINGLE, [_participant(body)]
    options = Options()
    if body.model.startswith(PANEL):
        mode, members = lineup(body.model)
        options = Options(patience=PATIENCE, rounds=PANEL_ROUNDS if mode is Mode.DEBATE else 0)
    return OpenDiscussion(
        workspace=call.workspace,
        mode=mode,
        participants=members,
        messages=[message.message() for message in body.messages],
        parameters=body.parameters(),
        options=options,
        keep_words=body.store is not False,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )


def _participant(body: CompletionBody) -> WantedParticipant:
    persona = body.model.startswith(PERSONA)
    if not persona and not body.model.startswith(PANEL):
        return WantedParticipant(model=body.model)
    for wish, given in (("tools", body.tools), ("response_format", body.response_format)):
        if given is not None:
            raise Invalid(
                f"A {'persona' if persona else 'panel'} takes no {wish}.",
                errors=[{"field": wish, "message": "only for provider/model"}],
                next_step="Name a model, provider/model, instead.",
            )
    return WantedParticipant(persona=body.model.removeprefix(PERSONA))


async def _cards(call: Call) -> list[ModelCard]:
    models, personas = await asyncio.gather(
        ask(
            call.tools.bus, "discussion", "models", ListModels(workspace=call.workspace), ModelList
        ),
        everyone(call.tools.bus, call.workspace),
    )
    return [
        *(
            ModelCard(id=model.id, owned_by=model.provider)
            for model in models.items
            if not model.retired
        ),
        *(ModelCard(id=f"{PERSONA}{persona.slug}") for persona in personas),
        *(ModelCard(id=name) for name in NAMES),
    ]


# --- Answering --------------------------------------------------------------------------------


async def _follow(call: Call, discussion: str, completing: Completing, *, keeps: bool) -> None:
    """Watch the discussion to its end, whether or not the client stays.

    The run belongs to the server. Only what is parked is given up: nobody will come back for it.
    """
    tools, workspace, by = call.tools, call.workspace, call.who.token
    hub = await tools.hubs.get(workspace, discussion)
    seen = 0
    try:
        async for page in hub.missed(seen):
            completing.hear(page)
            seen = page[-1].version
    except BaseException:
        tools.hubs.release(workspace, discussion)
        raise
    completing.hear(hub.join(completing, seen))
    if hub.feed.state is not None:
        completing.over(hub.feed.state)
    elif hub.closed:
        completing.dismiss(Ending.STOPPING)

    async def mind() -> None:
        try:
            await completing.result
            if completing.moot:
                command = CancelDiscussion(workspace=workspace, discussion=discussion, by=by)
                await ask(tools.bus, "discussion", "cancel", command, Done)
            if not keeps and completing.answered:
                # All of it is in hand. Should this not come to be, discussion does it by itself.
                command = DeleteDiscussion(workspace=workspace, discussion=discussion, by=by)
                await ask(tools.bus, "discussion", "delete", command, Done)
        finally:
            hub.leave(completing)
            tools.hubs.release(workspace, discussion)

    tools.hubs.mind(mind())


async def _whole(discussion: str, completing: Completing) -> web.StreamResponse:
    match await asyncio.shield(completing.result):
        case TurnCompleted() as turn:
            answer: Completion = completion_of(
                f"chatcmpl-{discussion}", int(turn.at.timestamp()), turn
            )
            return plain(answer, headers={"X-Parley-Discussion": discussion})
        case WireError() as error:
            return refuse(error)


async def _stream(call: Call, discussion: str, completing: Completing) -> web.StreamResponse:
    try:
        async with asyncio.timeout(UNDECIDED):
            await completing.begun.wait()
    except TimeoutError:
        pass  # it waits for something: let the client see that it is alive
    if completing.failed_silently:
        error = completing.result.result()
        assert isinstance(error, WireError)
        return refuse(error)
    response = web.StreamResponse(headers=sse.HEADERS | {"X-Parley-Discussion": discussion})
    response.force_close()
    await response.prepare(call.request)
    await response.write(b": parley\n\n")
    outlet = Outlet(call.request, response, parting=STOPPING.frame())
    completing.attach(outlet)
    await outlet.wait()
    return response


def refuse(error: WireError) -> web.Response:
    """The error as an HTTP response."""
    return web.Response(
        status=error.status, body=error.body(), content_type="application/json", headers=NO_RETRY
    )
