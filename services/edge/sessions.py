"""Signing in and out of a browser's session over HTTP."""

from __future__ import annotations

import hashlib

from aiohttp import web

from contracts.failures import Unauthenticated
from contracts.keys import Identity
from services.edge.auth import bearer
from services.edge.call import Call, plain
from services.edge.session import COOKIE, LASTS, SessionAnswer, check_origin


async def sign_in(call: Call) -> web.StreamResponse:
    """Exchange the bearer token for a session cookie."""
    check_origin(call.request, needed=False)
    token = bearer(call.request)
    if token is None:
        raise Unauthenticated("A session is opened with an access token.")
    token_hash = hashlib.sha256(token.encode()).digest()
    identity = await call.tools.doorkeeper.introspect(token_hash)
    response = plain(_told(identity), status=201)
    response.set_cookie(
        COOKIE,
        call.tools.doorkeeper.sessions.cookie_for(token_hash),
        max_age=LASTS,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=call.request.headers.get("X-Forwarded-Proto") == "https",
    )
    return response


async def sign_out(call: Call) -> web.StreamResponse:
    """End this browser's session."""
    check_origin(call.request, needed=False)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return response


async def who_am_i(call: Call) -> web.StreamResponse:
    """Whose token or session this is."""
    return plain(_told(call.who))


def _told(identity: Identity) -> SessionAnswer:
    return SessionAnswer(
        workspace=identity.workspace,
        role=identity.role,
        label=identity.label,
        token=identity.token,
    )
