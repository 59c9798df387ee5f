"""Which accounts that cannot pay are to be looked at, and when: one row for each of their gates."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from contracts.failures import Balance
from contracts.providers import PROVIDERS
from services.discussion.accounts import AccountRef
from services.discussion.sql import SQL
from services.discussion.wakeups import set_wakeup
from shared.database import Connection

EVERY = timedelta(minutes=15)
"""As often as a free look may be had; and no gate is opened by one sooner."""


class Look(Struct, frozen=True, kw_only=True):
    """What is to be looked at; the payload of a `quota` wake-up."""

    provider: str
    endpoint: str
    account: str
    gate: str
    model: str
    looked_at: datetime | None = None
    told: Balance | None = None
    """What key_vault was told last."""
    opened: bool = False
    """One turn has gone first."""


decode = msgspec.json.Decoder(Look).decode


async def plan(
    conn: Connection, ref: AccountRef, gate: str, model: str, wait: timedelta | None, now: datetime
) -> None:
    """The gate of this account is closed now: see to it that it is looked at.

    `wait`: so long, the provider has said itself, looking is in vain; a plan's window has an end.
    """
    row = PROVIDERS.get(ref.provider)
    subject = f"{ref.workspace}/{gate}"
    before: bytes | None = await conn.fetchval(SQL["wakeup_payload"], "quota", subject)
    known = decode(before) if before else None
    looked_at = known.looked_at if known else None
    look = Look(
        provider=ref.provider,
        endpoint=ref.endpoint,
        account=ref.account,
        gate=gate,
        model=model,
        looked_at=looked_at,
        told=known.told if known else None,
    )
    tells = row is not None and row.balance_in(ref.endpoint, os.environ)
    due = now if tells and wait is None else now + max(EVERY, wait or EVERY)
    if looked_at is not None:
        due = max(due, looked_at + EVERY)
    payload = msgspec.json.encode(look)
    await set_wakeup(conn, "quota", subject, workspace=ref.workspace, due=due, payload=payload)


async def first_is_through(conn: Connection, ref: AccountRef, gate: str) -> None:
    """The account has paid for something: whoever was to wait for that need not wait longer."""
    await conn.execute(SQL["hasten_look"], f"{ref.workspace}/{gate}")
