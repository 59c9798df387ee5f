"""What the bus promises to whoever asks, answers, says or hears something on it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import count

import msgspec
import pytest

from contracts.failures import (
    Conflict,
    Internal,
    Invalid,
    MalformedRequest,
    NotFound,
    TimedOut,
    Unavailable,
    Unreachable,
)
from contracts.ids import BadToken
from contracts.subjects import chunk_subject, command_subject, event_subject, outcome_subject
from shared import answering, trace
from shared.bus import Bus, Message, NeverStored, NotPermitted, NotStored, Verb
from shared.message import write_headers
from tests.conformance.conftest import Join
from tests.eventually import eventually
from tests.nats_server import NatsServer

SOON = timedelta(seconds=5)
A_MOMENT = timedelta(milliseconds=150)

GET = command_subject("persona", "get")
LIST = command_subject("persona", "list")
CANCEL = command_subject("provider_adapter", "cancel")


class Ask(msgspec.Struct, frozen=True):
    name: str


class Answer(msgspec.Struct, frozen=True):
    text: str


async def echo(asked: Ask) -> Answer:
    return Answer(f"you said {asked.name}")


# --- Asking and answering -------------------------------------------------------------------


async def test_a_request_gets_the_answer_of_the_service(join: Join) -> None:
    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, echo)])

    answer = await edge.request(GET, Ask("riley"), Answer, within=SOON)

    assert answer == Answer("you said riley")


async def test_a_refusal_arrives_as_the_exception_it_was(join: Join) -> None:
    async def refuse(asked: Ask) -> Answer:
        raise NotFound(f"no {asked.name}", nearest=["riley"], next_step="look at the list")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, refuse)])

    with pytest.raises(NotFound) as caught:
        await edge.request(GET, Ask("reily"), Answer, within=SOON)

    assert caught.value.problem.detail == "no reily"
    assert caught.value.problem.nearest == ["riley"]
    assert caught.value.problem.next_step == "look at the list"


async def test_a_refusal_carries_the_error_headers_of_the_nats_services_api(
    broker: NatsServer, join: Join
) -> None:
    async def refuse(asked: Ask) -> Answer:
        raise Conflict("line one\r\nNats-Msg-Id: forged")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, refuse)])
    connection = edge.connection
    reply, expected = connection.expect(GET)
    connection.client.put(GET, b'{"name": "x"}', reply)

    message = await asyncio.wait_for(expected, 5)

    assert message.headers == {"Nats-Service-Error": "conflict", "Nats-Service-Error-Code": "409"}


async def test_the_text_of_an_unforeseen_exception_stays_at_home(join: Join) -> None:
    async def break_down(asked: Ask) -> Answer:
        raise RuntimeError("the key is sk-secret")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, break_down)])

    with pytest.raises(Internal) as caught:
        await edge.request(GET, Ask("x"), Answer, within=SOON)

    assert "sk-secret" not in str(caught.value)
    assert "sk-secret" not in msgspec.json.encode(caught.value.problem).decode()
    assert caught.value.problem.incident


async def test_while_what_it_needs_is_away_one_is_asked_to_come_again(join: Join) -> None:
    async def without_database(asked: Ask) -> Answer:
        raise ConnectionRefusedError("/run/5432")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, without_database)], passing=(OSError,))

    with pytest.raises(Unavailable) as caught:
        await edge.request(GET, Ask("riley"), Answer, within=SOON)

    assert caught.value.problem.retry_after
    assert "Idempotency-Key" in caught.value.problem.next_step
    assert "5432" not in str(caught.value)


async def test_an_unreadable_command_is_malformed(join: Join) -> None:
    class Other(msgspec.Struct):
        name: int

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, echo)])

    with pytest.raises(MalformedRequest):
        await edge.request(GET, Other(name=5), Answer, within=SOON)


async def test_nobody_there_is_proof_that_nothing_was_delivered(join: Join) -> None:
    edge = await join("edge")
    with pytest.raises(Unreachable):
        await edge.request(GET, Ask("x"), Answer, within=SOON)


async def test_no_answer_in_time_is_not_known(join: Join) -> None:
    release, asked_times = asyncio.Event(), list[Ask]()

    async def too_late(asked: Ask) -> Answer:
        asked_times.append(asked)
        await release.wait()
        return Answer("too late")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, too_late)])
    with pytest.raises(TimedOut):
        await edge.request(GET, Ask("x"), Answer, within=A_MOMENT)
    release.set()
    await edge.request(GET, Ask("y"), Answer, within=SOON)
    assert [asked.name for asked in asked_times] == ["x", "y"], "it was not asked again by itself"


async def test_what_may_not_be_asked_fails_at_once_and_says_so(join: Join) -> None:
    edge = await join("edge")
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(NotPermitted, match="edge may not publish"):
        await edge.request(
            command_subject("provider_adapter", "attempt"), Ask("x"), Answer, within=SOON
        )
    assert loop.time() - began < SOON.total_seconds() / 2


async def test_a_slow_answer_blocks_no_other(join: Join) -> None:
    release = asyncio.Event()

    async def slow(asked: Ask) -> Answer:
        if asked.name == "slow":
            await release.wait()
        return Answer(asked.name)

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, slow)])
    waiting = asyncio.create_task(edge.request(GET, Ask("slow"), Answer, within=SOON))

    assert (await edge.request(GET, Ask("quick"), Answer, within=SOON)).text == "quick"
    release.set()
    assert (await waiting).text == "slow"


async def test_more_than_can_be_worked_on_is_asked_to_come_again(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "AT_ONCE", 2)
    release = asyncio.Event()

    async def slow(asked: Ask) -> Answer:
        await release.wait()
        return Answer(asked.name)

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, slow)])
    asked = [edge.request(GET, Ask(str(n)), Answer, within=SOON) for n in range(3)]
    tasks = [asyncio.create_task(one) for one in asked]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    with pytest.raises(Unavailable) as caught:
        done.pop().result()
    assert caught.value.problem.retry_after == 1.0
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_request_is_taken_by_one_replica_and_an_announcement_by_all(join: Join) -> None:
    taken: list[tuple[str, str]] = []

    async def replica(name: str) -> None:
        async def work(asked: Ask) -> Answer:
            taken.append((name, asked.name))
            return Answer(name)

        adapter = await join("provider_adapter")
        await adapter.serve(
            "provider_adapter",
            [Verb("probe", Ask, work), Verb("cancel", Ask, work, everyone=True)],
        )

    await replica("one")
    await replica("two")
    discussion = await join("discussion")

    probe = command_subject("provider_adapter", "probe")
    await discussion.request(probe, Ask("probe"), Answer, within=SOON)
    await discussion.request(CANCEL, Ask("cancel"), Answer, within=SOON)

    async def heard_by_all() -> bool:
        return {name for name, asked in taken if asked == "cancel"} == {"one", "two"}

    await eventually(heard_by_all)
    assert len([name for name, asked in taken if asked == "probe"]) == 1


async def test_a_request_that_is_too_large_is_refused_before_it_is_sent(join: Join) -> None:
    edge = await join("edge")
    with pytest.raises(Invalid):
        await edge.request(GET, Ask("x" * (9 << 20)), Answer, within=SOON)


async def test_an_answer_that_is_too_large_says_so(join: Join) -> None:
    async def long(asked: Ask) -> Answer:
        return Answer("x" * (9 << 20))

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, long)])
    with pytest.raises(Internal) as caught:
        await edge.request(GET, Ask("x"), Answer, within=SOON)
    assert caught.value.problem.type == "answer-too-large"


async def test_an_answer_of_another_kind_is_our_fault_not_the_askers(join: Join) -> None:
    class Other(msgspec.Struct):
        other: int

    async def wrong(asked: Ask) -> Other:
        return Other(1)

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, wrong)])
    with pytest.raises(Internal):
        await edge.request(GET, Ask("x"), Answer, within=SOON)


async def test_one_request_can_be_followed_through_the_services(join: Join) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    seen: list[dict[str, str]] = []

    async def notice(asked: Ask) -> Answer:
        seen.append(trace.outgoing())
        return Answer("")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, notice)])
    with trace.following({trace.CORRELATION: "one-thread", trace.TRACEPARENT: parent}):
        await edge.request(GET, Ask("x"), Answer, within=SOON)
    await edge.request(GET, Ask("x"), Answer, within=SOON)

    assert seen[0] == {trace.CORRELATION: "one-thread", trace.TRACEPARENT: parent}
    assert seen[1][trace.CORRELATION] not in {"", "one-thread"}


@pytest.mark.parametrize("forged", ["a\r\nb", "", "x" * 200, "../..", "ünïcode"])
def test_a_malformed_thread_is_not_followed(forged: str) -> None:
    with trace.following({trace.CORRELATION: forged, trace.TRACEPARENT: forged}) as name:
        assert name != forged
        assert trace.TRACEPARENT not in trace.outgoing()


async def test_nats_own_tools_find_every_service_and_its_verbs(join: Join) -> None:
    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, echo), Verb("list", Ask, echo)])
    await edge.serve("edge", [])
    await edge.request(GET, Ask("x"), Answer, within=SOON)
    connection = edge.connection

    async def ask(subject: str) -> dict[str, object]:
        reply, expected = connection.expect(subject)
        connection.client.put(subject, b"", reply)
        return json.loads((await asyncio.wait_for(expected, 5)).data)

    assert (await ask("$SRV.PING.edge"))["name"] == "edge"
    found = await ask("$SRV.PING.persona")
    assert found["type"] == "io.nats.micro.v1.ping_response"
    assert {"id", "name", "version", "metadata"} <= set(found)


# --- Saying and hearing ---------------------------------------------------------------------


async def test_what_is_said_is_heard_in_order(join: Join) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    heard: list[bytes] = []

    def hear(message: Message) -> None:
        heard.append(message.data)

    await edge.subscribe("parley.chunk.>", hear)
    for number in range(1000):
        await adapter.publish(chunk_subject("w", "d", "a"), str(number).encode())

    async def all_heard() -> bool:
        return len(heard) == 1000

    await eventually(all_heard)
    assert heard == [str(number).encode() for number in range(1000)]


async def test_an_async_listener_gets_one_message_at_a_time_in_order(join: Join) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    heard: list[bytes] = []
    at_work = count()

    async def hear(message: Message) -> None:
        before = next(at_work)
        await asyncio.sleep(0)
        assert next(at_work) == before + 1
        heard.append(message.data)

    await edge.subscribe("parley.chunk.>", hear)
    for number in range(50):
        await adapter.publish(chunk_subject("w", "d", "a"), str(number).encode())

    async def all_heard() -> bool:
        return len(heard) == 50

    await eventually(all_heard)
    assert heard == [str(number).encode() for number in range(50)]


async def test_a_listener_that_fails_hears_the_next_message_all_the_same(join: Join) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    heard: list[bytes] = []

    def hear(message: Message) -> None:
        heard.append(message.data)
        raise RuntimeError("what people said")

    await edge.subscribe("parley.chunk.>", hear)
    await adapter.publish(chunk_subject("w", "d", "a"), b"1")
    await adapter.publish(chunk_subject("w", "d", "a"), b"2")

    async def both() -> bool:
        return heard == [b"1", b"2"]

    await eventually(both)


async def test_after_stop_nothing_is_heard(join: Join) -> None:
    adapter, edge = await join("provider_adapter"), await join("edge")
    heard: list[bytes] = []

    def hear(message: Message) -> None:
        heard.append(message.data)

    mute = await edge.subscribe("parley.chunk.>", hear)
    await mute.stop()
    await mute.stop()
    still: list[bytes] = []
    await edge.subscribe("parley.chunk.>", lambda message: still.append(message.data))
    await adapter.publish(chunk_subject("w", "d", "a"), b"1")

    async def arrived() -> bool:
        return still == [b"1"]

    await eventually(arrived)
    assert heard == []


async def test_what_may_not_be_heard_is_refused_when_subscribing(join: Join) -> None:
    persona = await join("persona")
    with pytest.raises(NotPermitted):
        await persona.subscribe("parley.chunk.>", lambda _: None)


@pytest.mark.parametrize(
    "subject",
    ["", ".", "a..b", "a b", "a\tb", "a\r\nPUB x 0", "a\x00b", "ä", "a.*", "a.>", "x" * 2000],
)
async def test_a_subject_that_says_more_than_it_should_is_never_sent(
    join: Join, subject: str
) -> None:
    edge = await join("edge")
    with pytest.raises(BadToken):
        await edge.publish(subject, b"")
    with pytest.raises(BadToken):
        await edge.request(subject, Ask("x"), Answer, within=SOON)
    with pytest.raises(BadToken):
        await edge.publish_durable(subject, b"", id="1", within=SOON)


def test_a_header_cannot_end_its_line() -> None:
    block = write_headers({"Name": "a\r\nNats-Msg-Id: forged\x00\x0b\u2028z"})
    assert block == b"NATS/1.0\r\nName: a  Nats-Msg-Id: forged   z\r\n\r\n"
    with pytest.raises(ValueError, match="name of a header"):
        write_headers({"a b": "c"})
    with pytest.raises(ValueError, match="name of a header"):
        write_headers({"a\r\nb": "c"})


# --- Saying what must not be lost -----------------------------------------------------------


async def test_a_durable_message_has_its_place_in_the_stream(join: Join) -> None:
    persona = await join("persona")
    subject = event_subject("w", "persona", "p", "PersonaCreated")
    first = await persona.publish_durable(subject, b"1", id="one", within=SOON)
    second = await persona.publish_durable(subject, b"2", id="two", within=SOON)
    assert second == first + 1


async def test_the_same_id_is_stored_once(join: Join) -> None:
    persona = await join("persona")
    subject = event_subject("w", "persona", "p", "PersonaCreated")
    first = await persona.publish_durable(subject, b"1", id="one", within=SOON)
    again = await persona.publish_durable(subject, b"1", id="one", within=SOON)
    assert again == first


async def test_many_can_be_under_way_at_once(join: Join) -> None:
    persona = await join("persona")
    subject = event_subject("w", "persona", "p", "PersonaCreated")
    sequences = await asyncio.gather(
        *(persona.publish_durable(subject, b"x" * 500, id=str(n), within=SOON) for n in range(500))
    )
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == 500


async def test_without_a_stream_it_is_not_stored(join: Join) -> None:
    discussion = await join("discussion")
    with pytest.raises(NotStored):
        await discussion.publish_durable(
            "$JS.ACK.OUTCOMES.discussion-outcomes.x", b"", id="1", within=A_MOMENT
        )


async def test_the_streams_own_refusal_is_heard_at_once(join: Join) -> None:
    """nats-py's `publish_async` would never resolve (its issue 985)."""
    persona = await join("persona")
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(NotStored, match="expected stream does not match"):
        await persona.publish_durable(
            event_subject("w", "persona", "p", "X"),
            b"",
            id="1",
            headers={"Nats-Expected-Stream": "OTHER"},
            within=SOON,
        )
    assert loop.time() - began < SOON.total_seconds() / 2


async def test_what_may_not_be_said_is_never_stored(join: Join) -> None:
    persona = await join("persona")
    with pytest.raises(NeverStored, match="persona may not publish"):
        await persona.publish_durable(outcome_subject("w", "d", "a"), b"", id="1", within=SOON)
    with pytest.raises(NeverStored):
        await persona.publish_durable(
            event_subject("w", "persona", "p", "X"), b"x" * (9 << 20), id="1", within=SOON
        )


# --- Looking up -----------------------------------------------------------------------------


async def test_the_last_chunk_tells_whether_an_attempt_lives(join: Join) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    subject = chunk_subject("w", "d", "a")
    assert await discussion.last_chunk(subject) is None
    await adapter.publish(subject, b"first")
    await adapter.publish(subject, b"second")

    async def second() -> bool:
        found = await discussion.last_chunk(subject)
        return found is not None and found.data == b"second" and found.sequence == 2

    await eventually(second)
    found = await discussion.last_chunk(subject)
    assert found is not None
    assert found.subject == subject
    assert found.stored_at.tzinfo is not None


async def test_stored_chunks_are_read_in_order_over_several_batches(join: Join) -> None:
    adapter, discussion = await join("provider_adapter"), await join("discussion")
    subject = chunk_subject("w", "d", "a")
    assert await discussion.stored_chunks(subject) == []
    for number in range(1201):
        await adapter.publish(subject, str(number).encode())
        await adapter.publish(chunk_subject("w", "d", "other"), b"-")

    async def all_stored() -> bool:
        return len(await discussion.stored_chunks(subject)) == 1201

    await eventually(all_stored)
    found = await discussion.stored_chunks(subject)
    assert [int(one.data) for one in found] == list(range(1201))
    rest = await discussion.stored_chunks(subject, after_sequence=found[1000].sequence)
    assert [int(one.data) for one in rest] == list(range(1001, 1201))
    whole = await discussion.stored_chunks("parley.chunk.w.d.*")
    assert len(whole) == 2402


# --- Coming and going -----------------------------------------------------------------------


async def test_without_a_broker_joining_fails_with_where_it_looked() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        await Bus.connect("nats://127.0.0.1:1", service="edge", seed_file=None, within=A_MOMENT)


async def test_an_unknown_key_is_refused_at_once(broker: NatsServer) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(NotPermitted):
        await Bus.connect(broker.url, service="edge", seed_file=None, within=SOON)
    assert loop.time() - began < SOON.total_seconds() / 2


async def test_leaving_finishes_what_was_begun_and_says_what_was_to_be_said(join: Join) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(asked: Ask) -> Answer:
        begun.set()
        await release.wait()
        return Answer("done")

    persona, edge = await join("persona"), await join("edge")
    await persona.serve("persona", [Verb("get", Ask, slow)])
    waiting = asyncio.create_task(edge.request(GET, Ask("x"), Answer, within=SOON))
    await begun.wait()
    leaving = asyncio.create_task(persona.drain())

    async def gone() -> bool:
        try:
            await edge.request(GET, Ask("y"), Answer, within=A_MOMENT)
        except Unreachable:
            return True
        except TimedOut:
            return False
        return False

    await eventually(gone)
    release.set()
    assert (await waiting).text == "done"
    await leaving
    assert not persona.connected
