"""Start the vault."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import structlog

from contracts.endpoints import configured, ports
from services.key_vault import addressbook, handover, tokens
from services.key_vault.housekeeping import keep_house
from services.key_vault.identity import open_identity
from services.key_vault.inbox import Inbox
from services.key_vault.keks import Keks
from services.key_vault.rewrapping import is_prepared, rewrap
from services.key_vault.sql import SCHEMA
from services.key_vault.store import Store
from services.key_vault.verification import Verification
from shared.database import AWAY, migrate
from shared.relay import Relay
from shared.service import Service, main
from shared.settings import ServiceSettings

log = structlog.stdlib.get_logger("key_vault")


class Settings(ServiceSettings):
    kek_file: Path
    """Holds the key that encrypts all others, unless that is handed over; made at the first start.
    Back it up."""
    owner_token_file: Path
    """Where the first owner finds the access token."""
    handover: Literal["", "stdin"] = ""
    """Whether the launcher writes secrets of the environment to our standard input."""


async def wire(service: Service[Settings]) -> None:
    settings = service.settings
    configured()  # whatever is wrong with it is said before anything begins
    ports()
    pool = await service.connect_database()
    await migrate(pool, service.name, SCHEMA)
    line = await handover.read_line() if settings.handover == "stdin" else b""
    keks = Keks(settings.kek_file, handover.keks_of(line))
    identity = await open_identity(pool, keks)
    bus = await service.connect_bus()
    relay = Relay(settings.database_url, bus, service.name)
    store = Store(pool, identity, relay.wake)
    verification = Verification(store, bus)
    await addressbook.settle(store)
    await tokens.ensure_owner(store, settings.owner_token_file)
    await bus.serve(service.name, Inbox(store, verification).verbs(), passing=AWAY)
    service.spawn(relay.run(), "relay")
    service.spawn(verification.run(), "verification")
    service.spawn(keep_house(pool), "housekeeping")
    service.spawn(go_on_rewrapping(store), "rewrapping")
    if settings.handover == "stdin":
        service.spawn(take_over(store, verification, line), "handover")


async def take_over(store: Store, verification: Verification, line: bytes) -> None:
    if await handover.take_over(store, line, os.environ):
        verification.wake()


async def go_on_rewrapping(store: Store) -> None:
    """A change of the KEK that somebody has died of is brought to its end."""
    keks = store.identity.keks
    if is_prepared(keks):
        log.warning(
            "a new KEK is there and not in use",
            next_step="To put it to use: parley vault rewrap",
        )
        return
    try:
        async for _ in rewrap(store.pool, keks, begin=False):
            pass
    except AWAY as error:
        log.warning("the change of the KEK goes on at the next start", error=str(error))


if __name__ == "__main__":
    handover.begin_without_secrets(os.environ)
    main("key_vault", Settings, wire)
