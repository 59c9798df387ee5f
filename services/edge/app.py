"""From a request to its answer: which route, who asks, may they, what came of it."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec
import structlog
from aiohttp import HttpVersion10, HttpVersion11, web
from prometheus_client import Counter

from contracts.failures import Forbidden, MalformedRequest, Refused
from contracts.keys import Identity
from services.edge import openapi, problems
from services.edge.call import Call, Route
from services.edge.docs import render
from services.edge.matching import match
from services.edge.openai import refuse
from services.edge.openai_words import error_of
from services.edge.problems import HeadersTooLarge
from services.edge.routes import ROUTES
from services.edge.session import check_host
from services.edge.tools import Description, Tools
from shared import trace

VERSIONS = frozenset({HttpVersion10, HttpVersion11})
HEADERS = 100
TARGET = 8 << 10
"""Bytes of a request's address."""

SECRETS_IN_QUERY = frozenset({"access_token", "api_key", "apikey", "key", "secret", "token"})

ANSWERED = Counter("parley_edge_requests", "Requests answered", ["route", "status"])

_log = structlog.stdlib.get_logger("edge")


class App:
    """Answers requests; door.Handler."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        names = (name.strip().lower() for name in tools.settings.hosts.split(","))
        self._hosts = frozenset(name for name in names if name)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer, whatever happens."""
        path = request.rel_url.raw_path
        name = "none"
        try:
            with trace.following({}):
                route, segments = self._matched(request, path)
                name = route.path
                call = Call(request, self._tools, route, segments)
                call.identity = await self._allowed(request, route)
                response = await route.answer(call)
        except Exception as error:  # noqa: BLE001 - translated, or logged as an incident
            response = _refusal(problems.refused_by(error), path)
        if not response.prepared:
            _secure(response)
            if _unread(request):
                response.force_close()
        ANSWERED.labels(name, str(response.status)).inc()
        return response

    def _matched(self, request: web.BaseRequest, path: str) -> tuple[Route, dict[str, str]]:
        if request.version not in VERSIONS:
            raise MalformedRequest(
                "This is neither HTTP/1.1 nor HTTP/1.0.", next_step="Speak HTTP/1.1."
            )
        if len(request.headers) > HEADERS:
            raise HeadersTooLarge(
                f"There are more than {HEADERS} headers.", next_step="Send fewer."
            )
        if len(request.path_qs) > TARGET:
            raise HeadersTooLarge(f"The address is longer than {TARGET >> 10} KiB.")
        check_host(request, self._hosts)
        names = {key.lower() for key, _ in parse_qsl(request.rel_url.raw_query_string)}
        if names & SECRETS_IN_QUERY:
            raise MalformedRequest(
                "Tokens and keys never go into an address: addresses are logged on their way.",
                slug="secret-in-address",
                next_step="Send Authorization: Bearer <token>; revoke a token that was sent so.",
            )
        return match(request.method, path)

    async def _allowed(self, request: web.BaseRequest, route: Route) -> Identity | None:
        if route.roles is None:
            return None
        identity = await self._tools.doorkeeper.identify(request)
        if identity.role not in route.roles:
            roles = ", ".join(sorted(role.value for role in route.roles))
            raise Forbidden(
                f"A token with the role {identity.role} may not do that.",
                next_step=f"Use a token with one of the roles {roles}.",
            )
        return identity


def describe() -> Description:
    """What is served at /openapi.json and /docs."""
    document = openapi.describe(ROUTES)
    return Description(document=msgspec.json.encode(document), page=render(document).encode())


def _refusal(refused: Refused, path: str) -> web.Response:
    if not path.startswith("/v1/"):
        return problems.answer(refused)
    response = refuse(error_of(problems.harmless(refused.problem)))
    response.headers.update(problems.headers_of(refused))
    if isinstance(refused, problems.HttpRefused) and refused.closes:
        response.force_close()
    return response


def _unread(request: web.BaseRequest) -> bool:
    """Whether something of the body was not read: then the connection is of no further use."""
    return request.can_read_body and not request.content.at_eof()


def _secure(response: web.StreamResponse) -> None:
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers["Server"] = "parley"
