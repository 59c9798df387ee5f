"""The same servers out of containers: PARLEY_TEST_CONTAINERS=1, and a Docker engine."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy


@contextmanager
def postgres() -> Generator[str]:
    """PostgreSQL 17; yields the administrator's address."""
    password = secrets.token_urlsafe(12)
    container = (
        DockerContainer("postgres:17")
        .with_env("POSTGRES_PASSWORD", password)
        .with_exposed_ports(5432)
        # The image starts a server of its own first, to set itself up.
        .waiting_for(LogMessageWaitStrategy("ready to accept connections", times=2))
    )
    with container:
        yield f"postgresql://postgres:{password}@{_address(container, 5432)}/postgres"


@contextmanager
def nats(config: str) -> Generator[str]:
    """NATS 2; it must be configured to listen on 0.0.0.0:4222. Yields its address."""
    container = (
        DockerContainer("nats:2")
        .with_copy_into_container(config.encode(), "/parley.conf")
        .with_command(["-c", "/parley.conf"])
        .with_exposed_ports(4222)
        .waiting_for(LogMessageWaitStrategy("Server is ready"))
    )
    with container:
        yield f"nats://{_address(container, 4222)}"


def _address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
