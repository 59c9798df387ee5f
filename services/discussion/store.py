"""How a discussion is remembered: load it, decide, note what follows in the tables, append.

The append comes last in every transaction: all appends of the service queue behind its lock.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

import asyncpg

from contracts.discussion_events import DISCUSSION_EVENTS, DiscussionEvent, DiscussionOpened
from contracts.event import Event
from contracts.failures import Gone, NotFound
from contracts.ids import is_id
from services.discussion import aggregate, ledger
from services.discussion.aggregate import Command, Discussion
from services.discussion.reactions import Reactions
from services.discussion.sql import SQL
from shared import journal
from shared.database import Connection, Pool, transaction
from shared.ids import fresh
from shared.journal import Journal, Recorded
from shared.relay import Relay

SCHEMAS = (
    journal.SCHEMA,
    Path(__file__).with_name("schema.sql"),
    Path(__file__).with_name("keys_in_order.sql"),
    Path(__file__).with_name("endpoints.sql"),
    Path(__file__).with_name("waiting.sql"),
    Path(__file__).with_name("pooling.sql"),
    Path(__file__).with_name("oldest_first.sql"),
    Path(__file__).with_name("money.sql"),
    Path(__file__).with_name("keeping.sql"),
    Path(__file__).with_name("workflows") / "workflows.sql",
)
"""For `migrate`, in order."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A discussion as of one version."""

    id: str
    events: list[Recorded[Event]]
    state: Discussion

    @property
    def version(self) -> int:
        return self.events[-1].version if self.events else 0

    @property
    def facts(self) -> list[DiscussionEvent]:
        return [cast("DiscussionEvent", recorded.event) for recorded in self.events]

    @property
    def opened(self) -> DiscussionOpened | None:
        first = self.events[0].event if self.events else None
        return first if isinstance(first, DiscussionOpened) else None


class Store:
    """The journal of discussions and the tables beside it."""

    def __init__(self, pool: Pool, relay: Relay) -> None:
        self._pool = pool
        self._journal: Journal[Event] = Journal(DISCUSSION_EVENTS)
        self._after_commit: list[Callable[[], None]] = [relay.wake]

    def on_commit(self, signal: Callable[[], None]) -> None:
        """Call after each transaction: there may be something new to do."""
        self._after_commit.append(signal)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """All or nothing; what was appended in it is published right after the commit."""
        async with transaction(self._pool) as conn:
            yield conn
        for signal in self._after_commit:
            signal()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """One consistent view of the tables, changed by nobody."""
        async with (
            self._pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield conn

    async def clock(self, conn: Connection) -> datetime:
        """The database's time: the only one that decisions know."""
        return cast("datetime", await conn.fetchval(SQL["clock"]))

    async def hold(self, conn: Connection, discussion: str) -> Loaded:
        """Load it to change it: others who want to wait until this transaction ends.

        The journal's version check alone would be right too, but two turns that begin at the same
        time would undo one another. First of all locks: the discussion, then an account.
        """
        await conn.execute(SQL["hold_stream"], discussion)
        return await self.load(conn, discussion)

    async def find(self, conn: Connection, workspace: str, discussion: str) -> asyncpg.Record:
        """Its line in the list; NotFound where the workspace has no such discussion, Gone where it
        was deleted.
        """
        row = None
        if is_id(discussion):
            row = await conn.fetchrow(SQL["find_discussion"], discussion, workspace)
        if row is None:
            raise NotFound(
                "There is no discussion with this id.",
                next_step="GET /api/v1/discussions lists them.",
            )
        if row["state"] == "deleted":
            raise Gone(
                "This discussion was deleted, and with it all that was said in it.",
                slug="discussion-deleted",
                title="This discussion was deleted",
                next_step="GET /api/v1/discussions lists those there are.",
            )
        return row

    async def forget_words(self, conn: Connection, discussion: str) -> None:
        """Delete for good what was said in it; its structure stays."""
        await self._journal.forget_words(conn, discussion)

    async def load(self, conn: Connection, discussion: str, *, after: int = 0) -> Loaded:
        events = await self._journal.load(conn, discussion, after=after)
        known = cast("list[DiscussionEvent]", [recorded.event for recorded in events])
        state = aggregate.replay(known) if after == 0 else aggregate.NotOpened()
        return Loaded(discussion, events, state)

    async def change(
        self, conn: Connection, loaded: Loaded, command: Command, *, by: str = ""
    ) -> list[DiscussionEvent]:
        """Carry out `command`: decide, react, append. WrongVersion: somebody was faster."""
        now = await self.clock(conn)
        events = aggregate.decide(command, loaded.state, now=now, dice=random.random, new_id=fresh)
        if not events:
            return []
        opened = loaded.opened or next(e for e in events if isinstance(e, DiscussionOpened))
        # The provider's stream before the discussion's own: whoever appends holds the journal's
        # lock until the end, and must not wait for a stream then.
        reactions = Reactions(conn, opened, loaded, now)
        for gate in await reactions.note(events):
            stream = provider_stream(gate.workspace, gate.provider)
            await self.state_fact(conn, gate.workspace, stream, gate)
        await self.state_bills(conn, loaded.id, reactions.bills)
        await self._journal.append(
            conn,
            loaded.id,
            loaded.version,
            events,
            workspace=opened.workspace,
            meta={"by": by} if by else None,
        )
        return events

    async def state_bills(
        self, conn: Connection, discussion: str, bills: Sequence[ledger.UsageFact]
    ) -> None:
        """Append what attempts have cost; the discussion is held, so nobody else writes there."""
        if bills:
            stream = ledger.stream_of(discussion)
            version = cast("int", await conn.fetchval(SQL["stream_version"], stream))
            workspace = bills[0].workspace
            await self._journal.append(conn, stream, version, bills, workspace=workspace)

    async def state_fact(self, conn: Connection, workspace: str, stream: str, fact: Event) -> None:
        """Append a fact that is not one discussion's, e.g. that a gate has closed.

        Who states another one of the same stream waits: none of them has to be decided anew.
        """
        await conn.execute(SQL["hold_facts"], stream)
        version = cast("int", await conn.fetchval(SQL["stream_version"], stream))
        await self._journal.append(conn, stream, version, [fact], workspace=workspace)


def provider_stream(workspace: str, provider: str) -> str:
    """Journal stream of what concerns a provider as a whole."""
    return f"{workspace}-{provider}"
