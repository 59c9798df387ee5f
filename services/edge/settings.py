"""What the edge is told by its environment."""

from __future__ import annotations

from pydantic import Field

from shared.settings import ServiceSettings


class EdgeSettings(ServiceSettings):
    """`PARLEY_HOST`, `PARLEY_PORT`, `PARLEY_HOSTS`."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    hosts: str = ""
    """Names, separated by commas, under which browsers and clients may call us, beside IP
    addresses and names without a dot: `parley.example.org,parley.lan`."""
