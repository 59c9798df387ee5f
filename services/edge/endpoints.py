"""Endpoints beside the built-in providers over HTTP: add one, change it, remove it, list them."""

from __future__ import annotations

from aiohttp import web

from contracts.endpoints import CustomProvider
from contracts.keys import (
    AddEndpoint,
    ChangeEndpoint,
    Done,
    EndpointList,
    EndpointView,
    ListEndpoints,
    RemoveEndpoint,
)
from services.edge.asks import ask
from services.edge.bodies import EndpointBody, EndpointSettings
from services.edge.call import Call, plain


async def add_one(call: Call) -> web.StreamResponse:
    """A provider of the workspace's own, there at once: 201 with its address in its normal form."""
    body = await call.body(EndpointBody)
    wanted = _custom(body.name, body)
    command = AddEndpoint(workspace=call.workspace, endpoint=wanted, by=call.who.token)
    view = await ask(call.tools.bus, "key_vault", "add_endpoint", command, EndpointView)
    return plain(view, status=201)


async def change_one(call: Call) -> web.StreamResponse:
    """All that is to be known of it from now on; keys do not follow it to another address."""
    wanted = _custom(call.segments["name"], await call.body(EndpointSettings))
    command = ChangeEndpoint(workspace=call.workspace, endpoint=wanted, by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "change_endpoint", command, EndpointView))


async def remove_one(call: Call) -> web.StreamResponse:
    """It is no provider any more; nobody is lent its keys."""
    name = call.segments["name"]
    command = RemoveEndpoint(workspace=call.workspace, name=name, by=call.who.token)
    await ask(call.tools.bus, "key_vault", "remove_endpoint", command, Done)
    return web.Response(status=204)


async def list_them(call: Call) -> web.StreamResponse:
    """The operator's, then the workspace's own."""
    return plain(await of_workspace(call, call.workspace))


async def of_workspace(call: Call, workspace: str) -> EndpointList:
    command = ListEndpoints(workspace=workspace)
    return await ask(call.tools.bus, "key_vault", "list_endpoints", command, EndpointList)


def _custom(name: str, body: EndpointSettings) -> CustomProvider:
    return CustomProvider(
        name=name,
        base_url=body.base_url,
        title=body.title,
        dialect=body.dialect,
        needs_key=body.needs_key,
        limits=body.limits.model_dump(exclude_none=True) if body.limits else {},
        reasoning=body.reasoning,
        token_limit_field=body.token_limit_field or "",
        asks_for_usage=body.asks_for_usage,
    )
