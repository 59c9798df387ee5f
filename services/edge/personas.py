"""Personas over HTTP: who can take part."""

from __future__ import annotations

from aiohttp import web

from contracts.failures import NotFound
from contracts.ids import TOKEN
from contracts.personas import GetPersona, GetPersonas, PersonaList, PersonaView
from services.edge.asks import ask
from services.edge.call import Call, plain


async def list_them(call: Call) -> web.StreamResponse:
    """All personas of the workspace."""
    command = GetPersonas(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "persona", "list", command, PersonaList))


async def read_one(call: Call) -> web.StreamResponse:
    """One persona, with its prompt."""
    slug = call.segments["slug"]
    if TOKEN.match(slug) is None:
        raise NotFound("No persona is called that.", next_step="GET /api/v1/personas lists them.")
    command = GetPersona(workspace=call.workspace, slug=slug)
    return plain(await ask(call.tools.bus, "persona", "get", command, PersonaView))
