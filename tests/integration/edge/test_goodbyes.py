"""Streams end with the token that opened them, and with the edge."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from contracts.keys import Role
from tests.brokers import OwnBroker
from tests.eventually import eventually
from tests.frontdoor import TOKENS, Edge, Started, heard


async def test_a_withdrawn_token_ends_its_streams_and_is_refused(edge: Edge) -> None:
    await edge.behind.begin()
    mine, others = edge.reader("viewer"), edge.reader("owner")
    leaving, staying = edge.follow(mine), edge.follow(others)
    await eventually(heard(mine, ""))
    await eventually(heard(others, ""))
    del TOKENS["viewer"]
    try:
        await edge.behind.revoke("viewer")
        async with asyncio.timeout(5):
            await leaving
        assert mine.ended is None
        assert await mine.follow(edge.http) == 401
    finally:
        TOKENS["viewer"] = Role.VIEWER
    await edge.behind.finish("")
    await staying
    assert others.ended


async def test_a_token_that_expires_ends_its_streams(edge: Edge) -> None:
    await edge.behind.begin()
    edge.behind.expires_at = datetime.now(UTC) + timedelta(seconds=1)
    reader = edge.reader()
    async with asyncio.timeout(6):
        assert await edge.follow(reader) == 200

    assert reader.ended is None
    assert await reader.follow(edge.http) == 401


async def test_a_token_withdrawn_while_the_bus_was_away_ends_its_streams(
    own_broker: OwnBroker, start: Started
) -> None:
    edge = await start(own_broker.broker)
    await edge.behind.begin()
    mine, others = edge.reader("viewer"), edge.reader("owner")
    leaving, staying = edge.follow(mine), edge.follow(others)
    await eventually(heard(mine, ""))
    await eventually(heard(others, ""))
    del TOKENS["viewer"]
    try:
        await own_broker.stop()
        await own_broker.start()
        await own_broker.broker.ensure()
        async with asyncio.timeout(20):
            await leaving
        assert mine.ended is None
    finally:
        TOKENS["viewer"] = Role.VIEWER
    await edge.behind.finish("")
    await staying
    assert others.ended


async def test_an_edge_that_stops_sends_its_viewers_away_with_a_time_to_come_back(
    edge: Edge,
) -> None:
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(heard(reader, ""))
    edge.service.stop()

    assert await following == 200
    assert reader.ended is None
    assert len([line for line in reader.said if line.startswith("retry: ")]) == 2
