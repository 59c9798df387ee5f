"""What discussion is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from contracts.providers import PROVIDERS, Provider
from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing of its own: limits and addresses of providers carry the providers' names."""


def keyless_addresses(
    environ: Mapping[str, str] = os.environ, rows: Mapping[str, Provider] = PROVIDERS
) -> dict[str, str]:
    """Providers that take no key and have an address here: name → base URL."""

    def address(row: Provider) -> str:
        region = row.regions[0]
        return environ.get(region.env, "").strip() or region.base_url

    return {
        row.name: url.rstrip("/")
        for row in rows.values()
        if not row.needs_key and (url := address(row))
    }
