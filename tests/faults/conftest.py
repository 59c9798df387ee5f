"""A system to be broken: its own home, a scripted provider that speaks slowly enough to be hit."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from local.home import Home
from tests.acceptance.conftest import RunningSystem, client, scripted, settings, warm_up
from tests.launched import erase, launched

__all__ = ["client"]


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    """One system for all faults: each test leaves it whole again, or that is the finding."""
    home = Home(tmp_path_factory.mktemp("faults") / "home")
    with scripted("--rate", "20") as provider, launched(home, **settings(provider)) as system:
        facts = asyncio.run(system.ready())
        running = RunningSystem(system, facts, provider)
        asyncio.run(warm_up(running))
        yield running
    erase(home)
