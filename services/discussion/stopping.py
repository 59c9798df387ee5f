"""Telling the adapters that nobody waits for an answer any more."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from contracts.attempts import CancelAttempt
from contracts.subjects import command_subject
from shared.bus import Bus


async def call_off(bus: Bus, attempts: Sequence[asyncpg.Record]) -> None:
    """Every replica hears it; the one that is at it stops."""
    for row in attempts:
        command = CancelAttempt(
            workspace=row["workspace"], discussion=row["discussion"], attempt=row["attempt"]
        )
        await bus.publish(
            command_subject("provider_adapter", "cancel"), msgspec.json.encode(command)
        )
