"""How personas are remembered: load, decide, append, and the row that is read, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from contracts.event import Event
from contracts.personas import PERSONA_EVENTS, PersonaEvent, PersonaView
from services.persona import aggregate, projections
from services.persona.aggregate import Command, persona_id
from services.persona.projections import SQL
from shared import journal
from shared.database import Connection, Pool, transaction
from shared.idempotency import forget, remember, remembered
from shared.journal import Journal, WrongVersion

SCHEMAS = (journal.SCHEMA, Path(__file__).with_name("schema.sql"))
"""For `migrate`, in order."""

REPLIES_KEPT = timedelta(days=7)

_REPLAY_BATCH = 500

T = TypeVar("T", bound=msgspec.Struct)


class Changed(msgspec.Struct, frozen=True):
    """What came of one command: its events, none if it was so already, and the persona."""

    events: Sequence[PersonaEvent]
    persona: PersonaView


class Store:
    """The journal of personas and the table beside it."""

    def __init__(self, pool: Pool, on_commit: Callable[[], None]) -> None:
        self._pool = pool
        self._journal: Journal[Event] = Journal(PERSONA_EVENTS)
        self._on_commit = on_commit

    async def change(self, command: Command) -> Changed:
        """Carry out `command`; if somebody else was faster, look again and decide again."""
        (changed,) = await self.change_all([command])
        return changed

    async def change_all(self, commands: Sequence[Command]) -> list[Changed]:
        """Carry out all of them or, where one is rejected, none."""
        while True:
            try:
                async with transaction(self._pool) as conn:
                    done = [await self._change(conn, command) for command in commands]
                break
            except WrongVersion:
                continue  # the other one has appended, so this ends
        self._on_commit()
        return done

    async def once(
        self,
        commands: Sequence[Command],
        *,
        key: str,
        body_hmac: bytes,
        answer: type[T],
        answered: Callable[[Sequence[Changed]], T],
    ) -> T:
        """As `change_all`, and asked again under the same key it is only answered again."""
        while True:
            try:
                async with transaction(self._pool) as conn:
                    if (reply := await remembered(conn, key, body_hmac)) is not None:
                        return msgspec.json.decode(reply, type=answer)
                    said = answered([await self._change(conn, command) for command in commands])
                    if key:
                        await forget(conn, older_than=REPLIES_KEPT)
                        await remember(conn, key, body_hmac, msgspec.json.encode(said))
                break
            except WrongVersion:
                continue
        self._on_commit()
        return said

    async def _change(self, conn: Connection, command: Command) -> Changed:
        stream = persona_id(command.workspace, command.slug)
        loaded = await self._journal.load(conn, stream)
        known = cast("list[PersonaEvent]", [recorded.event for recorded in loaded])
        now = cast("datetime", await conn.fetchval(SQL["clock"]))
        events = aggregate.decide(command, aggregate.replay(known), now=now)
        if events:
            await self._journal.append(
                conn, stream, len(loaded), events, workspace=command.workspace
            )
            for event in events:
                await projections.project(conn, event)
        persona = await projections.find(conn, command.workspace, command.slug)
        assert persona is not None, "whoever is not there is rejected"
        return Changed(events, persona)

    async def find(self, workspace: str, slug: str) -> PersonaView | None:
        """Also if it was put away."""
        async with self._pool.acquire() as conn:
            return await projections.find(conn, workspace, slug)

    async def everyone(self, workspace: str, *, archived: bool = False) -> Sequence[PersonaView]:
        async with self._pool.acquire() as conn:
            return await projections.everyone(conn, workspace, archived=archived)

    async def rebuild(self) -> None:
        """Make the table again from the journal alone."""
        async with transaction(self._pool) as conn:
            await conn.execute(SQL["forget_personas"])
            position = 0
            while page := await self._journal.read_all(conn, after=position, limit=_REPLAY_BATCH):
                for recorded in page:
                    await projections.project(conn, cast("PersonaEvent", recorded.event))
                position = page[-1].position
