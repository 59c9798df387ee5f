"""Who is asking: a bearer token, or the session cookie that one was exchanged for.

A token is known here only by its SHA-256; key_vault says whose it is. What it said is believed for
half a minute, less if a TokenRevoked is heard; then open streams of that token end too, as they do
when it expires. What was said while the bus was away is asked for afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from contracts.event import name_of
from contracts.failures import MalformedRequest, TimedOut, Unauthenticated, Unavailable, Unreachable
from contracts.keys import Identity, Introspect, TokenRevoked
from services.edge.asks import ask
from services.edge.session import Sessions
from shared.bus import Bus
from shared.message import Message

BELIEVED = 30.0
"""Seconds for which the vault's word on a token is good."""

REMEMBERED = 10_000

_TOKEN = re.compile(r"[!-~]{1,512}\Z", re.ASCII)
_revoked = msgspec.json.Decoder(TokenRevoked)

REVOCATIONS = f"parley.event.*.key_vault.*.{name_of(TokenRevoked)}"


class Doorkeeper:
    """Knows who may come in."""

    def __init__(
        self, bus: Bus, sessions: Sessions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.sessions = sessions
        self._bus = bus
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._leaving: dict[str, set[Callable[[], None]]] = {}
        """By token: whom to tell when it is no longer good."""
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Hear of tokens that are withdrawn."""
        await self._bus.subscribe(REVOCATIONS, self._heard)
        self._bus.on_reconnect(self._heard_nothing)

    async def identify(self, request: web.BaseRequest) -> Identity:
        """Whose request it is, or Unauthenticated."""
        presented = bearer(request)
        if presented is not None:
            return await self.introspect(hashlib.sha256(presented.encode()).digest())
        return await self.introspect(self.sessions.opened_by(request))

    async def introspect(self, token_hash: bytes) -> Identity:
        """Whose token has this hash."""
        now = self._clock()
        known = self._known.get(token_hash)
        if known is None or known[1] <= now:
            asked = Introspect(token_hash=token_hash)
            identity = await ask(self._bus, "key_vault", "introspect", asked, Identity)
            self._known[token_hash] = known = (identity, now + BELIEVED)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        identity = known[0]
        if identity.expires_at is not None and identity.expires_at <= datetime.now(UTC):
            raise Unauthenticated(
                "This access token has expired.",
                next_step="Ask an owner or admin of the workspace for a new one.",
            )
        return identity

    def on_revocation(self, who: Identity, leave: Callable[[], None]) -> Callable[[], None]:
        """Call `leave` once the token is no longer good; returns how to stop listening."""
        token = who.token
        listeners = self._leaving.setdefault(token, set())
        listeners.add(leave)
        expiring: asyncio.TimerHandle | None = None
        if who.expires_at is not None:
            left = (who.expires_at - datetime.now(UTC)).total_seconds()
            expiring = asyncio.get_running_loop().call_later(max(0.0, left), leave)

        def forget() -> None:
            listeners.discard(leave)
            if not listeners and self._leaving.get(token) is listeners:
                del self._leaving[token]
            if expiring is not None:
                expiring.cancel()

        return forget

    def _heard_nothing(self) -> None:
        """The bus was away: who was sent away meanwhile we do not know, and ask."""
        hashes = {who.token: token_hash for token_hash, (who, _) in self._known.items()}
        self._known.clear()
        if self._looking is not None:
            self._looking.cancel()
        watched = {token: hashes.get(token) for token in self._leaving}
        self._looking = asyncio.create_task(self._look_again(watched), name="look at tokens again")

    async def _look_again(self, watched: dict[str, bytes | None]) -> None:
        tries = 0
        while watched:
            for token, token_hash in list(watched.items()):
                if token_hash is None or not await self._still_good(token_hash):
                    self._send_away(token)
                elif token_hash not in self._known:
                    continue  # nobody could say: again in a moment
                del watched[token]
            tries += 1
            if watched:
                await asyncio.sleep(random.uniform(0.2, min(5.0, 0.5 * 2**tries)))  # noqa: S311

    async def _still_good(self, token_hash: bytes) -> bool:
        try:
            await self.introspect(token_hash)
        except Unauthenticated:
            return False
        except (Unavailable, Unreachable, TimedOut):
            pass
        return True

    def _send_away(self, token: str) -> None:
        for leave in list(self._leaving.get(token, ())):
            leave()

    def _heard(self, message: Message) -> None:
        token = _revoked.decode(message.data).token
        for token_hash in [one for one, (who, _) in self._known.items() if who.token == token]:
            del self._known[token_hash]
        self._send_away(token)


def bearer(request: web.BaseRequest) -> str | None:
    """The token of the Authorization header; None without that header."""
    given = request.headers.getall("Authorization", [])
    if not given:
        return None
    if len(given) > 1:
        raise MalformedRequest("There are two Authorization headers.", next_step="Send one.")
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() != "bearer" or _TOKEN.match(token.strip()) is None:
        raise Unauthenticated("The Authorization header holds no bearer token.")
    return token.strip()
