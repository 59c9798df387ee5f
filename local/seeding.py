"""`parley seed`: the built-in personas again, as this version has them."""

from __future__ import annotations

from datetime import timedelta

from contracts.failures import Refused, TimedOut, Unreachable
from contracts.personas import PersonaList, SeedPersonas
from contracts.subjects import command_subject
from local.api import Problem
from local.home import Home
from shared.bus import Bus

_WITHIN = timedelta(seconds=20)


async def seed(home: Home) -> list[str]:
    """Ask the persona service, in the name of the edge, which is the one that may."""
    facts = home.facts()
    if facts is None:
        raise Problem("Parley does not run here.", next_step="Start it first: make run")
    own = home.path / "nats" / "edge.nk"
    bus = await Bus.connect(
        facts.nats, service="edge", seed_file=own if own.exists() else None, within=_WITHIN
    )
    try:
        command = SeedPersonas(workspace="default")
        subject = command_subject("persona", "seed")
        found = await bus.request(subject, command, PersonaList, within=_WITHIN)
    except (Refused, Unreachable, TimedOut) as error:
        raise Problem("The personas were not seeded.", str(error)) from error
    finally:
        await bus.drain()
    return [persona.slug for persona in found.items]
