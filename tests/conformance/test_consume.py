"""Working off a stream: at least once, in order per subject, and no poison stops the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts import subjects
from contracts.failures import Unavailable
from contracts.subjects import ADMIN, OUTCOMES, outcome_subject
from shared import pull
from shared.bus import Bus, Delivery, Message
from shared.pull import read_delivery
from shared.topology import ask, ensure
from tests.conformance.conftest import Join
from tests.eventually import eventually
from tests.nats_server import NatsServer

SOON = timedelta(seconds=5)
STREAM, CONSUMER = "OUTCOMES", "discussion-outcomes"


async def say(bus: Bus, attempt: str, text: str) -> None:
    await bus.publish_durable(
        outcome_subject("w", "d", attempt), text.encode(), id=f"{attempt}-{text}", within=SOON
    )


@asynccontextmanager
async def consuming(bus: Bus, handler: pull.Handler, **more: Any) -> AsyncGenerator[None]:
    task = asyncio.create_task(bus.consume(STREAM, CONSUMER, handler, **more))
    try:
        yield
        assert not task.done() or task.exception() is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def left_in_stream(admin: Bus, stream: str = STREAM) -> int:
    deadline = asyncio.get_running_loop().time() + 5
    answer = await ask(admin.connection, f"STREAM.INFO.{stream}", None, deadline)
    assert answer is not None
    return int(answer["state"]["messages"])


async def test_each_message_is_worked_on_and_then_gone(join: Join) -> None:
    adapter, discussion, admin = (
        await join("provider_adapter"),
        await join("discussion"),
        await join("admin"),
    )
    done: list[str] = []

    async def work(delivery: Delivery) -> None:
        done.append(delivery.id)

    for number in range(200):
        await say(adapter, f"a{number}", "started")
    async with consuming(discussion, work):

        async def all_done() -> bool:
            return len(done) == 200 and await left_in_stream(admin) == 0

        await eventually(all_done)
        await say(adapter, "later", "started")

        async def later_too() -> bool:
            return done[-1] == "later-started"

        await eventually(later_too)
    assert len(set(done)) == 201


async def test_one_subject_is_in_order_while_others_go_on(join: Join) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    done: list[str] = []
    release = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        if delivery.data == b"0" and delivery.subject.endswith(".slow"):
            await release.wait()
        done.append(f"{delivery.subject.rsplit('.', 1)[1]} {delivery.data.decode()}")

    for number in range(3):
        await say(adapter, "slow", str(number))
        await say(adapter, "quick", str(number))
    async with consuming(discussion, work):

        async def quick_done() -> bool:
            return done == ["quick 0", "quick 1", "quick 2"]

        await eventually(quick_done)
        release.set()

        async def slow_done() -> bool:
            return done[3:] == ["slow 0", "slow 1", "slow 2"]

        await eventually(slow_done)


async def test_long_work_is_not_delivered_twice(
    join: Join, broker: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await short_ack_wait(broker, monkeypatch)
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    deliveries: list[int] = []
    release = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        deliveries.append(delivery.delivered)
        if delivery.data == b"long":
            await release.wait()

    await say(adapter, "a", "long")
    await say(adapter, "a", "waits behind it")
    async with consuming(discussion, work):
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def several_ack_waits_later() -> bool:
            return bool(deliveries) and loop.time() - began > 3.5

        await eventually(several_ack_waits_later)
        release.set()

        async def both() -> bool:
            return len(deliveries) == 2

        await eventually(both)
    assert deliveries == [1, 1]


async def test_what_failed_comes_again_until_it_succeeds(join: Join) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    deliveries: list[int] = []

    async def work(delivery: Delivery) -> None:
        deliveries.append(delivery.delivered)
        if len(deliveries) < 3:
            raise RuntimeError("not yet")

    await say(adapter, "a", "x")
    async with consuming(discussion, work):

        async def third_time() -> bool:
            return deliveries == [1, 2, 3]

        await eventually(third_time)


async def test_a_poison_message_is_put_in_quarantine_and_the_rest_goes_on(
    join: Join, broker: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_tries(monkeypatch)
    adapter, discussion, admin = (
        await join("provider_adapter"),
        await join("discussion"),
        await join("admin"),
    )
    done: list[bytes] = []
    seen: list[Message] = []

    async def work(delivery: Delivery) -> None:
        if delivery.data == b"poison":
            raise ValueError("what people said")
        done.append(delivery.data)

    await admin.subscribe("parley.quarantine.>", seen.append)
    await say(adapter, "a", "poison")
    await say(adapter, "b", "good")
    async with consuming(discussion, work):

        async def over() -> bool:
            return done == [b"good"] and await left_in_stream(admin) == 0

        await eventually(over)
    assert await left_in_stream(admin, "QUARANTINE") == 1
    (kept,) = seen
    assert kept.data == b"poison"
    assert kept.headers["Parley-Subject"] == outcome_subject("w", "d", "a")
    assert kept.headers["Parley-Failure"] == "ValueError"
    assert "what people said" not in str(dict(kept.headers))


async def test_a_quarantine_of_ones_own_is_told(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_tries(monkeypatch)
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    told: list[tuple[bytes, BaseException]] = []

    async def work(delivery: Delivery) -> None:
        raise ValueError

    async def quarantine(delivery: Delivery, error: BaseException) -> None:
        told.append((delivery.data, error))

    await say(adapter, "a", "poison")
    async with consuming(discussion, work, quarantine=quarantine):

        async def once() -> bool:
            return len(told) == 1

        await eventually(once)
    assert isinstance(told[0][1], ValueError)


async def test_what_is_not_the_messages_fault_never_leads_to_quarantine(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_tries(monkeypatch)
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    deliveries: list[int] = []

    class DatabaseAway(Exception):
        pass

    async def work(delivery: Delivery) -> None:
        deliveries.append(delivery.delivered)
        if len(deliveries) < 3:
            raise Unavailable
        if len(deliveries) < 5:
            raise DatabaseAway

    async def quarantine(delivery: Delivery, error: BaseException) -> None:
        raise AssertionError

    monkeypatch.setattr(pull, "_LONGEST_DELAY", 0.05)
    await say(adapter, "a", "x")
    async with consuming(discussion, work, quarantine=quarantine, passing=(DatabaseAway,)):

        async def in_the_end() -> bool:
            return deliveries == [1, 2, 3, 4, 5]

        await eventually(in_the_end)


async def test_no_more_is_taken_than_can_be_worked_on(join: Join) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    at_work, most = 0, 0
    done: list[str] = []

    async def work(delivery: Delivery) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.001)
        at_work -= 1
        done.append(delivery.id)

    for number in range(50):
        await say(adapter, f"a{number}", "x")
    async with consuming(discussion, work, batch=4):

        async def all_done() -> bool:
            return len(done) == 50

        await eventually(all_done)
    assert most == 4


async def test_two_readers_share_the_work(join: Join) -> None:
    adapter = await join("provider_adapter")
    done: dict[str, list[str]] = {"one": [], "two": []}

    async def reader(name: str) -> Bus:
        return await join("discussion")

    def work_of(name: str) -> pull.Handler:
        async def work(delivery: Delivery) -> None:
            await asyncio.sleep(0.001)
            done[name].append(delivery.id)

        return work

    one, two = await reader("one"), await reader("two")
    async with (
        consuming(one, work_of("one"), batch=2),
        consuming(two, work_of("two"), batch=2),
    ):
        for number in range(40):
            await say(adapter, f"a{number}", "x")

        async def all_done() -> bool:
            return len(done["one"]) + len(done["two"]) == 40

        await eventually(all_done)
    assert len({*done["one"], *done["two"]}) == 40
    assert done["one"]
    assert done["two"]


async def test_leaving_gives_back_what_was_not_begun(join: Join) -> None:
    adapter, first, second = (
        await join("provider_adapter"),
        await join("discussion"),
        await join("discussion"),
    )
    begun, release = asyncio.Event(), asyncio.Event()
    by_first: list[bytes] = []
    by_second: list[bytes] = []

    async def slow(delivery: Delivery) -> None:
        begun.set()
        await release.wait()
        by_first.append(delivery.data)

    async def quick(delivery: Delivery) -> None:
        by_second.append(delivery.data)

    for number in range(5):
        await say(adapter, "same", str(number))
    working = asyncio.create_task(first.consume(STREAM, CONSUMER, slow))
    await begun.wait()
    leaving = asyncio.create_task(first.drain())
    async with consuming(second, quick):

        async def the_rest() -> bool:
            return sorted(by_second) == [b"1", b"2", b"3", b"4"]

        await eventually(the_rest)
        release.set()
        await leaving
    assert by_first == [b"0"]
    await working


async def test_an_undeclared_consumer_is_a_mistake_of_ours(join: Join) -> None:
    async def work(delivery: Delivery) -> None:
        raise AssertionError

    discussion = await join("discussion")
    with pytest.raises(LookupError):
        await discussion.consume("OUTCOMES", "nobody", work)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.OUTCOMES.c.3.17.19.1700000000123456789.5",
        "$JS.ACK._.ACCOUNT.OUTCOMES.c.3.17.19.1700000000123456789.5.random",
    ],
)
def test_a_delivery_tells_its_place_and_how_often_it_came(reply: str) -> None:
    delivery = read_delivery(Message("s", b"", reply))
    assert (delivery.delivered, delivery.sequence) == (3, 17)
    assert delivery.stored_at.year == 2023


def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries make a poison message, with next to no delay between them."""
    declare(monkeypatch, max_deliver=3)
    monkeypatch.setattr(pull, "_LONGEST_DELAY", 0.05)


async def short_ack_wait(broker: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker delivers again after a second without word."""
    streams = declare(monkeypatch, ack_wait=timedelta(seconds=1))
    await ensure(broker.url, broker.seed(ADMIN), streams=streams)


def declare(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[subjects.Stream, ...]:
    (consumer,) = OUTCOMES.consumers
    changed = replace(OUTCOMES, consumers=(replace(consumer, **changes),))
    streams = (changed,)
    monkeypatch.setattr(pull, "STREAMS", streams)
    return streams
