"""A system to be broken, beside the one that others share."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.systems import RunningSystem, started


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningSystem]:
    """Each test leaves it whole again, or that is the finding. It speaks slowly, to be hit."""
    with started(tmp_path_factory.mktemp("faults"), rate=20) as running:
        yield running
