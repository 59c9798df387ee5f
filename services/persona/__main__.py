"""Start persona: connect, have the built-in personas ready, answer until told to stop."""

from __future__ import annotations

from contracts.personas import SeedPersonas
from services.persona.inbox import Inbox
from services.persona.store import SCHEMAS, Store
from shared.database import AWAY, migrate
from shared.relay import Relay
from shared.service import Service, main
from shared.settings import ServiceSettings

WORKSPACE = "default"
"""The workspace that every installation begins with."""


async def wire(service: Service[ServiceSettings]) -> None:
    pool = await service.connect_database()
    await migrate(pool, service.name, SCHEMAS)
    bus = await service.connect_bus()
    relay = Relay(service.settings.database_url, bus, service.name)
    service.spawn(relay.run(), "relay")
    inbox = Inbox(Store(pool, relay.wake))
    await inbox.seed(SeedPersonas(workspace=WORKSPACE))
    await bus.serve(service.name, inbox.verbs(), passing=AWAY)


if __name__ == "__main__":
    main("persona", ServiceSettings, wire)
