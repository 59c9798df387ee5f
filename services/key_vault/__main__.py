"""Start the vault."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from services.key_vault import handover, tokens
from services.key_vault.housekeeping import keep_house
from services.key_vault.identity import open_identity
from services.key_vault.inbox import Inbox
from services.key_vault.sql import SCHEMA
from services.key_vault.store import Store
from services.key_vault.verification import Verification
from shared.database import AWAY, migrate
from shared.relay import Relay
from shared.service import Service, main
from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    kek_file: Path
    """Holds the key that encrypts all others; made at the first start. Back it up."""
    owner_token_file: Path
    """Where the first owner finds the access token."""
    handover: Literal["", "stdin"] = ""
    """Whether the launcher writes keys of the environment to our standard input."""


async def wire(service: Service[Settings]) -> None:
    settings = service.settings
    pool = await service.connect_database()
    await migrate(pool, service.name, SCHEMA)
    identity = await open_identity(pool, settings.kek_file)
    bus = await service.connect_bus()
    relay = Relay(settings.database_url, bus, service.name)
    store = Store(pool, identity, relay.wake)
    verification = Verification(store, bus)
    await tokens.ensure_owner(store, settings.owner_token_file)
    await bus.serve(service.name, Inbox(store, verification).verbs(), passing=AWAY)
    service.spawn(relay.run(), "relay")
    service.spawn(verification.run(), "verification")
    service.spawn(keep_house(pool), "housekeeping")
    if settings.handover == "stdin":
        service.spawn(take_over(store, verification), "handover")


async def take_over(store: Store, verification: Verification) -> None:
    if await handover.take_over(store, await handover.read_line(), os.environ):
        verification.wake()


if __name__ == "__main__":
    main("key_vault", Settings, wire)
