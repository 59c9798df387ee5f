"""How personas are remembered: load, decide, append, and the row that is read, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from contracts.event import Event
from contracts.personas import PERSONA_EVENTS, PersonaEvent, PersonaView
from services.persona import aggregate, projections
from services.persona.aggregate import Command, persona_id
from services.persona.projections import SQL
from shared import journal
from shared.database import Pool, transaction
from shared.journal import Journal, WrongVersion

SCHEMAS = (journal.SCHEMA, Path(__file__).with_name("schema.sql"))
"""For `migrate`, in order."""

_REPLAY_BATCH = 500


class Store:
    """The journal of personas and the table beside it."""

    def __init__(self, pool: Pool, on_commit: Callable[[], None]) -> None:
        self._pool = pool
        self._journal: Journal[Event] = Journal(PERSONA_EVENTS)
        self._on_commit = on_commit

    async def change(self, command: Command) -> Sequence[PersonaEvent]:
        """Carry out `command`; if somebody else was faster, look again and decide again."""
        while True:
            try:
                return await self._change(command)
            except WrongVersion:
                continue  # the other one has appended, so this ends

    async def _change(self, command: Command) -> Sequence[PersonaEvent]:
        stream = persona_id(command.workspace, command.slug)
        async with transaction(self._pool) as conn:
            loaded = await self._journal.load(conn, stream)
            known = cast("list[PersonaEvent]", [recorded.event for recorded in loaded])
            now = cast("datetime", await conn.fetchval(SQL["clock"]))
            events = aggregate.decide(command, aggregate.replay(known), now=now)
            if not events:
                return []
            await self._journal.append(
                conn, stream, len(loaded), events, workspace=command.workspace
            )
            for event in events:
                await projections.project(conn, event)
        self._on_commit()
        return events

    async def find(self, workspace: str, slug: str) -> PersonaView | None:
        async with self._pool.acquire() as conn:
            return await projections.find(conn, workspace, slug)

    async def everyone(self, workspace: str) -> Sequence[PersonaView]:
        async with self._pool.acquire() as conn:
            return await projections.everyone(conn, workspace)

    async def rebuild(self) -> None:
        """Make the table again from the journal alone."""
        async with transaction(self._pool) as conn:
            await conn.execute(SQL["forget_personas"])
            position = 0
            while page := await self._journal.read_all(conn, after=position, limit=_REPLAY_BATCH):
                for recorded in page:
                    await projections.project(conn, cast("PersonaEvent", recorded.event))
                position = page[-1].position
