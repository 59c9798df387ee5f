"""Who waits for an account stands in line: the first asks again, the others stay where they are.

Without a line a thousand waiting turns would all ask at the same moment, and all but one in vain.
The first looks when there is something to have; whoever is let in, or leaves, calls the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from contracts.providers import Limits
from services.discussion import admission
from services.discussion.accounts import AccountRef
from services.discussion.admission import Account
from services.discussion.sql import SQL
from shared.database import Connection

REASONS = frozenset({"rate", "tokens", "concurrency", "throttled", "breaker", "line"})
"""For these one stands in line. What is short for one turn alone (a purse of retries, a day's
tokens that a smaller one may still fit into) holds up nobody else."""

LONG = 1_000
"""Further back nobody counts."""

STEP = timedelta(seconds=1)
FURTHEST = timedelta(minutes=5)
"""The latest time at which somebody in line looks without being called: a call can be lost."""


def rank_of(reason: str, requests: int) -> int:
    """Where somebody goes to see whether a provider is back, those go first who asked least."""
    return requests if reason in {"breaker", "throttled"} else 0


async def ahead(conn: Connection, ref: AccountRef, turn: str, rank: int) -> int:
    """How many stand before `turn`."""
    parked = [f"{kind}:{ref.provider}@{ref.workspace}" for kind in ("key", "billing", "model")]
    stand = await conn.fetchval(SQL["ahead_in_line"], ref.places, rank, turn, LONG, parked)
    return cast("int", stand)


async def join(
    conn: Connection, ref: AccountRef, turn: str, *, rank: int, not_before: datetime, places: int
) -> None:
    """Stand in line, `places` from its front. The oldest turn stands first, whenever it came."""
    due = not_before + min(places * STEP, FURTHEST)
    await conn.execute(SQL["stand_in_line"], turn, due, ref.places, rank)


async def call_next(
    conn: Connection,
    ref: AccountRef,
    account: Account,
    limits: Limits,
    now: datetime,
    *,
    after: str = "",
) -> None:
    """Let the first in line look as soon as there may be something for it.

    `after`: a turn that is on its way out of the line, and no longer counts.
    """
    places = admission.in_force(account, limits).concurrency
    if places is not None and len(account.leases) >= places:
        return  # whoever leaves calls
    at = admission.earliest(account, limits, now)
    await conn.execute(SQL["wake_next"], ref.lines, at, after)


async def call_all(conn: Connection, ref: AccountRef) -> None:
    """Something has changed for all of them."""
    for name in ref.lines:
        await conn.execute(SQL["wake_waiting"], name, None)
