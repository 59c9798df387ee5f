"""Telling the adapters that nobody waits for an answer any more: it need not be made, or paid for.

By a wake-up, set in the transaction that gives the attempt up: so it is told whoever dies.
"""

from __future__ import annotations

import msgspec

from contracts.attempts import CancelAttempt
from contracts.subjects import command_subject
from services.discussion.store import Store
from services.discussion.wakeups import Wakeup, drop
from shared.bus import Bus


class Stopping:
    """The wake-up `stop`, whose subject is an attempt."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def due(self, wakeup: Wakeup) -> None:
        """Every replica hears it; the one that is at it stops."""
        command = CancelAttempt(
            workspace=wakeup.workspace, discussion=wakeup.discussion, attempt=wakeup.subject
        )
        subject = command_subject("provider_adapter", "cancel")
        await self._bus.publish(subject, msgspec.json.encode(command))
        async with self._store.transaction() as conn:
            await drop(conn, wakeup)
