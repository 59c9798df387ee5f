"""The vault itself over HTTP: what only owners may do to it."""

from __future__ import annotations

from aiohttp import web

from contracts.keys import Rewrapped, RewrapVault
from services.edge.asks import ask
from services.edge.call import Call, plain


async def rewrap_it(call: Call) -> web.StreamResponse:
    """Change the key that encrypts all keys at rest, while everything goes on."""
    command = RewrapVault(by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "rewrap", command, Rewrapped))
