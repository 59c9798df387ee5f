"""A service that is told to stop is gone in one span of time, however many of its parts hang."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from shared import service as living
from shared.service import Service
from shared.settings import ServiceSettings


async def test_all_farewells_together_have_one_span_of_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(living, "DRAIN", timedelta(seconds=1))
    monkeypatch.setattr(living, "AT_LEAST", timedelta(milliseconds=10), raising=False)
    asked: list[int] = []

    async def wire(service: Service[ServiceSettings]) -> None:
        for number in range(30):

            async def hangs(number: int = number) -> None:
                asked.append(number)
                await asyncio.Event().wait()

            service.on_stop(hangs)
        service.stop()

    # Captured: to draw thirty tracebacks would take longer than what is looked at.
    with capture_logs() as said:
        async with asyncio.timeout(10):
            assert await Service("tea", ServiceSettings()).run(wire) == 0

    assert sum(line["event"] == "did not stop cleanly" for line in said) == 30
    assert asked == list(reversed(range(30))), "each was asked, the last registered first"
