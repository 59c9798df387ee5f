"""What every answer of the edge is made with: the bus, the doorkeeper, the hubs, its secrets."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from services.edge.auth import Doorkeeper
from services.edge.hub import Hubs
from services.edge.settings import EdgeSettings
from services.edge.turnstile import Turnstile
from shared.bus import Bus


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Keys that every replica of the edge must have alike, and that outlive a restart."""

    sessions: bytes
    bodies: bytes

    @classmethod
    def from_seed(cls, seed_file: Path | None) -> Secrets:
        """Derived from the one secret the edge is given: its own key on the bus.

        Without one, fresh: sessions then end with this process.
        """
        seed = seed_file.read_bytes().strip() if seed_file else secrets.token_bytes(32)
        return cls(
            sessions=hmac.digest(seed, b"parley.edge.sessions.v1", hashlib.sha256),
            bodies=hmac.digest(seed, b"parley.edge.bodies.v1", hashlib.sha256),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the table of routes says of itself."""

    document: bytes
    """OpenAPI, as JSON."""
    page: bytes
    """The same for people, as HTML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Handed to every answer."""

    settings: EdgeSettings
    bus: Bus
    doorkeeper: Doorkeeper
    hubs: Hubs
    secrets: Secrets
    turnstile: Turnstile
    description: Description
