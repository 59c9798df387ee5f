"""The broker is killed and comes back: nothing hangs, nothing is lost that was promised."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from contracts.failures import TimedOut, Unreachable
from contracts.subjects import chunk_subject, outcome_subject
from shared import nats_client
from shared.bus import Bus, Delivery, NotStored, Verb
from tests.conformance.conftest import Join
from tests.conformance.test_bus import GET, SOON, Answer, Ask, echo
from tests.eventually import eventually
from tests.nats_server import NatsServer

LONG = timedelta(seconds=20)


async def until_lost(*all_of: Bus) -> None:
    async def lost() -> bool:
        return not any(bus.connected for bus in all_of)

    await eventually(lost)


async def test_requests_are_answered_again_after_a_restart(broker: NatsServer, join: Join) -> None:
    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, echo)])
    heard_of: list[str] = []
    edge.on_reconnect(lambda: heard_of.append("back"))
    await broker.kill()
    await until_lost(persona, edge)
    waits = asyncio.create_task(edge.request(GET, Ask("x"), Answer, within=LONG))
    await broker.start()

    async def answered() -> bool:
        try:
            return (await edge.request(GET, Ask("x"), Answer, within=SOON)).text != ""
        except Unreachable:
            return False

    await eventually(answered)
    # Asked while the broker was away: it waits for the broker; the other side may be back later.
    with_or_without = (await asyncio.gather(waits, return_exceptions=True))[0]
    assert isinstance(with_or_without, Answer | Unreachable)
    assert heard_of == ["back"]


async def test_a_request_while_the_broker_is_away_is_proven_not_delivered(
    broker: NatsServer, join: Join
) -> None:
    edge = await join("edge")
    await broker.kill()
    await until_lost(edge)
    with pytest.raises(Unreachable):
        await edge.request(GET, Ask("x"), Answer, within=timedelta(milliseconds=100))


async def test_a_request_under_way_when_the_broker_dies_is_not_known(
    broker: NatsServer, join: Join
) -> None:
    begun = asyncio.Event()

    async def die(asked: Ask) -> Answer:
        begun.set()
        await broker.kill()
        return Answer("never heard")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, die)])
    with pytest.raises(TimedOut):
        await edge.request(GET, Ask("x"), Answer, within=timedelta(seconds=1))
    assert begun.is_set()


async def test_listeners_hear_again(broker: NatsServer, join: Join) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    heard: list[bytes] = []
    await edge.subscribe("parley.chunk.>", lambda message: heard.append(message.data))
    await broker.restart()
    number = 0

    async def hears() -> bool:
        nonlocal number
        number += 1
        await adapter.publish(chunk_subject("w", "d", "a"), str(number).encode())
        return bool(heard)

    await eventually(hears)


async def test_who_begins_to_listen_while_the_broker_is_away_hears_when_it_is_back(
    broker: NatsServer, join: Join
) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    heard: list[bytes] = []
    await broker.kill()
    await until_lost(adapter, edge)
    begins = asyncio.create_task(
        edge.subscribe("parley.chunk.>", lambda message: heard.append(message.data))
    )
    await broker.start()
    await asyncio.wait_for(begins, 5)

    async def hears() -> bool:
        await adapter.publish(chunk_subject("w", "d", "a"), b"x")
        return bool(heard)

    await eventually(hears)
    number = len(heard)
    await adapter.publish(chunk_subject("w", "d", "a"), b"once")

    async def once() -> bool:
        return heard[-1] == b"once"

    await eventually(once)
    assert heard.count(b"once") == 1
    assert number >= 1


async def test_a_listener_that_begins_while_the_broker_dies_does_not_wait_for_ever(
    broker: NatsServer, join: Join
) -> None:
    edge = await join("edge")
    broker.freeze()
    begins = asyncio.create_task(edge.subscribe("parley.chunk.>", lambda _: None))
    await asyncio.wait({begins}, timeout=0.1)
    await broker.restart()
    await asyncio.wait_for(begins, 4)


async def test_what_was_not_acknowledged_fails_by_its_deadline_and_can_be_said_again(
    broker: NatsServer, join: Join
) -> None:
    adapter = await join("provider_adapter")
    subject = outcome_subject("w", "d", "a")

    async def say(number: int, within: timedelta) -> int:
        return await adapter.publish_durable(subject, b"x" * 900, id=str(number), within=within)

    many = [asyncio.create_task(say(n, timedelta(seconds=2))) for n in range(1000)]
    await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    broker.freeze()
    many += [asyncio.create_task(say(n, timedelta(seconds=2))) for n in range(1000, 2000)]
    await asyncio.wait(many[:1000], timeout=0.1)
    await broker.kill()
    results = await asyncio.wait_for(asyncio.gather(*many, return_exceptions=True), 5)

    failed = [number for number, result in enumerate(results) if isinstance(result, NotStored)]
    assert len(failed) >= 1000
    assert all(isinstance(result, int | NotStored) for result in results)
    await broker.start()
    again = await asyncio.gather(*(say(number, LONG) for number in failed))
    stored = {result for result in results if isinstance(result, int)} | set(again)
    assert len(stored) == 2000, "each has exactly one place in the stream"


async def test_a_durable_message_waits_for_the_broker_within_its_deadline(
    broker: NatsServer, join: Join
) -> None:
    adapter = await join("provider_adapter")
    subject = outcome_subject("w", "d", "a")
    await broker.kill()
    await until_lost(adapter)
    with pytest.raises(NotStored):
        await adapter.publish_durable(subject, b"", id="1", within=timedelta(milliseconds=100))
    waiting = asyncio.create_task(adapter.publish_durable(subject, b"", id="1", within=LONG))
    await broker.start()
    assert await waiting == 1


async def test_consuming_goes_on_within_two_seconds(broker: NatsServer, join: Join) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    done: list[str] = []

    async def work(delivery: Delivery) -> None:
        done.append(delivery.id)

    async def say(id: str) -> None:
        await adapter.publish_durable(outcome_subject("w", "d", id), b"", id=id, within=LONG)

    working = asyncio.create_task(discussion.consume("OUTCOMES", "discussion-outcomes", work))
    await say("before")

    async def before() -> bool:
        return done == ["before"]

    await eventually(before)
    await broker.restart()
    loop = asyncio.get_running_loop()
    up = loop.time()
    await say("after")

    async def after() -> bool:
        return "after" in done

    await eventually(after)
    assert loop.time() - up < 2
    await discussion.drain()
    await working


async def test_live_messages_are_kept_for_the_broker_only_up_to_a_limit(
    broker: NatsServer, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_client, "_WHILE_AWAY", 1000)
    adapter, edge = await join("provider_adapter"), await join("edge")
    await broker.kill()
    await until_lost(adapter, edge)
    for _ in range(100):
        await adapter.publish(chunk_subject("w", "d", "a"), b"x" * 100)
    pending = adapter.connection.client.pending_data_size
    assert 0 < pending <= 1000
    await broker.start()

    async def found_again() -> bool:
        return adapter.connected

    await eventually(found_again)


async def test_the_text_in_memory_is_gone_and_its_stream_is_made_again(
    broker: NatsServer, join: Join
) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    subject = chunk_subject("w", "d", "a")
    await adapter.publish(subject, b"before")

    async def stored() -> bool:
        return await discussion.last_chunk(subject) is not None

    await eventually(stored)
    await broker.restart()

    async def made_again() -> bool:
        try:
            return await discussion.last_chunk(subject) is None
        except (Unreachable, TimedOut):
            return False

    await eventually(made_again)
    await adapter.publish(subject, b"after")
    await eventually(stored)


async def test_leaving_while_the_broker_is_away_takes_no_time(
    broker: NatsServer, join: Join
) -> None:
    edge = await join("edge")
    await edge.serve("edge", [])
    await broker.kill()
    await until_lost(edge)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await edge.drain()
    assert loop.time() - began < 2
