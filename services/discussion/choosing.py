"""With which key a request goes out, where several share the work.

As a rule the newest key in use does all of it. If that one was added to a pool, all keys in use
share it: each request goes to the one whose account can take it soonest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from contracts.failures import PARKING
from contracts.providers import Limits
from services.discussion import admission
from services.discussion.accounts import AccountRef
from services.discussion.admission import Account, Admitted, Ask, Denied
from services.discussion.reactions import gate_name
from services.discussion.sql import SQL
from shared.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A key of the pool, and how soon it could be used."""

    key: str
    ready_at: datetime
    running: int = 0
    """Requests of its account that are under way."""
    barred: bool = False
    """Its gate is closed, or it does not have the model."""


def choose(offers: Sequence[Offer]) -> str:
    """The best of them: an open one, the soonest, the least busy, the newest (the first)."""
    return min(offers, key=lambda offer: (offer.barred, offer.ready_at, offer.running)).key


async def best_of_pool(
    conn: Connection, workspace: str, provider: str, model: str, limits: Limits, now: datetime
) -> asyncpg.Record | None:
    """The row of the key that should make the next request; None if none is in use any more."""
    rows = await conn.fetch(SQL["pool_of_keys"], workspace, provider, model)
    if not rows:
        return None
    gates = {row["key"]: _gates(workspace, provider, row, model) for row in rows}
    names = [name for each in gates.values() for name in each]
    closed = {row["gate"] for row in await conn.fetch(SQL["closed_gates"], workspace, names)}
    by_key: Mapping[str, asyncpg.Record] = {row["key"]: row for row in rows}
    return by_key[
        choose([_offer(row, limits, now, barred=bool(closed & gates[row["key"]])) for row in rows])
    ]


def _gates(workspace: str, provider: str, row: asyncpg.Record, model: str) -> set[str]:
    ref = AccountRef(workspace, provider, row["endpoint"], row["account"])
    key = f"{row['key']}:{row['version']}"
    return {gate_name(class_, ref, model, key) for class_ in PARKING}


def _offer(row: asyncpg.Record, limits: Limits, now: datetime, *, barred: bool) -> Offer:
    account = _decode(row["record"]) if row["record"] else Account()
    ask = Ask(attempt="", key=f"{row['key']}:{row['version']}")
    match admission.admit(account, limits, ask, now=now):
        case Admitted(account=would_be):
            running, ready_at = len(would_be.leases) - 1, now
        case Denied(account=would_be, not_before=ready_at):
            running = len(would_be.leases)
        case _:
            running, ready_at = len(account.leases), now
    return Offer(
        key=row["key"],
        ready_at=ready_at,
        running=running,
        barred=barred or not row["has_model"],
    )


_decode = msgspec.json.Decoder(Account).decode
