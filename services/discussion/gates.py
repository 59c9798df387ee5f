"""Gates: what must not be asked until something is mended, and what happens when it is.

A gate is closed by what a provider said, and stays so: no timer opens it, unless the provider has
named the time itself. When it opens everybody is told, and what was parked looks again. One goes
first, since whatever closed a gate has made its key prove itself anew (`aftermath`).
"""

from __future__ import annotations

import msgspec

from contracts.discussion import GateOpened, QuotaRestored
from contracts.failures import FailureClass
from services.discussion.accounts import AccountRef
from services.discussion.gate_names import Quota, gate_name
from services.discussion.sql import SQL
from services.discussion.store import Store, provider_stream
from services.discussion.wakeups import Wakeup, drop
from shared.database import Connection


class Gates:
    """Opens those whose time the provider has named."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def due(self, wakeup: Wakeup) -> None:
        """Handler of `gate` wake-ups."""
        quota = msgspec.json.decode(wakeup.payload, type=Quota)
        ref = AccountRef(wakeup.workspace, quota.provider, quota.endpoint, quota.account)
        async with self._store.transaction() as conn:
            await quota_restored(conn, self._store, ref, cause="the time it had named has come")
            await drop(conn, wakeup)


async def quota_restored(conn: Connection, store: Store, ref: AccountRef, *, cause: str) -> bool:
    """The account may be asked again; False if nothing was in its way."""
    gate = gate_name(FailureClass.BILLING, ref, "", "")
    await conn.execute(SQL["move_gates"], ref.workspace, ref.provider)
    if await conn.execute(SQL["open_gate"], ref.workspace, gate) == "DELETE 0":
        return False
    await conn.execute(SQL["wake_waiting"], f"billing:{ref.provider}@{ref.workspace}", None)
    now = await store.clock(conn)
    for fact in (
        QuotaRestored(
            at=now,
            workspace=ref.workspace,
            provider=ref.provider,
            endpoint=ref.endpoint,
            account=ref.account,
            cause=cause,
        ),
        GateOpened(at=now, workspace=ref.workspace, provider=ref.provider, gate=gate, cause=cause),
    ):
        await store.state_fact(
            conn, ref.workspace, provider_stream(ref.workspace, ref.provider), fact
        )
    return True
