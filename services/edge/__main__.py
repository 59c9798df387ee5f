"""Start the edge: connect to the bus, open the door, and be found when both are done."""

from __future__ import annotations

from services.edge import door
from services.edge.app import App, describe
from services.edge.auth import Doorkeeper
from services.edge.hub import Hubs
from services.edge.session import Sessions
from services.edge.settings import EdgeSettings
from services.edge.tools import Secrets, Tools
from services.edge.turnstile import Turnstile
from shared.service import Service, main

DRAIN = 8.0
"""Seconds for answers that were begun, once told to stop."""


async def wire(service: Service[EdgeSettings]) -> None:
    """Everything the edge is made of."""
    settings = service.settings
    bus = await service.connect_bus()
    secrets = Secrets.from_seed(settings.nats_seed_file)
    doorkeeper = Doorkeeper(bus, Sessions(secrets.sessions))
    await doorkeeper.start()
    hubs = Hubs(bus)
    tools = Tools(
        settings=settings,
        bus=bus,
        doorkeeper=doorkeeper,
        hubs=hubs,
        secrets=secrets,
        turnstile=Turnstile(),
        description=describe(),
    )
    server, listening = await door.listen(App(tools), settings.host, settings.port)

    async def leave() -> None:
        """Take no more, send viewers away with a time to come back, finish the rest."""
        listening.close()
        await hubs.stop()
        server.pre_shutdown()
        await server.shutdown(DRAIN)

    service.on_stop(leave)
    await bus.serve(service.name, [])
    addresses = [":".join(map(str, one.getsockname()[:2])) for one in listening.sockets]
    service.log.info("listening", addresses=addresses)


if __name__ == "__main__":
    main("edge", EdgeSettings, wire)
