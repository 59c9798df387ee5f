"""Access tokens over HTTP: made here, shown once, and known to the others by their hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from aiohttp import web
from msgspec import Struct

from contracts.keys import (
    Done,
    IssueToken,
    ListTokens,
    RevokeToken,
    Role,
    TokenList,
    TokenView,
)
from services.edge.asks import ask
from services.edge.bodies import TokenBody
from services.edge.call import Call, plain

PREFIX = "parley_"
"""By which a token that has leaked into a log can be known as one."""


class IssuedToken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new token. Nobody can show it again."""

    id: str
    token: str
    role: Role
    label: str = ""
    expires_at: datetime | None = None


async def issue_one(call: Call) -> web.StreamResponse:
    """Make a token: 201, and the only time that it is shown."""
    body = await call.body(TokenBody)
    token = PREFIX + secrets.token_urlsafe(32)
    command = IssueToken(
        workspace=call.workspace,
        token_hash=hashlib.sha256(token.encode()).digest(),
        role=body.role,
        label=body.label,
        expires_at=body.expires_at,
        by=call.who.token,
        by_role=call.who.role,
    )
    made = await ask(call.tools.bus, "key_vault", "issue_token", command, TokenView)
    issued = IssuedToken(
        id=made.id, token=token, role=made.role, label=made.label, expires_at=made.expires_at
    )
    return plain(issued, status=201, headers={"Cache-Control": "no-store"})


async def list_them(call: Call) -> web.StreamResponse:
    """All tokens of the workspace: everything but the token itself."""
    command = ListTokens(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "key_vault", "list_tokens", command, TokenList))


async def revoke_one(call: Call) -> web.StreamResponse:
    """Nobody comes in with it from now on; what is open with it is closed."""
    command = RevokeToken(
        workspace=call.workspace,
        token=call.id("id", "token"),
        by=call.who.token,
        by_role=call.who.role,
    )
    await ask(call.tools.bus, "key_vault", "revoke_token", command, Done)
    return web.Response(status=204)
