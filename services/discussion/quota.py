"""An account that cannot pay is looked at now and then, free of charge, until it can again.

Where the provider tells the balance, that is asked for, at once and then every quarter of an hour:
what waits learns how much there is. Elsewhere the list of models is asked for. When it looks well,
one turn goes first; should it be refused for want of money too, only that one has been.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import asyncpg
import msgspec
import structlog
from msgspec.structs import replace

from contracts.attempts import KeyRef
from contracts.discussion_events import GateOpened, QuotaRestored
from contracts.failures import Balance, Failure
from contracts.keys import ReportKey
from contracts.providers import PROVIDERS
from services.discussion.accounts import AccountRef
from services.discussion.looks import EVERY, Look, decode
from services.discussion.probes import Probes
from services.discussion.sql import SQL
from services.discussion.store import Store, provider_stream
from services.discussion.wakeups import Wakeup, drop, postpone, set_wakeup
from shared.database import Connection

FIRST_ALONE = timedelta(minutes=1)
"""The others follow when the turn that went first has its answer, and after this in any case,
unless it was refused."""


class Quota:
    """Handler of `quota` wake-ups."""

    def __init__(self, store: Store, probes: Probes) -> None:
        self._store = store
        self._probes = probes
        self._log = structlog.stdlib.get_logger("quota")

    async def due(self, wakeup: Wakeup) -> None:
        look = decode(wakeup.payload)
        async with self._store.transaction() as conn:
            closed_at: datetime | None = await conn.fetchval(
                SQL["gate_closed_at"], wakeup.workspace, look.gate
            )
            if closed_at is None:
                if look.opened:
                    await self._all_follow(conn, wakeup, look)
                await drop(conn, wakeup)
                return
            found = await conn.fetchrow(
                SQL["key_of_account"], wakeup.workspace, look.provider, look.endpoint, look.account
            )
            if found is None:  # nobody is there to ask with
                await postpone(conn, wakeup, EVERY)
                return
        ref = AccountRef(wakeup.workspace, look.provider, look.endpoint, look.account)
        key = KeyRef(key=found["key"], version=found["version"])
        balance = await self._probes.balance(ref, key)
        can_pay = balance is not None and balance.enough
        row = PROVIDERS.get(look.provider)
        if row is None or not row.balance_in(look.endpoint, os.environ):
            can_pay = (await self._probes.look(ref, key)).failure is None
        async with self._store.transaction() as conn:
            await self._conclude(conn, wakeup, look, closed_at, key, balance, can_pay=can_pay)

    async def _conclude(
        self,
        conn: Connection,
        wakeup: Wakeup,
        look: Look,
        closed_at: datetime,
        key: KeyRef,
        balance: Balance | None,
        *,
        can_pay: bool,
    ) -> None:
        now = await self._store.clock(conn)
        if balance is not None and not balance.enough:
            await self._tell(conn, wakeup, look, key, balance)
            look = replace(look, told=balance)
        look = replace(look, looked_at=now)
        due = now + EVERY
        if can_pay and now >= closed_at + EVERY:
            await self._open(conn, wakeup, look, balance)
            look, due = replace(look, opened=True, told=balance), now + FIRST_ALONE
        payload = msgspec.json.encode(look)
        await set_wakeup(
            conn, "quota", wakeup.subject, workspace=wakeup.workspace, due=due, payload=payload
        )

    async def _tell(
        self, conn: Connection, wakeup: Wakeup, look: Look, key: KeyRef, balance: Balance
    ) -> None:
        """Who is parked for it learns how much there is, and so does whoever looks at the key."""
        row = await conn.fetchrow(SQL["closed_gates"], wakeup.workspace, [look.gate])
        if row is None:
            return
        failure = msgspec.json.decode(row["failure"], type=Failure)
        if str(balance) not in failure.detail:
            known = failure.detail.removeprefix(f"{look.told} ")
            failure = replace(failure, detail=f"{balance} {known}")
            payload = msgspec.json.encode(failure)
            await conn.execute(SQL["tell_gate"], wakeup.workspace, look.gate, payload)
            await conn.execute(SQL["wake_waiting"], _waiting(wakeup, look), None)
        if balance != look.told:
            await _report(conn, wakeup, key, balance, await self._store.clock(conn))

    async def _open(
        self, conn: Connection, wakeup: Wakeup, look: Look, balance: Balance | None
    ) -> None:
        workspace, provider = wakeup.workspace, look.provider
        await conn.execute(SQL["move_gates"], workspace, provider)
        await conn.execute(SQL["open_gate"], workspace, look.gate)
        await conn.execute(SQL["wake_waiting"], _waiting(wakeup, look), 1)
        now = await self._store.clock(conn)
        self._log.info("an account can pay again", provider=provider, account=look.account)
        for fact in (
            QuotaRestored(
                at=now,
                workspace=workspace,
                provider=provider,
                endpoint=look.endpoint,
                account=look.account,
                cause="the account can pay again",
                balance=balance,
            ),
            GateOpened(
                at=now,
                workspace=workspace,
                provider=provider,
                gate=look.gate,
                cause="the account can pay again",
            ),
        ):
            await self._store.state_fact(
                conn, workspace, provider_stream(workspace, provider), fact
            )

    async def _all_follow(self, conn: Connection, wakeup: Wakeup, look: Look) -> None:
        await conn.execute(SQL["wake_waiting"], _waiting(wakeup, look), None)
        row: asyncpg.Record | None = await conn.fetchrow(
            SQL["key_of_account"], wakeup.workspace, look.provider, look.endpoint, look.account
        )
        if row is not None and look.told is not None:
            key = KeyRef(key=row["key"], version=row["version"])
            await _report(conn, wakeup, key, look.told, await self._store.clock(conn))


async def _report(
    conn: Connection, wakeup: Wakeup, key: KeyRef, balance: Balance, now: datetime
) -> None:
    """Tell key_vault, durably."""
    report = ReportKey(
        workspace=wakeup.workspace,
        key=key.key,
        version=key.version,
        accepted=None,
        attempt="",
        balance=balance,
    )
    subject, payload = f"balance of {key.key}", msgspec.json.encode(report)
    await set_wakeup(conn, "report", subject, workspace=wakeup.workspace, due=now, payload=payload)


def _waiting(wakeup: Wakeup, look: Look) -> str:
    return f"billing:{look.provider}@{wakeup.workspace}"
