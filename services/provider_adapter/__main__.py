"""Start provider_adapter: the bus, the HTTP client, what it answers, and how it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os

from pydantic import Field

from contracts.subjects import KEY_FACTS
from services.provider_adapter.attempt import Surroundings
from services.provider_adapter.beat import Beat
from services.provider_adapter.inbox import Inbox
from services.provider_adapter.keys import Keyring
from services.provider_adapter.outbox import Outbox
from services.provider_adapter.running import Rules, Running
from services.provider_adapter.ways import Ways
from shared.service import Service, main
from shared.settings import ServiceSettings

NAME = "provider_adapter"

LAST_POST = 4.0
"""Seconds that the last outcomes may take to reach the broker when we leave."""


class Settings(ServiceSettings):
    """What every service is told, and how much at once."""

    max_attempts: int = Field(default=512, ge=1, le=100_000)
    """Attempts at the same time; more are refused and wait at discussion."""


async def wire(service: Service[Settings]) -> None:
    """Connect the rooms."""
    bus = await service.connect_bus()
    ways = Ways.open(os.environ)
    keys = Keyring(bus)
    outbox = Outbox(bus)
    around = Surroundings(
        ways=ways,
        keys=keys,
        outbox=outbox,
        beat=Beat(),
        publish=bus.publish,
        connected=lambda: bus.connected,
    )
    running = Running(around, Rules(at_once=service.settings.max_attempts))
    inbox = Inbox(running, ways, keys)

    async def leave() -> None:
        await running.leave()
        await ways.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_POST):
                await outbox.emptied()

    service.on_stop(leave)
    service.spawn(outbox.run(), "outbox")
    service.spawn(running.look_after(), "look after attempts")
    bus.on_reconnect(running.broker_is_back)
    await bus.subscribe(KEY_FACTS, inbox.key_changed)
    await bus.serve(NAME, inbox.verbs())


if __name__ == "__main__":
    main(NAME, Settings, wire)
