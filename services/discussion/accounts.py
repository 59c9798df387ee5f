"""The account rows: locked to admit, changed, written back. What they mean is in `admission`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import msgspec

from contracts.endpoints import directory, variable
from contracts.providers import Limits, Provider
from services.discussion import admission, endpoints
from services.discussion.admission import Account
from services.discussion.sql import SQL
from shared.database import Connection


@dataclass(frozen=True, slots=True)
class AccountRef:
    """Whose limits: one account of a provider, at one endpoint."""

    workspace: str
    provider: str
    endpoint: str
    account: str
    pooled: bool = False
    """One of several that share the work: who waits for it takes whichever is free first."""

    @property
    def places(self) -> str:
        """What waits for a free place here is parked under this name."""
        return self.lines[1 if self.pooled else 0]

    @property
    def lines(self) -> list[str]:
        """All lines in which somebody may wait for this account: its own, and that of the pool."""
        pool = f"place:{self.workspace}:{self.provider}"
        return [f"{pool}:{self.endpoint}:{self.account}", pool]


Clock = Callable[[Connection], Awaitable[datetime]]

_decode = msgspec.json.Decoder(Account).decode


async def lock(conn: Connection, ref: AccountRef) -> Account:
    """The record, held until the end of the transaction.

    After the discussion, before anything is appended: in this order no two transactions can wait
    for each other.
    """
    key = (ref.workspace, ref.provider, ref.endpoint, ref.account)
    row = await conn.fetchrow(SQL["lock_account"], *key)
    if row is None:
        await conn.execute(SQL["make_account"], *key, msgspec.json.encode(Account()))
        row = await conn.fetchrow(SQL["lock_account"], *key)
        assert row is not None
    return _decode(cast("bytes", row["record"]))


async def lock_to_admit(
    conn: Connection, ref: AccountRef, clock: Clock
) -> tuple[Account, datetime]:
    """The record, and what time it is now that it is held.

    The places of those who are known to run are kept, however late somebody looks after them.
    """
    account = await lock(conn, ref)
    now = await clock(conn)
    if lapsed := admission.lapsed(account, now):
        for row in await conn.fetch(SQL["running"], lapsed):
            account = admission.renew(account, row["attempt"], now=now)
    return account, now


async def save(conn: Connection, ref: AccountRef, account: Account) -> None:
    await conn.execute(
        SQL["save_account"],
        ref.workspace,
        ref.provider,
        ref.endpoint,
        ref.account,
        msgspec.json.encode(account),
    )


async def limits_of(conn: Connection, ref: AccountRef) -> Limits:
    """What the account may use: as set here, else as declared."""
    record = await conn.fetchval(SQL["limits"], ref.workspace, ref.provider)
    if record is not None:
        return decode_limits(cast("bytes", record))
    row = await endpoints.provider(conn, ref.workspace, ref.provider)
    return declared(row) if row is not None else Limits()  # gone: nothing begins there any more


async def set_limits(
    conn: Connection, workspace: str, provider: str, limits: Limits | None, *, by: str
) -> None:
    """In force from the next request on. None: as declared again."""
    if limits is None:
        await conn.execute(SQL["forget_limits"], workspace, provider)
        return
    record = msgspec.json.encode(limits)
    now = await conn.fetchval(SQL["clock"])
    await conn.execute(SQL["set_limits"], workspace, provider, record, by, now)


decode_limits = msgspec.json.Decoder(Limits).decode


def declared(row: Provider, environ: Mapping[str, str] = os.environ) -> Limits:
    """The operator's limits (`KIMI_LIMITS="rpm=100,concurrency=20"`), else the row's."""
    told = environ.get(variable(row.name, "LIMITS"), "")
    return parse_limits(told) if told.strip() else row.limits


def check_declared(environ: Mapping[str, str] = os.environ) -> None:
    """BadLimits if what the operator declared cannot be read: found at start, not at the first
    question.
    """
    for row in directory(environ=environ).rows.values():
        declared(row, environ)


class BadLimits(ValueError):
    """Limits are written rpm=100,tpm=500000,tpd=1500000,concurrency=20; each may be left out."""


def parse_limits(told: str) -> Limits:
    """`rpm=100,concurrency=20` as Limits; BadLimits says what is wrong."""
    limits: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in told.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in ("rpm", "tpm", "tpd", "concurrency") or not value.isascii():
            raise BadLimits(f"{BadLimits.__doc__} Not understood: {part!r}")
        if not value.isdigit() or int(value) < 1:
            raise BadLimits(f"{name} must be a whole number from 1, not {value!r}")
        limits[name] = int(value)
    return Limits(**limits)
