"""What a journal promises, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.event import UnknownEvent
from contracts.ids import BadToken
from shared.database import Connection, Pool, transaction
from shared.ids import fresh
from shared.journal import Journal, Recorded, WrongVersion, inlined
from tests.chat import CHAT, NOON, OLD_CHAT, Left, Said, SaidOnce, said
from tests.databases import Database
from tests.eventually import eventually

WORDS = ("one", "two", "three")
journal = Journal(CHAT)


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("discussion")


async def append(
    conn: Connection, stream: str, expected: int, *texts: str
) -> list[Recorded[Said | Left]]:
    return await journal.append(
        conn, stream, expected, [said(text) for text in texts], workspace="home"
    )


async def append_alone(pool: Pool, stream: str, expected: int, *texts: str) -> list[int]:
    async with transaction(pool) as conn:
        return [one.position for one in await append(conn, stream, expected, *texts)]


async def texts_after(pool: Pool, position: int) -> list[str]:
    async with pool.acquire() as conn:
        found = await journal.read_all(conn, after=position, limit=1000)
    return [one.event.text for one in found if isinstance(one.event, Said)]


# --- one writer -----------------------------------------------------------------------------


async def test_what_was_appended_is_loaded(pool: Pool) -> None:
    events = [said("hello"), Left(at=NOON, who="ada"), said("")]
    meta = {"correlation": "c1", "by": "bob"}
    async with transaction(pool) as conn:
        recorded = await journal.append(conn, "s1", 0, events, workspace="home", meta=meta)
    async with pool.acquire() as conn:
        assert await journal.load(conn, "s1") == recorded
        assert await journal.load(conn, "s1", after=2) == recorded[2:]
        assert await journal.load(conn, "s2") == []
    assert [one.event for one in recorded] == events
    assert [one.version for one in recorded] == [1, 2, 3]
    assert len({one.id for one in recorded}) == 3
    assert all(one.meta == meta for one in recorded)


async def test_versions_and_positions_of_one_append_follow_its_order(pool: Pool) -> None:
    texts = [str(number) for number in range(500)]
    async with transaction(pool) as conn:
        recorded = await append(conn, "s1", 0, *texts)
    assert [one.version for one in recorded] == list(range(1, 501))
    assert [one.position for one in recorded] == sorted(one.position for one in recorded)
    assert await texts_after(pool, 0) == texts


async def test_nothing_to_append_changes_nothing(pool: Pool) -> None:
    async with transaction(pool) as conn:
        assert await append(conn, "s1", 7) == []
        assert await append(conn, "s1", 0, "first")


async def test_a_stream_that_can_be_no_subject_is_refused(pool: Pool) -> None:
    async with transaction(pool) as conn:
        with pytest.raises(BadToken):
            await append(conn, "s1.>", 0, "one")


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_a_stream_that_is_elsewhere_is_not_written(pool: Pool, expected: int) -> None:
    await append_alone(pool, "s1", 0, "one", "two")
    with pytest.raises(WrongVersion) as caught:
        await append_alone(pool, "s1", expected, "three")
    assert (caught.value.stream, caught.value.expected) == ("s1", expected)
    assert await texts_after(pool, 0) == ["one", "two"]


async def test_a_stream_that_was_never_begun_has_no_version_to_expect(pool: Pool) -> None:
    with pytest.raises(WrongVersion):
        await append_alone(pool, "s1", 1, "one")


async def test_what_else_the_transaction_did_is_undone_with_it(pool: Pool) -> None:
    async def fail() -> None:
        async with transaction(pool) as conn:
            await append(conn, "s1", 0, "one")
            await append(conn, "s2", 1, "two")

    with pytest.raises(WrongVersion):
        await fail()
    assert await texts_after(pool, 0) == []
    async with pool.acquire() as conn:
        for table in ("streams", "events", "texts", "outbox"):
            assert await conn.fetchval(f"SELECT count(*) FROM {table}") == 0


# --- several writers: the interleavings of emmett's readMessagesBatch.int.spec.ts -------------
# Its readers wait for the oldest open transaction of the whole server; ours never wait, since the
# writers queue. So where emmett expects "not visible yet", here the second writer waits.


class Writer:
    """A transaction held open, to be interleaved with others."""

    def __init__(self, pool: Pool, conn: Connection, pid: int, end: AsyncExitStack) -> None:
        self.conn = conn
        self._pool = pool
        self._pid = pid
        self._end = end

    async def append(self, stream: str, expected: int, *texts: str) -> None:
        await append(self.conn, stream, expected, *texts)

    async def must_wait(self, stream: str, expected: int, *texts: str) -> asyncio.Task[None]:
        """Append; it does not come through while the others are open."""
        task = asyncio.create_task(self.append(stream, expected, *texts))

        async def waits() -> bool:
            assert not task.done(), "it did not wait"
            kind = await self._pool.fetchval(
                "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1", self._pid
            )
            return kind == "Lock"

        await eventually(waits)
        return task

    async def commit(self) -> None:
        await self._end.aclose()

    async def roll_back(self) -> None:
        await self._end.__aexit__(_Undo, _Undo(), None)


class Interleaving:
    """Opens writers; those still open at the end are rolled back."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._writers: list[Writer] = []

    async def open(self) -> Writer:
        end = AsyncExitStack()
        conn = await end.enter_async_context(transaction(self._pool))
        pid = await conn.fetchval("SELECT pg_backend_pid()")
        self._writers.append(Writer(self._pool, conn, pid, end))
        return self._writers[-1]

    async def close(self) -> None:
        for writer in self._writers:
            await writer.roll_back()


class _Undo(Exception):
    pass


@pytest.fixture
async def interleaving(pool: Pool) -> AsyncGenerator[Interleaving]:
    made = Interleaving(pool)
    yield made
    await made.close()


async def test_committed_events_are_read_in_order(pool: Pool) -> None:
    for version, text in enumerate(WORDS):
        await append_alone(pool, "s1", version, text)
    assert await texts_after(pool, 0) == list(WORDS)


async def test_a_reader_goes_on_after_its_last_position(pool: Pool) -> None:
    [first] = await append_alone(pool, "s1", 0, "one")
    await append_alone(pool, "s2", 0, "two")
    assert await texts_after(pool, first) == ["two"]


async def test_what_is_not_committed_is_not_read(pool: Pool, interleaving: Interleaving) -> None:
    await append_alone(pool, "s1", 0, "one")
    slow = await interleaving.open()
    await slow.append("s2", 0, "two")
    assert await texts_after(pool, 0) == ["one"]
    await slow.commit()
    assert await texts_after(pool, 0) == ["one", "two"]


async def test_a_later_writer_waits_for_a_slow_one(pool: Pool, interleaving: Interleaving) -> None:
    slow, quick = await interleaving.open(), await interleaving.open()
    await slow.append("s1", 0, "slow")
    waiting = await quick.must_wait("s2", 0, "quick")
    assert await texts_after(pool, 0) == []
    await slow.commit()
    await waiting
    assert await texts_after(pool, 0) == ["slow"]
    await quick.commit()
    assert await texts_after(pool, 0) == ["slow", "quick"]


async def test_an_open_transaction_that_has_not_appended_holds_nobody_up(
    pool: Pool, interleaving: Interleaving
) -> None:
    early = await interleaving.open()
    # It has its transaction id before the others, which misleads cursors over transaction ids.
    await early.conn.execute("INSERT INTO inbox VALUES ('any', 'thing')")
    [position] = await append_alone(pool, "s1", 0, "one")
    assert await texts_after(pool, 0) == ["one"]
    await append_alone(pool, "s2", 0, "two")
    assert await texts_after(pool, position) == ["two"]
    await early.append("s1", 1, "three")
    await early.commit()
    assert await texts_after(pool, position) == ["two", "three"]


async def test_several_slow_writers_queue_and_none_is_skipped(
    pool: Pool, interleaving: Interleaving
) -> None:
    writers = [await interleaving.open() for _ in WORDS]
    await writers[0].append("s0", 0, "one")
    waiting = [await writers[1].must_wait("s1", 0, "two")]
    waiting.append(await writers[2].must_wait("s2", 0, "three"))
    seen = await texts_after(pool, 0)
    await writers[0].commit()
    for task, writer in zip(waiting, writers[1:], strict=True):
        await task
        seen += await texts_after(pool, len(seen))
        await writer.commit()
    assert await texts_after(pool, 0) == list(WORDS)


async def test_a_rollback_leaves_a_gap_that_nobody_fills(
    pool: Pool, interleaving: Interleaving
) -> None:
    lost, next_one = await interleaving.open(), await interleaving.open()
    await lost.append("s1", 0, "lost")
    waiting = await next_one.must_wait("s2", 0, "kept")
    await lost.roll_back()
    await waiting
    await next_one.commit()
    async with pool.acquire() as conn:
        [kept] = await journal.read_all(conn, after=0, limit=10)
    assert kept.position == 2
    [position] = await append_alone(pool, "s1", 0, "again")
    assert position == 3


async def test_a_rollback_among_slow_writers_harms_none_of_the_others(
    pool: Pool, interleaving: Interleaving
) -> None:
    writers = [await interleaving.open() for _ in WORDS]
    await writers[0].append("s0", 0, "one")
    second = await writers[1].must_wait("s1", 0, "two")
    third = await writers[2].must_wait("s2", 0, "three")
    await writers[0].commit()
    await second
    await writers[1].roll_back()
    await third
    await writers[2].commit()
    assert await texts_after(pool, 0) == ["one", "three"]


async def test_a_later_writer_of_the_same_stream_waits_then_fails(
    pool: Pool, interleaving: Interleaving
) -> None:
    await append_alone(pool, "s1", 0, "one")
    first, second = await interleaving.open(), await interleaving.open()
    await first.append("s1", 1, "two")
    waiting = await second.must_wait("s1", 1, "never")
    await first.commit()
    with pytest.raises(WrongVersion):
        await waiting
    assert await texts_after(pool, 0) == ["one", "two"]


async def test_when_the_first_of_a_stream_rolls_back_the_next_takes_its_place(
    pool: Pool, interleaving: Interleaving
) -> None:
    first, second = await interleaving.open(), await interleaving.open()
    await first.append("s1", 0, "lost")
    waiting = await second.must_wait("s1", 0, "kept")
    await first.roll_back()
    await waiting
    await second.commit()
    assert await texts_after(pool, 0) == ["kept"]


async def test_writers_of_several_streams_never_wait_for_each_other(
    pool: Pool, interleaving: Interleaving
) -> None:
    first, second = await interleaving.open(), await interleaving.open()
    await first.append("a", 0, "one")
    waiting = await second.must_wait("b", 0, "never")
    await first.append("b", 0, "two")
    await first.commit()
    with pytest.raises(WrongVersion):
        await waiting
    assert await texts_after(pool, 0) == ["one", "two"]


@pytest.mark.parametrize("begun", [0, 1])
async def test_of_twenty_with_the_same_expectation_one_wins(pool: Pool, begun: int) -> None:
    if begun:
        await append_alone(pool, "s1", 0, "first")
    tries = (append_alone(pool, "s1", begun, f"from {number}") for number in range(20))
    results = await asyncio.gather(*tries, return_exceptions=True)
    losers = [result for result in results if isinstance(result, BaseException)]
    assert [type(loser) for loser in losers] == [WrongVersion] * 19
    async with pool.acquire() as conn:
        loaded = await journal.load(conn, "s1")
        assert len(loaded) == begun + 1
        assert await conn.fetchval("SELECT version FROM streams") == begun + 1


async def test_a_tailing_reader_sees_every_event_of_many_writers_once_and_in_order(
    pool: Pool,
) -> None:
    writers, each = 8, 40

    async def write(number: int) -> None:
        for version in range(each):
            await append_alone(pool, f"s{number}", version, f"{number}/{version}")

    async def tail() -> list[Recorded[Said | Left]]:
        seen: list[Recorded[Said | Left]] = []
        async with pool.acquire() as conn:
            while len(seen) < writers * each:
                after = seen[-1].position if seen else 0
                seen += await journal.read_all(conn, after=after, limit=7)
        return seen

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reading = group.create_task(tail())
        for number in range(writers):
            group.create_task(write(number))
    seen = reading.result()
    assert [one.position for one in seen] == list(range(1, writers * each + 1))
    for number in range(writers):
        of_one = [one.version for one in seen if one.stream == f"s{number}"]
        assert of_one == list(range(1, each + 1))


async def test_two_services_journals_do_not_wait_for_each_other(database: Database) -> None:
    discussion, persona = await database.pool("discussion"), await database.pool("persona")
    async with transaction(discussion) as conn, asyncio.timeout(10):
        await append(conn, "s1", 0, "one")
        await append_alone(persona, "s1", 0, "two")


async def test_an_id_that_was_used_before_is_refused_aloud(pool: Pool) -> None:
    async with transaction(pool) as conn:
        [first] = await append(conn, "s1", 0, "one")
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(
            "SELECT append('s2', 0, '{}', ARRAY[$1::uuid], '{t}', '{s}', '{d}', '{NULL}')", first.id
        )
    assert await texts_after(pool, 0) == ["one"]


# --- words ----------------------------------------------------------------------------------


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    note=st.text(st.characters(exclude_categories=["Cs"])),
)
async def test_any_words_come_back_as_they_were(pool: Pool, text: str, note: str) -> None:
    event = Said(at=NOON, who="ada", text=text, class_=note, notes=[{note: text}])
    stream = fresh()
    async with transaction(pool) as conn:
        await journal.append(conn, stream, 0, [event], workspace="home")
        [loaded] = await journal.load(conn, stream)
    assert loaded.event == event


async def test_a_model_may_say_nul(pool: Pool) -> None:
    await append_alone(pool, "s1", 0, "a\0b")
    assert await texts_after(pool, 0) == ["a\0b"]


async def test_words_are_kept_apart_from_the_structure(pool: Pool) -> None:
    event = Said(at=NOON, who="ada", text="secret", class_="secret", notes=[{"secret": 1}])
    async with transaction(pool) as conn:
        await journal.append(conn, "s1", 0, [event], workspace="home")
    row = await pool.fetchrow("SELECT * FROM events JOIN texts ON event = id")
    assert row is not None
    assert b"secret" not in row["data"]
    assert row["words_sha256"] == hashlib.sha256(row["salt"].bytes + row["words"]).digest()
    assert CHAT.decode(inlined(row["data"], row["words"])) == event


async def test_forgotten_words_leave_their_structure(pool: Pool) -> None:
    await append_alone(pool, "s1", 0, "one", "two")
    await append_alone(pool, "s2", 0, "kept")
    async with transaction(pool) as conn:
        assert await journal.forget_words(conn, "s1") == 2
        assert await journal.forget_words(conn, "s1") == 0
        forgotten = await journal.load(conn, "s1")
        [kept] = await journal.load(conn, "s2")
    assert [one.event for one in forgotten] == [said(""), said("")]
    assert kept.event == said("kept")
    assert await pool.fetchval("SELECT count(words_sha256) FROM events") == 3


# --- time -----------------------------------------------------------------------------------


async def test_old_events_are_loaded_in_todays_form(pool: Pool) -> None:
    old = SaidOnce(at=NOON, speaker="ada", body="long ago")
    async with transaction(pool) as conn:
        await Journal(OLD_CHAT).append(conn, "s1", 0, [old], workspace="home")
        assert [one.event for one in await journal.load(conn, "s1")] == [said("long ago")]
        await journal.forget_words(conn, "s1")
        assert [one.event for one in await journal.load(conn, "s1")] == [said("")]


async def test_an_event_of_a_newer_parley_is_not_passed_over(pool: Pool) -> None:
    await append_alone(pool, "s1", 0, "one")
    await pool.execute("""UPDATE events SET data = '{"type": "chat.said.v9"}'""")
    async with pool.acquire() as conn:
        with pytest.raises(UnknownEvent):
            await journal.load(conn, "s1")
