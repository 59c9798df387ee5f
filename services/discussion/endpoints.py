"""Every provider that a workspace has: the built-in ones, the operator's, and those an admin added.

The last kind follows key_vault's facts. Whatever waits for such a provider looks again when its
endpoint changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from contracts.endpoints import CustomProvider, Directory, configured, directory
from contracts.keys import EndpointChanged
from contracts.providers import PROVIDERS, Provider
from services.discussion.sql import SQL
from shared.database import Connection

_decode = msgspec.json.Decoder(CustomProvider).decode


async def known(conn: Connection, workspace: str) -> Directory:
    """Every provider that the workspace has."""
    rows = await conn.fetch(SQL["endpoints"], workspace)
    return directory([_decode(cast("bytes", row["row"])) for row in rows])


async def custom(conn: Connection, workspace: str, name: str) -> CustomProvider | None:
    """The endpoint of this name; None also for a built-in provider, which needs none."""
    if name in PROVIDERS:
        return None
    if (operators := configured().get(name)) is not None:
        return operators
    return (await known(conn, workspace)).custom.get(name)


async def provider(conn: Connection, workspace: str, name: str) -> Provider | None:
    """The row of this name, or None."""
    return PROVIDERS.get(name) or (await known(conn, workspace)).rows.get(name)


async def note(conn: Connection, fact: EndpointChanged) -> bool:
    """Keep what the fact tells; False if something newer is known."""
    row = None if fact.removed else msgspec.json.encode(_row(fact))
    return await save(conn, fact.workspace, fact.provider, row, fact.at)


async def save(
    conn: Connection, workspace: str, name: str, row: bytes | None, told_at: datetime
) -> bool:
    """False if something newer is known."""
    told = await conn.execute(SQL["save_endpoint"], workspace, name, row, told_at)
    return told != "INSERT 0 0"


def _row(fact: EndpointChanged) -> CustomProvider:
    """The first form of the fact told the address only."""
    return fact.row or CustomProvider(name=fact.provider, base_url=fact.endpoint)
