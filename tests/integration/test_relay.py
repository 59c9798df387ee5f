"""Every journaled event reaches the bus, in the order of its stream, whatever breaks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from shared import relay
from shared.bus import Bus, NeverStored, NotPermitted, NotStored
from shared.database import Pool, transaction
from shared.journal import Journal, Recorded
from shared.relay import Relay
from shared.trace import following
from tests.brokers import Broker, OwnBroker, Stored
from tests.chat import CHAT, NOON, Left, Said, said
from tests.databases import Database
from tests.eventually import eventually

SOON = timedelta(milliseconds=10)
journal = Journal(CHAT)


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("discussion")


async def append(
    pool: Pool, stream: str, expected: int, *texts: str
) -> list[Recorded[Said | Left]]:
    async with transaction(pool) as conn:
        events = [said(text) for text in texts]
        return await journal.append(conn, stream, expected, events, workspace="home")


def relay_for(database: Database, bus: relay.Broker, poll: timedelta = SOON) -> Relay:
    return Relay(
        database.dsn("discussion"), bus, "discussion", poll=poll, within=timedelta(seconds=2)
    )


async def waiting(pool: Pool) -> int:
    return await pool.fetchval("SELECT count(*) FROM outbox")


async def all_published(pool: Pool) -> None:
    async def none_waits() -> bool:
        return await waiting(pool) == 0

    await eventually(none_waits, within=timedelta(seconds=30))


@asynccontextmanager
async def running(*relays: Relay) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(each.run()) for each in relays]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


def text_of(message: Stored) -> str:
    event = CHAT.decode(message.data)
    assert isinstance(event, Said)
    return event.text


def texts_of(stream: str, messages: Sequence[Stored]) -> list[str]:
    return [text_of(message) for message in messages if f".{stream}." in message.subject]


class Scripted:
    """A broker that does as it is told, for what a real one does only on bad days."""

    def __init__(self) -> None:
        self.connected = True
        self.stored: list[str] = []
        self.asked: list[str] = []
        self.refusals: dict[str, NotStored] = {}
        """By subject's last but one token: the stream."""

    async def publish_durable(
        self,
        subject: str,
        payload: bytes,
        *,
        id: str,
        headers: Mapping[str, str] | None = None,
        within: timedelta,
    ) -> int:
        assert headers is not None
        stream = subject.split(".")[-2]
        name = f"{stream}/{headers[relay.VERSION]}"
        self.asked.append(name)
        await asyncio.sleep(0)
        if refusal := self.refusals.get(stream):
            raise refusal
        self.stored.append(name)
        return len(self.stored)


class Watched:
    """A real bus, and whether it failed to store something."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.failed = False

    @property
    def connected(self) -> bool:
        return self._bus.connected

    async def has_failed(self) -> bool:
        return self.failed

    async def publish_durable(
        self,
        subject: str,
        payload: bytes,
        *,
        id: str,
        headers: Mapping[str, str] | None = None,
        within: timedelta,
    ) -> int:
        try:
            return await self._bus.publish_durable(
                subject, payload, id=id, headers=headers, within=within
            )
        except NotStored:
            self.failed = True
            raise


# --- what it publishes ------------------------------------------------------------------------


async def test_an_event_on_the_bus_is_whole_and_says_where_it_comes_from(
    pool: Pool, database: Database, broker: Broker
) -> None:
    event = Said(at=NOON, who="ada", text="a\0b", notes=[{"x": 1}])
    async with transaction(pool) as conn:
        with following({"Correlation-Id": "c1"}):
            [recorded] = await journal.append(
                conn,
                "s1",
                0,
                [event],
                workspace="home",
                meta={"causation": "c0\r\nInjected: 1", "by": "somebody"},
            )
    async with running(relay_for(database, await broker.bus("discussion"))):
        await all_published(pool)
    [message] = await broker.stored("EVENTS")
    assert message.subject == "parley.event.home.discussion.s1.Said"
    assert CHAT.decode(message.data) == event
    assert message.headers == {
        "Nats-Msg-Id": recorded.id,
        "ce-specversion": "1.0",
        "ce-id": recorded.id,
        "ce-type": "chat.said.v2",
        "ce-source": "/parley/discussion",
        "ce-subject": "s1",
        "ce-time": message.headers["ce-time"],
        "ce-correlationid": "c1",
        "ce-causationid": "c0%0D%0AInjected:%201",
        "content-type": "application/json",
        "Parley-Version": "1",
    }
    assert datetime.fromisoformat(message.headers["ce-time"]) == recorded.recorded_at
    assert message.headers["ce-time"].endswith("Z")


async def test_events_keep_the_order_of_their_stream(
    pool: Pool, database: Database, broker: Broker
) -> None:
    one = relay_for(database, await broker.bus("discussion"))

    async def talk(stream: str) -> None:
        for version in range(0, 40, 2):
            await append(pool, stream, version, str(version + 1), str(version + 2))
            one.wake()

    streams = [f"s{number}" for number in range(6)]
    async with running(one):
        await asyncio.gather(*(talk(stream) for stream in streams))
        await all_published(pool)
    stored = await broker.stored("EVENTS")
    assert len(stored) == 240
    for stream in streams:
        versions = [m.headers["Parley-Version"] for m in stored if f".{stream}." in m.subject]
        assert versions == [str(number) for number in range(1, 41)]


async def test_a_wake_up_is_not_a_poll_away(pool: Pool, database: Database, broker: Broker) -> None:
    one = relay_for(database, await broker.bus("discussion"), timedelta(hours=1))
    await append(pool, "s1", 0, "before it led")
    async with running(one):
        await all_published(pool)
        await append(pool, "s1", 1, "woken")
        one.wake()
        await all_published(pool)


async def test_without_a_wake_up_the_poll_finds_it(
    pool: Pool, database: Database, broker: Broker
) -> None:
    one = relay_for(database, await broker.bus("discussion"))
    async with running(one):
        for version in range(3):
            await append(pool, "s1", version, "another process wrote this")
            await all_published(pool)


async def test_what_rolled_back_is_never_published(
    pool: Pool, database: Database, broker: Broker
) -> None:
    async def fail() -> None:
        async with transaction(pool) as conn:
            await journal.append(conn, "s1", 0, [said("lost")], workspace="home")
            raise ZeroDivisionError

    one = relay_for(database, await broker.bus("discussion"))
    async with running(one):
        with pytest.raises(ZeroDivisionError):
            await fail()
        await append(pool, "s1", 0, "kept")
        await all_published(pool)
    assert [text_of(message) for message in await broker.stored("EVENTS")] == ["kept"]


async def test_forgotten_words_are_not_published_any_more(
    pool: Pool, database: Database, broker: Broker
) -> None:
    await append(pool, "s1", 0, "secret")
    async with transaction(pool) as conn:
        await journal.forget_words(conn, "s1")
    async with running(relay_for(database, await broker.bus("discussion"))):
        await all_published(pool)
    assert [text_of(message) for message in await broker.stored("EVENTS")] == [""]


async def test_an_event_too_large_for_the_broker_is_set_aside_and_the_rest_goes_on(
    pool: Pool, database: Database, broker: Broker
) -> None:
    [_, large, _] = await append(pool, "s1", 0, "one", "x" * (9 << 20), "three")
    async with running(relay_for(database, await broker.bus("discussion"))):
        await all_published(pool)
    assert [text_of(message) for message in await broker.stored("EVENTS")] == ["one", "three"]
    row = await pool.fetchrow("SELECT position, reason FROM outbox_quarantine")
    assert row is not None
    assert row["position"] == large.position
    assert "bytes" in row["reason"]


async def test_long_answers_do_not_fill_the_memory(
    pool: Pool, database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_BATCH_BYTES", 1000)
    for version in range(6):
        await append(pool, "s1", version, str(version) * 700)
    async with running(relay_for(database, await broker.bus("discussion"))):
        await all_published(pool)
    stored = [text_of(message)[0] for message in await broker.stored("EVENTS")]
    assert stored == ["0", "1", "2", "3", "4", "5"]


# --- who publishes ----------------------------------------------------------------------------


async def leader(pool: Pool) -> int | None:
    """Process of the session that holds the leader's lock."""
    return await pool.fetchval(
        """
        SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND application_name = 'parley discussion relay'
          AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
    )


async def test_one_leads_and_the_other_takes_over_when_its_connection_is_cut(
    pool: Pool, database: Database, broker: Broker
) -> None:
    relays = [relay_for(database, await broker.bus("discussion")) for _ in range(2)]
    async with running(*relays):
        for version in range(4):
            await append(pool, "s1", version, f"text {version}")
            await all_published(pool)
            pid = await eventually(lambda: leader(pool))
            await pool.execute("SELECT pg_terminate_backend($1)", pid)

            async def another_leads(former: int | None = pid) -> bool:
                return await leader(pool) not in {None, former}

            await eventually(another_leads, within=timedelta(seconds=3))
    stored = await broker.stored("EVENTS")
    assert [text_of(message) for message in stored] == [f"text {number}" for number in range(4)]


async def test_a_relay_that_died_before_it_noted_the_acknowledgement_publishes_nothing_twice(
    pool: Pool, database: Database, broker: Broker
) -> None:
    await append(pool, "s1", 0, "one", "two")
    await append(pool, "s2", 0, "three")
    kept = await pool.fetch("SELECT position FROM outbox")
    bus = await broker.bus("discussion")
    async with running(relay_for(database, bus)):
        await all_published(pool)
    # As its crash between the acknowledgement and the deletion would leave it.
    await pool.executemany("INSERT INTO outbox VALUES ($1)", kept)
    await append(pool, "s1", 2, "four")
    async with running(relay_for(database, bus)):
        await all_published(pool)
    texts = [text_of(message) for message in await broker.stored("EVENTS")]
    assert sorted(texts) == ["four", "one", "three", "two"]
    assert texts.index("one") < texts.index("two") < texts.index("four")


async def test_two_that_both_believe_to_lead_publish_nothing_twice(
    pool: Pool, database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(relay)["_SQL"], "try_to_lead", "SELECT true")
    relays = [relay_for(database, await broker.bus("discussion")) for _ in range(2)]
    async with running(*relays):
        for version in range(50):
            await append(pool, "s1", version, str(version))
            for each in relays:
                each.wake()
        await all_published(pool)
    texts = [text_of(message) for message in await broker.stored("EVENTS")]
    assert texts == [str(number) for number in range(50)]


# --- bad days ---------------------------------------------------------------------------------


async def test_what_was_said_while_the_broker_was_away_arrives_in_order(
    pool: Pool, database: Database, own_broker: OwnBroker
) -> None:
    bus = await own_broker.broker.bus("discussion")
    one = relay_for(database, bus)
    async with running(one):
        await append(pool, "s1", 0, "before")
        await all_published(pool)
        await own_broker.stop()
        for version in range(1, 6):
            await append(pool, "s1", version, str(version))
            await append(pool, f"s{version + 1}", 0, "elsewhere")
            one.wake()
        assert await waiting(pool) == 10
        await own_broker.start()
        await all_published(pool)
    stored = await own_broker.broker.stored("EVENTS")
    assert len(stored) == 11
    assert texts_of("s1", stored) == ["before", "1", "2", "3", "4", "5"]


async def test_a_broker_without_its_stream_is_waited_for(
    pool: Pool, database: Database, broker: Broker
) -> None:
    await broker.delete_stream("EVENTS")
    await append(pool, "s1", 0, "one")
    bus = Watched(await broker.bus("discussion"))
    async with running(relay_for(database, bus)):
        await eventually(bus.has_failed)
        await broker.ensure()
        await all_published(pool)
    assert [text_of(message) for message in await broker.stored("EVENTS")] == ["one"]


async def test_after_a_failure_the_rest_of_its_stream_is_held_back_and_nothing_else(
    pool: Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_HELD_BACK", timedelta(milliseconds=50))
    script = Scripted()
    script.refusals["s1"] = NotStored("no acknowledgement")
    await append(pool, "s1", 0, "one", "two")
    await append(pool, "s2", 0, "three", "four")
    async with running(relay_for(database, script)):

        async def tried_again() -> bool:
            return script.asked.count("s1/1") >= 3

        await eventually(tried_again)
        await append(pool, "s2", 2, "five")
        await append(pool, "s1", 2, "six")

        async def others_arrived() -> bool:
            return script.stored == ["s2/1", "s2/2", "s2/3"]

        await eventually(others_arrived)
        assert "s1/2" not in script.asked
        script.refusals.clear()
        await all_published(pool)
    assert script.stored[3:] == ["s1/1", "s1/2", "s1/3"]


async def test_what_the_broker_does_not_permit_waits_until_it_does(
    pool: Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_HELD_BACK", timedelta(milliseconds=10))
    script = Scripted()
    script.refusals["s1"] = NeverStored("not allowed")
    script.refusals["s1"].__cause__ = NotPermitted("not allowed")
    await append(pool, "s1", 0, "one")
    async with running(relay_for(database, script)):

        async def tried_again() -> bool:
            return len(script.asked) >= 3

        await eventually(tried_again)
        assert await waiting(pool) == 1
        script.refusals.clear()
        await all_published(pool)
    assert await pool.fetchval("SELECT count(*) FROM outbox_quarantine") == 0


async def test_who_has_no_broker_leaves_the_lead_to_another(pool: Pool, database: Database) -> None:
    cut_off, well = Scripted(), Scripted()
    async with running(relay_for(database, cut_off)):
        await append(pool, "s1", 0, "one")
        await all_published(pool)
        async with running(relay_for(database, well)):
            cut_off.connected = False
            await append(pool, "s1", 1, "two")
            await all_published(pool)
    assert (cut_off.stored, well.stored) == (["s1/1"], ["s1/2"])


# --- replay -----------------------------------------------------------------------------------


async def test_a_lost_stream_is_made_again_from_the_journal(
    pool: Pool, database: Database, broker: Broker
) -> None:
    for version in range(3):
        await append(pool, "s1", version, f"text {version}")
        await append(pool, "s2", version, "elsewhere")
    one = relay_for(database, await broker.bus("discussion"))
    async with running(one):
        await all_published(pool)
    before = await broker.stored("EVENTS")
    await broker.delete_stream("EVENTS")
    await broker.ensure()
    assert await one.replay(1) == 6
    after = await broker.stored("EVENTS")
    assert {m.headers["ce-id"] for m in after} == {m.headers["ce-id"] for m in before}
    assert len(after) == 6
    assert texts_of("s1", after) == ["text 0", "text 1", "text 2"]


async def test_a_replay_begins_where_it_is_told_and_repeats_nothing_the_broker_remembers(
    pool: Pool, database: Database, broker: Broker
) -> None:
    recorded = await append(pool, "s1", 0, "one", "two", "three")
    one = relay_for(database, await broker.bus("discussion"))
    assert await one.replay(recorded[1].position) == 2
    assert await one.replay(1) == 3
    texts = [text_of(message) for message in await broker.stored("EVENTS")]
    assert texts == ["two", "three", "one"]


async def test_a_replay_says_where_the_broker_failed(pool: Pool, database: Database) -> None:
    script = Scripted()
    script.refusals["s1"] = NotStored("no acknowledgement")
    await append(pool, "s1", 0, "one")
    with pytest.raises(NotStored):
        await relay_for(database, script).replay(1)
