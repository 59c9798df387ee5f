"""All attempts of this process: taken once, looked after while they run, ended when we leave."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import structlog

from contracts.attempts import RunAttempt, RunProbe
from contracts.endpoints import row_of
from contracts.failures import Conflict, Invalid, Unavailable
from contracts.ids import BadToken, token
from contracts.providers import PROVIDERS, Provider
from services.provider_adapter.attempt import Attempt, Surroundings
from services.provider_adapter.dialects import SPEECHES
from services.provider_adapter.patience import ORDINARY, THINKING, Patience

REMEMBERED: Final = 100_000
"""Ids of attempts that were taken and may not be taken again. Discussion never sends one twice;
this guards against everything in between."""

log = structlog.stdlib.get_logger("provider_adapter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How much at once, how patiently, and how long a farewell may be."""

    at_once: int = 512
    ordinary: Patience = ORDINARY
    thinking: Patience = THINKING
    look_every: timedelta = timedelta(milliseconds=500)
    farewell: timedelta = timedelta(seconds=2)
    """For attempts to finish by themselves when we leave; then they are cut."""

    def patience(self, row: Provider, *, thinks: bool) -> Patience:
        """With one request."""
        return self.thinking if thinks or row.reads_slowly else self.ordinary


class Running:
    """Takes attempts and keeps them until their outcome is posted."""

    def __init__(
        self,
        around: Surroundings,
        rules: Rules | None = None,
        providers: Mapping[str, Provider] = PROVIDERS,
    ) -> None:
        self._around = around
        self._rules = rules or Rules()
        self._providers = providers
        self._attempts: dict[str, Attempt] = {}
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False

    @property
    def count(self) -> int:
        """Attempts under way."""
        return len(self._attempts)

    def take(self, request: RunAttempt) -> None:
        """Begin this attempt, or refuse it with nothing sent."""
        row = self._checked(request)
        id_ = request.attempt
        if id_ in self._taken:
            raise Conflict(f"Attempt {id_} was taken or cancelled before.")
        if self._leaving:
            raise Unavailable("This adapter is stopping.", retry_after=1.0)
        if self._around.outbox.stuck:
            raise Unavailable("The broker stores no outcomes just now.", retry_after=1.0)
        # What the broker has not taken yet counts too: all of it is kept in memory.
        if self.count + self._around.outbox.waiting >= self._rules.at_once:
            raise Unavailable("Too many attempts at once.", retry_after=1.0)
        self._remember(id_)
        patience = self._rules.patience(row, thinks=request.thinks)
        attempt = Attempt(request, row, SPEECHES[row.dialect], self._around, patience)
        self._attempts[id_] = attempt
        task = attempt.start()
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._attempts.pop(id_, None)

        task.add_done_callback(ended)

    def cancel(self, attempt: str) -> None:
        """End it, if it is ours; should it only be on its way, it is refused when it comes."""
        if (ours := self._attempts.get(attempt)) is not None:
            ours.stop("cancelled", "cancelled")
        else:
            self._remember(attempt)

    def _remember(self, attempt: str) -> None:
        self._taken[attempt] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)

    async def look_after(self) -> None:
        """For as long as the service lives: notice what has become silent, keep no key too long."""
        while True:
            await asyncio.sleep(self._rules.look_every.total_seconds())
            self._around.keys.sweep()
            for attempt in list(self._attempts.values()):
                await attempt.look_after()

    async def broker_is_back(self) -> None:
        """Facts about keys may be missed, live text was: forget the one, repeat the other."""
        self._around.keys.forget_all()
        for attempt in list(self._attempts.values()):
            await attempt.say_again()

    async def leave(self) -> None:
        """Take nothing new; let what runs finish for a moment, then cut it, losing no outcome."""
        self._leaving = True
        if self._tasks:
            log.info("waiting for attempts to finish", attempts=self.count)
            await asyncio.wait(self._tasks, timeout=self._rules.farewell.total_seconds())
        cut = list(self._tasks)
        for attempt in list(self._attempts.values()):
            attempt.stop("shutdown", "the adapter was stopped")
        if cut:
            await asyncio.wait(cut)

    def _checked(self, request: RunAttempt) -> Provider:
        row = row_for(request, self._providers)
        try:
            for name in (request.workspace, request.discussion, request.attempt):
                token(name)
        except BadToken as error:
            raise Invalid(str(error)) from error
        checked_endpoint(request.endpoint)
        return row


def row_for(
    request: RunAttempt | RunProbe, providers: Mapping[str, Provider] = PROVIDERS
) -> Provider:
    """The provider's row: a built-in one, or what the request brings along. Else Invalid."""
    row, custom = providers.get(request.provider), request.custom
    if row is None and custom is not None and custom.name == request.provider:
        return row_of(custom)
    if row is None:
        raise Invalid(f"There is no provider {request.provider!r}.")
    return row


def checked_endpoint(endpoint: str) -> str:
    """An http(s) address without a name and password in it; else Invalid."""
    try:
        parts = urlsplit(endpoint)
        sane = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username
        _ = parts.port
    except ValueError:
        sane = False
    if not sane:
        raise Invalid("The endpoint is no http(s) address.")
    return endpoint
