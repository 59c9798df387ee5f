"""What others may ask about personas: each one as it is now, one row a persona."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import asyncpg

from contracts.personas import (
    PersonaArchived,
    PersonaCreated,
    PersonaEvent,
    PersonaRevised,
    PersonaView,
)
from shared.database import Connection, queries

SQL = queries(Path(__file__).with_name("queries.sql"))


async def project(conn: Connection, event: PersonaEvent) -> None:
    """Bring the row of the event's persona up to it, in the transaction that appends it."""
    match event:
        case PersonaCreated():
            await conn.execute(
                SQL["create_persona"],
                event.workspace,
                event.slug,
                event.persona,
                event.name,
                event.title,
                event.prompt.encode(),
                event.model,
                event.color,
                event.built_in,
                event.at,
            )
        case PersonaRevised():
            await conn.execute(
                SQL["revise_persona"],
                event.workspace,
                event.slug,
                event.version,
                event.name,
                event.title,
                event.prompt.encode(),
                event.model,
                event.color,
                event.at,
            )
        case PersonaArchived():
            await conn.execute(SQL["archive_persona"], event.workspace, event.slug, event.at)
        case _:
            assert_never(event)


async def find(conn: Connection, workspace: str, slug: str) -> PersonaView | None:
    """As it is now, also if it was put away."""
    row = await conn.fetchrow(SQL["find_persona"], workspace, slug)
    return None if row is None else _view(row)


async def everyone(
    conn: Connection, workspace: str, *, archived: bool = False
) -> Sequence[PersonaView]:
    """All personas of a workspace, by slug: those that are there, or those put away."""
    rows = await conn.fetch(SQL["list_personas"], workspace, archived)
    return [_view(row) for row in rows]


def _view(row: asyncpg.Record) -> PersonaView:
    return PersonaView(
        id=row["persona"],
        slug=row["slug"],
        name=row["name"],
        title=row["title"],
        version=row["version"],
        prompt=bytes(row["prompt"]).decode(),
        model=row["model"],
        built_in=row["built_in"],
        color=row["color"],
        updated_at=row["updated_at"],
        archived=row["archived"],
    )
