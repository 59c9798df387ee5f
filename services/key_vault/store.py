"""How the vault remembers: rings of keys in the journal, secrets beside it, open questions.

Whatever belongs together is written in one transaction: the facts, the rows made from them, the
secret, the answer to a command that may come twice, the question that is to be put next.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from asyncpg import Record

from contracts.event import Event
from contracts.failures import NotFound
from contracts.ids import token
from contracts.keys import (
    KEY_EVENTS,
    KeyActivated,
    KeyAdded,
    KeyDisabled,
    KeyEnabled,
    KeyQuarantined,
    KeyRevoked,
    KeyRotated,
    KeySuspected,
    KeyView,
)
from services.key_vault.aggregate import (
    Add,
    Command,
    KeyRing,
    RingEvent,
    Rotate,
    decide,
    replay,
)
from services.key_vault.at_rest import bound_to_key
from services.key_vault.identity import VaultIdentity
from services.key_vault.projections import key_view, project
from services.key_vault.rewrapping import seal_for_keeps
from services.key_vault.sql import SQL
from shared.database import Connection, Pool, transaction
from shared.idempotency import remember, remembered
from shared.journal import Journal, WrongVersion

UNASKED = timedelta(seconds=30)
"""A new key is verified at once by whoever took it in; if that process dies, after this long."""

CONFIRM = (timedelta(seconds=30), timedelta(seconds=60))
"""A refusal of a key that has worked is confirmed once, not at once: a gateway may hiccup."""

REFUSED = timedelta(hours=1)
"""A refused key is asked about again by itself, at first after this long: it costs nothing, and
what was wrong may have been mended over there."""

TRIAL = timedelta(minutes=1)
"""Longer than any provider is waited for; by then a secret on trial is gone, whoever died."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Once:
    """A command that may come twice: its name, and what tells that it is the same one."""

    name: str
    body: bytes


class Store:
    """The vault's memory. `wake` is called when there is news for the others."""

    def __init__(self, pool: Pool, identity: VaultIdentity, wake: Callable[[], None]) -> None:
        self.pool = pool
        self.journal: Journal[Event] = Journal(KEY_EVENTS)
        self.identity = identity
        self.wake = wake

    # --- Keys -------------------------------------------------------------------------------

    async def key(self, workspace: str, key: str) -> KeyView:
        """The key as people see it; NotFound also if it is another workspace's."""
        row = await self.pool.fetchrow(SQL["find_key"], key, workspace)
        if row is None:
            raise NotFound("There is no such key.")
        return key_view(row)

    async def keys(self, workspace: str, provider: str | None = None) -> list[KeyView]:
        """The newest first."""
        return await self.keys_in(self.pool, workspace, provider)

    async def keys_in(
        self, conn: Connection | Pool, workspace: str, provider: str | None = None
    ) -> list[KeyView]:
        """The same, in the caller's transaction."""
        rows = await conn.fetch(SQL["list_keys"], workspace, provider)
        return [key_view(row) for row in rows]

    async def add(
        self, workspace: str, provider: str, command: Add, secret: str, once: Once | None = None
    ) -> str:
        """Keep a new key; answers its id, or that of the one which the same command made before.

        AlreadyHere: the ring has it already.
        """
        bound = bound_to_key(workspace, command.key, 1, command.endpoint)

        async def work(conn: Connection) -> str:
            if once is not None:
                former = await remembered(conn, once.name, once.body)
                if former is not None:
                    return former.decode()
            sealed = await seal_for_keeps(conn, self.identity.keks, secret, bound)
            await conn.execute(SQL["keep_secret"], command.key, 1, sealed)
            await self.change_in(conn, workspace, provider, command)
            if once is not None:
                await remember(conn, once.name, once.body, command.key.encode())
            return command.key

        return await self.in_transaction(work)

    async def made_before(self, once: Once | None) -> str | None:
        """The key that the same command made; IdempotencyMismatch if it was another one."""
        if once is None:
            return None
        async with transaction(self.pool) as conn:
            former = await remembered(conn, once.name, once.body)
        return former.decode() if former is not None else None

    async def change(self, workspace: str, provider: str, command: Command) -> Sequence[RingEvent]:
        """Load, decide, append; again if somebody else was faster."""
        return await self.in_transaction(
            lambda conn: self.change_in(conn, workspace, provider, command)
        )

    async def change_in(
        self, conn: Connection, workspace: str, provider: str, command: Command
    ) -> Sequence[RingEvent]:
        """The same in the caller's transaction; WrongVersion: somebody else was faster."""
        stream = ring_name(workspace, provider)
        recorded = await self.journal.load(conn, stream)
        facts = [cast(RingEvent, fact.event) for fact in recorded]
        ring = replay(KeyRing(workspace, provider), facts)
        events = decide(command, ring, now=datetime.now(UTC))
        await self.append(conn, stream, len(recorded), events, workspace)
        for event in events:
            await _plan(conn, event)
            await _destroy(conn, event)
        return events

    async def append(
        self,
        conn: Connection,
        stream: str,
        expected: int,
        events: Sequence[Event],
        workspace: str,
    ) -> None:
        """Write the facts and the rows that follow from them."""
        await self.journal.append(conn, stream, expected, events, workspace=workspace)
        await project(conn, events)

    async def in_transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it as a whole; again if somebody else was faster."""
        while True:
            try:
                async with transaction(self.pool) as conn:
                    result = await work(conn)
            except WrongVersion:
                continue
            self.wake()
            return result

    # --- Secrets ----------------------------------------------------------------------------

    async def secret(self, key: KeyView, workspace: str) -> str:
        """The key itself."""
        sealed: bytes | None = await self.pool.fetchval(SQL["find_secret"], key.id, key.version)
        if sealed is None:
            raise NotFound("The key's secret has been destroyed.")
        bound = bound_to_key(workspace, key.id, key.version, key.endpoint)
        return self.identity.keks.decrypt(sealed, bound).decode()

    # --- Secrets on trial -------------------------------------------------------------------

    async def next_version(self, workspace: str, key: str) -> int:
        """A version of the key that nobody else has or gets."""
        async with transaction(self.pool) as conn:
            current = await conn.fetchval(SQL["hold_key"], key, workspace)
            if current is None:
                raise NotFound("There is no such key.")
            version: int = await conn.fetchval(SQL["next_version"], key, current)
            await conn.execute(SQL["reserve_version"], key, version, workspace)
            return version

    @asynccontextmanager
    async def trial(self, workspace: str, key: KeyView, secret: str) -> AsyncGenerator[None]:
        """Meanwhile the secret is lent for probes, as this version of the key at its address."""
        bound = bound_to_key(workspace, key.id, key.version, key.endpoint)
        async with transaction(self.pool) as conn:
            sealed = await seal_for_keeps(conn, self.identity.keks, secret, bound)
            await conn.execute(
                SQL["begin_trial"], key.id, key.version, key.endpoint, workspace, sealed, TRIAL
            )
        try:
            yield
        finally:
            await self.pool.execute(SQL["end_trial"], key.id, key.version, key.endpoint)

    async def rotate(
        self, workspace: str, key: KeyView, command: Rotate, secret: str
    ) -> Sequence[RingEvent]:
        """What became of the new secret of a key; it is kept if its provider has taken it."""
        bound = bound_to_key(workspace, command.key, command.version, key.endpoint)

        async def work(conn: Connection) -> Sequence[RingEvent]:
            events = await self.change_in(conn, workspace, key.provider, command)
            if any(isinstance(event, KeyRotated) for event in events):
                sealed = await seal_for_keeps(conn, self.identity.keks, secret, bound)
                await conn.execute(SQL["keep_secret"], command.key, command.version, sealed)
            return events

        return await self.in_transaction(work)

    # --- Questions still to be put ----------------------------------------------------------

    async def take_check(self, busy: timedelta) -> Record | None:
        """A key about which its provider is to be asked now; ours for as long as `busy`."""
        return await self.pool.fetchrow(SQL["take_check"], busy)

    async def plan_check(self, workspace: str, key: str, after: timedelta) -> None:
        await self.pool.execute(SQL["plan_check"], key, workspace, after)

    async def postpone_check(self, key: str, after: timedelta) -> None:
        await self.pool.execute(SQL["postpone_check"], key, after)

    @asynccontextmanager
    async def asking(self, key: str, busy: timedelta) -> AsyncGenerator[bool]:
        """Meanwhile nobody else asks about the key; False if somebody does already."""
        until: datetime | None = await self.pool.fetchval(SQL["begin_question"], key, busy)
        try:
            yield until is not None
        finally:
            if until is not None:
                await self.pool.execute(SQL["end_question"], key, until)

    async def is_asked_about(self, key: str) -> bool:
        """Somebody is asking its provider about it right now."""
        found: bool = await self.pool.fetchval(SQL["is_asked_about"], key)
        return found

    async def drop_check(self, key: str) -> None:
        await self.pool.execute(SQL["drop_check"], key)


def ring_name(workspace: str, provider: str) -> str:
    """The stream of the ring. No provider's name has an underscore, so it cannot be mistaken."""
    return token(f"{provider}_{workspace}")


async def _plan(conn: Connection, event: RingEvent) -> None:
    """After each fact about a key, whether and when its provider is to be asked."""
    match event:
        case KeyAdded() | KeyEnabled():
            await conn.execute(SQL["plan_check"], event.key, event.workspace, UNASKED)
        case KeySuspected():
            soonest, latest = CONFIRM
            pause = soonest + (latest - soonest) * random.random()  # noqa: S311 - no secret
            await conn.execute(SQL["plan_check"], event.key, event.workspace, pause)
        case KeyQuarantined():
            await conn.execute(SQL["plan_check"], event.key, event.workspace, REFUSED)
        case KeyActivated() | KeyDisabled() | KeyRevoked():
            await conn.execute(SQL["drop_check"], event.key)
        case _:
            pass  # these leave the question as open as it was


async def _destroy(conn: Connection, event: RingEvent) -> None:
    """The secrets that nobody may use any more go in the same transaction as the fact."""
    match event:
        case KeyRotated():
            await conn.execute(SQL["destroy_former_secrets"], event.key, event.version)
        case KeyRevoked():
            await conn.execute(SQL["destroy_secrets"], event.key)
            await conn.execute(SQL["end_trials"], event.key)
        case _:
            pass
