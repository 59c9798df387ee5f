"""The HTTP client of this process, with everything off that a client may do by itself.

No retries, no redirects, no cookies, no proxies from the environment, no decompression (a small
gzip can be a big bomb), one connection pool for all attempts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from aiohttp import ClientRequest, ClientResponse
from aiohttp.abc import AbstractResolver
from aiohttp.client_middlewares import ClientHandlerType

from services.provider_adapter.patience import Patience

KEEP_IDLE = 4.0
"""Seconds that a connection is kept for the next request. llama.cpp's server closes its own after
5: a request sent into a connection that is just being closed would be lost, and may not be sent
again."""

BODY_WITHIN = 10.0
"""Seconds for the body of an error."""


class Broken(aiohttp.ClientError):
    """The connection broke while the request was sent or the head of its answer awaited."""


async def _once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from sending again.

    It repeats GET (and every idempotent method) after a connection broke, see `_request` in its
    client.py, `retry_persistent_connection`; it does so for its own exceptions only.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Broken(str(error) or type(error).__name__) from error


@dataclass(slots=True)
class Sent:
    """Whether any byte of a request may have left: set just before the first one does."""

    it: bool = False


async def _going_out(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
) -> None:
    if isinstance(mark := context.trace_request_ctx, Sent):
        mark.it = True


def open_session(
    patience: Patience | None = None, *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """The client; pass a `Sent` as `trace_request_ctx` to learn whether a request went out."""
    patience = patience or Patience()
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_going_out)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_IDLE, resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        middlewares=(_once,),
        trace_configs=[trace],
        # Only connecting is timed here; what follows has finer timers of its own (patience.py).
        timeout=aiohttp.ClientTimeout(total=None, connect=patience.connect.total_seconds()),
        headers={"User-Agent": "parley/0.1", "Accept-Encoding": "identity"},
        read_bufsize=256 * 1024,
    )


def lower_names(response: ClientResponse) -> Mapping[str, str]:
    """Its headers, by their names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


async def beginning(response: ClientResponse, limit: int = 64 * 1024) -> bytes:
    """The first bytes of a body: of an error nobody needs more, and nobody waits longer."""
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while len(body) < limit and (read := await response.content.readany()):
                body += read
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # what came is what there is to know
    return body[:limit]
