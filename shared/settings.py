"""What a service is told by its environment: addresses and file names, never a secret key.

Provider keys are not here on purpose: the launcher hands them to key_vault once, and starts every
service with an environment that has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Environment variables carry the prefix `PARLEY_`, e.g. `PARLEY_NATS_URL`."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", extra="ignore", frozen=True)

    nats_url: str = "nats://127.0.0.1:4222"
    nats_seed_file: Path | None = None
    """File with this service's nkey seed; without it the connection is anonymous."""
    database_url: str = ""
    """DSN of the service's own role; empty for a service that remembers nothing."""
    log_format: Literal["console", "json"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Loopback port for `/metrics` and `/healthz`; 0 opens none."""
    metrics_host: str = "127.0.0.1"
