"""One attempt is one request and one outcome, whatever the provider, the broker or we do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from contracts.attempts import CancelAttempt, KeyRef, Parameters, ProbeResult, RunAttempt, RunProbe
from contracts.failures import Balance, Conflict, FailureClass, Invalid, Unavailable
from contracts.keys import Done, KeyRotated
from contracts.stream import ChunkKind, StreamCompleted, StreamStarted, UsageStatus
from contracts.subjects import chunk_subject, command_subject
from services.provider_adapter.patience import Patience
from services.provider_adapter.running import Rules
from shared.redaction import REDACTED
from tests.adapters import CHUNK, WITHIN, WORKSPACE, House, house, joined
from tests.brokers import Broker, OwnBroker
from tests.canary import formless, traces
from tests.eventually import eventually

TICK = timedelta(milliseconds=20)


def impatient(**patience: float) -> Rules:
    spans = {name: timedelta(seconds=value) for name, value in patience.items()}
    return Rules(ordinary=Patience(**spans), look_every=TICK, farewell=timedelta(seconds=0.2))


@pytest_asyncio.fixture
async def here(broker: Broker) -> AsyncGenerator[House]:
    async with house(broker) as made:
        yield made


# --- An answer ------------------------------------------------------------------------------


async def test_one_attempt_is_one_request_and_one_answer(here: House) -> None:
    request = await here.ask("Why is the sky blue?")
    answer = await here.answer_of(request)
    assert here.asked == 1
    assert "Why is the sky blue?" in answer.text
    assert answer.finish_reason == "stop"
    assert answer.usage.status is UsageStatus.MEASURED
    assert answer.first_token_ms is not None
    assert here.text_of(request) == answer.text
    assert [type(outcome) for outcome in here.outcomes] == [StreamStarted, StreamCompleted]


async def test_the_request_on_the_wire_says_what_was_wished(here: House) -> None:
    await here.answer_of(await here.ask("Hi"))
    body = here.provider.requests[0].body
    assert body["max_completion_tokens"] == 1024
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert body["stream_options"] == {"include_usage": True}
    assert "temperature" not in body


async def test_what_was_left_out_is_noted_in_the_outcome(here: House) -> None:
    wish = Parameters(max_completion_tokens=1024, temperature=0.2)
    request = await here.ask("Hi", model="kimi-k2.6", parameters=wish)
    answer = await here.answer_of(request)
    assert answer.notes == ["temperature was left out: kimi-k2.6 takes only its own."]
    assert "temperature" not in here.provider.requests[0].body


async def test_thinking_and_text_are_told_apart(here: House) -> None:
    request = await here.ask("[[think: Hm, let me see. ; text: It is so.]]", model="kimi-k3")
    answer = await here.answer_of(request)
    assert (answer.reasoning, answer.text) == ("Hm, let me see.", "It is so.")
    assert here.text_of(request, ChunkKind.REASONING) == answer.reasoning
    assert here.text_of(request) == answer.text


async def test_a_tool_call_is_put_together(here: House) -> None:
    answer = await here.answer_of(await here.ask('[[tool: get_weather {"city":"Oslo"}]]'))
    function = {"name": "get_weather", "arguments": '{"city":"Oslo"}'}
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls == [{"id": "get_weather_0", "type": "function", "function": function}]


async def test_the_first_token_does_not_wait_for_the_second(here: House) -> None:
    request = await here.ask("[[text: First ; wait: 30s ; text: second]]")
    await here.hears(request, "First")
    here.running.cancel(request.attempt)
    assert (await here.error_of(request)).text == "First"


async def test_without_usage_tokens_are_estimated_and_said_to_be(here: House) -> None:
    request = await here.ask("[[replay: openai/chat-refusal.sse]]")
    answer = await here.answer_of(request)
    assert answer.refusal == "I cannot help with that."
    assert answer.usage.status is UsageStatus.ESTIMATED
    assert answer.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("moonshot/chat-crlf.sse", "CRLF"),
        ("moonshot/chat-utf8-split.sse", "你好，世界！🚀東京👩‍👩‍👧é"),
        ("moonshot/chat-bom-fields-nospace.sse", "no-space"),
        ("moonshot/chat-finish-without-done.sse", "All said"),
        ("misc/nonstream-json-to-stream-request.sse", "Whole"),
        ("deepseek/nonstream-leading-blank-lines.json", "Ok"),
        ("moonshot/chat-surrogate-halves.sse", "🚀"),
    ],
)
async def test_recorded_answers_arrive_whole(here: House, file: str, text: str) -> None:
    assert (await here.answer_of(await here.ask(f"[[replay: {file}]]"))).text == text


# --- No answer ------------------------------------------------------------------------------


async def test_an_expired_request_is_not_sent(here: House) -> None:
    expired = datetime.now(UTC) - timedelta(seconds=1)
    error = await here.error_of(await here.ask(expires_at=expired))
    assert (error.class_, error.hint, error.sent) == (FailureClass.TRANSIENT, "expired", False)
    assert here.asked == 0


async def test_what_cannot_be_asked_there_is_not_sent(here: House) -> None:
    wish = Parameters(max_completion_tokens=9, stop=["x"])
    error = await here.error_of(await here.ask(provider="xai", model="grok-4.7", parameters=wish))
    assert (error.class_, error.hint, error.sent) == (FailureClass.REQUEST, "parameter", False)
    assert "reasoning models" in error.evidence.message
    assert here.asked == 0


async def test_without_a_lease_nothing_is_sent(here: House) -> None:
    here.vault.refuses = True
    error = await here.error_of(await here.ask())
    assert (error.hint, error.sent) == ("lease", False)
    assert "quarantined" in error.evidence.message
    assert here.asked == 0


async def test_nobody_listening_is_proof_that_nothing_was_sent(here: House) -> None:
    error = await here.error_of(await here.ask(endpoint="http://127.0.0.1:9/v1"))
    assert (error.class_, error.hint, error.sent) == (FailureClass.TRANSIENT, "connect", False)


async def test_an_unknown_name_is_proof_that_nothing_was_sent(here: House) -> None:
    error = await here.error_of(await here.ask(endpoint="http://nowhere.invalid/v1"))
    assert (error.class_, error.sent) == (FailureClass.TRANSIENT, False)


@pytest.mark.parametrize(
    ("behaviour", "class_"),
    [
        ("wrong-key", FailureClass.AUTH),
        ("gone", FailureClass.MODEL),
        ("no-balance", FailureClass.BILLING),
        ("filtered", FailureClass.REQUEST),
        ("rpm", FailureClass.THROTTLED),
        ("overloaded", FailureClass.OVERLOADED),
        ("down", FailureClass.TRANSIENT),
        ("server-error", FailureClass.TRANSIENT),
        ("page", FailureClass.UNKNOWN),
        ("drop", FailureClass.AMBIGUOUS),
        ("cut", FailureClass.MIDSTREAM),
        ("no-finish", FailureClass.MIDSTREAM),
        ("in-band", FailureClass.MIDSTREAM),
        ("error: 418 teapot no", FailureClass.UNKNOWN),
        ("html: 502", FailureClass.TRANSIENT),
        ("html: 403", FailureClass.TRANSIENT),
        ("replay: moonshot/chat-empty-200.sse", FailureClass.AMBIGUOUS),
        ("replay: moonshot/chat-error-first-frame.sse", FailureClass.THROTTLED),
        ("replay: moonshot/chat-error-midstream-event.sse", FailureClass.REQUEST),
        ("replay: moonshot/chat-cut-mid-json.sse", FailureClass.MIDSTREAM),
        ("replay: mistral/stream-finish-error.sse", FailureClass.MIDSTREAM),
        ("text: Some ; raw: data: {broken", FailureClass.MIDSTREAM),
    ],
)
async def test_every_failure_has_its_class_and_costs_one_request(
    here: House, behaviour: str, class_: FailureClass
) -> None:
    request = await here.ask(f"[[{behaviour}]]")
    error = await here.error_of(request)
    assert (error.class_, error.sent) == (class_, True)
    assert error.text == here.text_of(request)
    assert here.asked == 1


async def test_evidence_holds_limits_and_waits_but_no_ids(here: House) -> None:
    evidence = (await here.error_of(await here.ask("[[rpm]]"))).evidence
    assert (evidence.status, evidence.retry_after, evidence.limits) == (429, 1, {"rpm": 3})
    assert "org-" not in evidence.message
    assert "ak-" not in evidence.message


async def test_a_key_without_a_form_is_not_in_the_evidence(here: House) -> None:
    here.vault.secret = "plainlookingword"
    error = await here.error_of(await here.ask("[[error: 401 x bad key plainlookingword]]"))
    assert "plainlookingword" not in error.evidence.message


@pytest.mark.parametrize("said", ["error: 401 x no", "html: 502", "text: Yes. ; error: 500 x no"])
async def test_a_key_that_the_provider_says_back_stays_between_the_two(
    here: House, said: str
) -> None:
    here.provider.echoes, here.vault.secret = True, formless()
    error = await here.error_of(await here.ask(f"[[{said}]]"))
    told = msgspec.json.encode(error)
    assert REDACTED.encode() in told
    assert [trace for trace in traces(here.vault.secret) if trace in told] == []


async def test_a_key_on_trial_that_the_provider_says_back_stays_between_the_two(
    here: House,
) -> None:
    here.provider.echoes, here.provider.keys, here.vault.secret = True, set(), formless()
    told = msgspec.json.encode(await probe(here))
    assert REDACTED.encode() in told
    assert [trace for trace in traces(here.vault.secret) if trace in told] == []


async def test_a_key_is_known_to_an_answer_that_outlives_its_loan(here: House) -> None:
    here.provider.echoes, here.vault.secret, here.provider.rate = True, formless(), 20
    request = await here.ask("[[text: Yes. ; wait: 300ms ; error: 500 x no]]")
    await here.hears(request, "Yes")
    here.keys.forget_all()
    told = msgspec.json.encode(await here.error_of(request))
    assert [trace for trace in traces(here.vault.secret) if trace in told] == []


# --- Nothing tries again --------------------------------------------------------------------


@asynccontextmanager
async def server_that(
    answers: Callable[[int, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Reads one request after the other on each connection; tells what it saw."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                seen.append(head)
                await answers(len(seen), writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1", seen
    finally:
        server.close()


async def _hang_up(_: int, writer: asyncio.StreamWriter) -> None:
    writer.close()


ANSWER = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


async def _answer_once_then_hang_up(number: int, writer: asyncio.StreamWriter) -> None:
    """A kept connection that dies just when the next request comes."""
    if number == 1:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
        await writer.drain()
    else:
        writer.close()


async def test_a_request_into_a_dying_connection_is_not_sent_again(here: House) -> None:
    async with server_that(_answer_once_then_hang_up) as (endpoint, seen):
        await here.answer_of(await here.ask(endpoint=endpoint))
        error = await here.error_of(await here.ask(endpoint=endpoint))
        assert (error.class_, error.sent) == (FailureClass.AMBIGUOUS, True)
        assert len(seen) == 2


async def test_a_look_into_a_dying_connection_is_not_repeated(here: House) -> None:
    async with server_that(_hang_up) as (endpoint, seen):
        result = await probe(here, endpoint=endpoint)
        assert (result.failure, result.sent) == (FailureClass.TRANSIENT, True)
        assert len(seen) == 1


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(here: House) -> None:
    async def redirect(_: int, writer: asyncio.StreamWriter) -> None:
        target = here.provider.base_url.encode()
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")

    async with server_that(redirect) as (endpoint, seen):
        error = await here.error_of(await here.ask(endpoint=endpoint))
        assert error.class_ is FailureClass.UNKNOWN
        assert error.evidence.status == 307
        assert (await probe(here, endpoint=endpoint)).failure is FailureClass.UNKNOWN
        assert len(seen) == 2
    assert here.asked == 0


async def test_an_attempt_is_taken_once(here: House) -> None:
    request = await here.ask()
    with pytest.raises(Conflict):
        await here.send(request)
    await here.answer_of(request)
    with pytest.raises(Conflict):
        await here.send(request)
    assert here.asked == 1


async def test_a_request_that_cannot_be_carried_out_is_refused(here: House) -> None:
    for wrong in (
        {"provider": "nobody"},
        {"endpoint": "file:///etc/passwd"},
        {"endpoint": "https://me:you@there/v1"},
        {"workspace": "a.b"},
    ):
        with pytest.raises(Invalid):
            await here.ask(**wrong)


async def test_too_many_at_once_are_refused(broker: Broker) -> None:
    async with house(broker, Rules(at_once=2)) as here:
        running = [await here.ask("[[silent]]") for _ in range(2)]
        with pytest.raises(Unavailable):
            await here.ask()
        for request in running:
            here.running.cancel(request.attempt)
            await here.end_of(request)
        await here.answer_of(await here.ask())


# --- Silence --------------------------------------------------------------------------------


async def test_a_stream_that_falls_silent_is_given_up(broker: Broker) -> None:
    async with house(broker, impatient(silence=0.2)) as here:
        request = await here.ask("[[stall]]")
        error = await here.error_of(request)
        assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "stalled")
        assert error.text == "This answer falls silent"
        await client_leaves(here)


async def test_no_first_byte_is_ambiguous(broker: Broker) -> None:
    async with house(broker, impatient(first_byte=0.2)) as here:
        error = await here.error_of(await here.ask("[[mute]]"))
        assert (error.class_, error.hint) == (FailureClass.AMBIGUOUS, "stalled")
        assert error.sent is True
        assert here.asked == 1


async def test_comments_keep_the_line_but_are_no_progress(broker: Broker) -> None:
    async with house(broker, impatient(silence=0.5, progress=1)) as here:
        comments = " ; ".join(["comment: keep-alive ; wait: 100ms"] * 40)
        request = await here.ask(f"[[text: Once ; {comments}]]")
        error = await here.error_of(request)
        assert error.hint == "stalled"
        assert "no progress" in error.evidence.message


async def test_comments_alone_keep_an_attempt_alive(broker: Broker) -> None:
    async with house(broker, impatient(silence=0.3)) as here:
        comments = " ; ".join(["comment: keep-alive ; wait: 100ms"] * 8)
        answer = await here.answer_of(await here.ask(f"[[{comments} ; text: At last]]"))
        assert answer.text == "At last"


async def test_the_deadline_ends_an_attempt(broker: Broker) -> None:
    async with house(broker, impatient()) as here:
        deadline = datetime.now(UTC) + timedelta(seconds=0.3)
        error = await here.error_of(await here.ask("[[stall]]", deadline=deadline))
        assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "deadline")


async def test_a_whole_answer_does_not_wait_for_a_line_that_stays_open(broker: Broker) -> None:
    async with house(broker, impatient(after_finish=0.1)) as here:
        finish = 'raw: data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
        answer = await here.answer_of(await here.ask(f"[[text: All said. ; {finish} ; stall]]"))
        assert answer.text == "All said."


async def test_an_attempt_gives_signs_of_life(broker: Broker) -> None:
    async with house(broker, impatient(pulse=0.05)) as here:
        request = await here.ask("[[silent]]")

        async def pulses() -> bool:
            return len([c for c in here.chunks if c.attempt == request.attempt]) >= 3

        await eventually(pulses)
        assert here.text_of(request) == ""
        here.running.cancel(request.attempt)


# --- Cancelling and leaving -----------------------------------------------------------------


async def client_leaves(here: House) -> None:
    """The provider sees that nobody listens any more."""

    async def left() -> bool:
        return here.provider.requests[0].ended in {"client left", "stall"}

    await eventually(left)


async def test_a_cancelled_attempt_stops_at_the_provider_too(here: House) -> None:
    request = await here.ask("[[stall]]")
    await here.hears(request, "This answer falls silent")
    command = CancelAttempt(
        workspace=WORKSPACE, discussion=request.discussion, attempt=request.attempt
    )
    subject = command_subject("provider_adapter", "cancel")
    await here.discussion.request(subject, command, Done, within=WITHIN)
    error = await here.error_of(request)
    assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "cancelled")
    assert error.text == "This answer falls silent"
    assert error.usage.status is UsageStatus.ESTIMATED
    await client_leaves(here)


async def test_cancelled_before_it_began_nothing_is_sent(here: House) -> None:
    request = here.request()
    here.running.take(request)
    here.running.cancel(request.attempt)
    error = await here.error_of(request)
    assert (error.hint, error.sent) == ("cancelled", False)
    assert here.asked == 0


async def test_a_cancel_that_overtakes_its_attempt_holds(here: House) -> None:
    request = here.request()
    here.running.cancel(request.attempt)
    with pytest.raises(Conflict):
        await here.send(request)
    assert here.asked == 0


async def test_leaving_loses_no_outcome(broker: Broker) -> None:
    async with house(broker, impatient()) as here:
        stuck = await here.ask("[[stall]]")
        quick = await here.ask("[[text: Nearly ; wait: 50ms ; text:  done]]")
        await here.hears(stuck, "This answer falls silent")
        await here.running.leave()
        with pytest.raises(Unavailable):
            await here.ask()
        assert (await here.answer_of(quick)).text == "Nearly done"
        error = await here.error_of(stuck)
        assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "shutdown")
        assert error.text == "This answer falls silent"


# --- The broker goes and comes --------------------------------------------------------------


async def test_an_outage_of_the_broker_costs_neither_text_nor_outcome(
    own_broker: OwnBroker,
) -> None:
    async with house(own_broker.broker, rate=100) as here:
        request = await here.ask("[[many: 5000]]")
        short = await here.ask("[[many: 30]]")
        await here.hears(short, "word0 word1 ")
        await own_broker.stop()
        await ended_in_the_dark(here, running=1)
        seen = len(here.text_of(request))
        await own_broker.start()
        await own_broker.broker.ensure()

        async def viewers_see_more_and_the_stream_has_all() -> bool:
            stored = await stored_text(here, request)
            return min(len(here.text_of(request)), len(stored)) > seen + 500

        await eventually(viewers_see_more_and_the_stream_has_all, within=timedelta(seconds=20))
        assert (await here.answer_of(short)).text == words(30)
        here.running.cancel(request.attempt)
        error = await here.error_of(request)
        assert error.text.startswith(here.text_of(request))
        assert words(5000).startswith(error.text)
        assert here.asked == 2


def words(count: int) -> str:
    """What `many` says."""
    return "".join(f"word{n} " for n in range(count))


async def stored_text(here: House, request: RunAttempt) -> str:
    """What who comes later can read of an attempt."""
    subject = chunk_subject(WORKSPACE, request.discussion, request.attempt)
    stored = await here.discussion.stored_chunks(subject)
    return joined([CHUNK.decode(message.data) for message in stored])


async def ended_in_the_dark(here: House, *, running: int) -> None:
    """An attempt ended while nobody could be told."""

    async def spooled() -> bool:
        return here.outbox.waiting > 0 and here.running.count == running

    await eventually(spooled)


async def test_an_outcome_waits_for_a_broker_that_is_away(own_broker: OwnBroker) -> None:
    async with house(own_broker.broker) as here:
        request = await here.ask("[[text: Said ; wait: 300ms ; text:  in the dark]]")
        await here.hears(request, "Said")
        await own_broker.stop()
        await ended_in_the_dark(here, running=0)
        await own_broker.start()
        await own_broker.broker.ensure()
        assert (await here.answer_of(request)).text == "Said in the dark"
        await here.outbox.emptied()


async def test_while_no_outcome_can_be_stored_nothing_new_is_asked(
    here: House, broker: Broker
) -> None:
    await broker.delete_stream("OUTCOMES")
    first = await here.ask("[[text: Kept]]")

    async def refused() -> bool:
        try:
            await here.ask("[[text: Too many]]")
        except Unavailable:
            return True
        return False

    await eventually(refused)
    asked = here.asked
    for _ in range(3):
        with pytest.raises(Unavailable):
            await here.ask("[[text: Too many]]")
    assert here.asked == asked
    await broker.ensure()

    assert (await here.answer_of(first)).text == "Kept"
    await here.outbox.emptied()
    await here.answer_of(await here.ask())


# --- Keys -----------------------------------------------------------------------------------


async def test_a_key_is_borrowed_once_and_again_after_it_was_rotated(here: House) -> None:
    for _ in range(2):
        await here.answer_of(await here.ask())
    assert len(here.vault.leases) == 1
    fact = KeyRotated(
        at=datetime.now(UTC),
        workspace=WORKSPACE,
        key="k1",
        version=2,
        provider="kimi",
        endpoint=here.provider.base_url,
    )
    here.vault.version = 2
    await here.vault.state(fact, "k1")

    async def forgotten() -> bool:
        return here.keys.holds == 0

    await eventually(forgotten)
    assert (await here.error_of(await here.ask())).hint == "lease"
    await here.answer_of(await here.ask(key=KeyRef(key="k1", version=2)))
    assert [lease.version for lease in here.vault.leases] == [1, 1, 2]


async def test_a_provider_without_keys_needs_no_lease(here: House) -> None:
    here.provider.keys = {""}
    await here.answer_of(await here.ask(provider="local", key=None))
    assert here.vault.leases == []


# --- A look ---------------------------------------------------------------------------------


async def probe(here: House, **changes: Any) -> ProbeResult:
    wish: dict[str, Any] = {
        "workspace": WORKSPACE,
        "request": "r1",
        "provider": "kimi",
        "endpoint": here.provider.base_url,
        "key": KeyRef(key="k1", version=1),
        "expires_at": datetime.now(UTC) + timedelta(seconds=10),
    }
    return await here.discussion.request(
        command_subject("provider_adapter", "probe"),
        RunProbe(**(wish | changes)),
        ProbeResult,
        within=WITHIN,
    )


async def test_a_look_tells_the_models(here: House) -> None:
    result = await probe(here)
    assert result.failure is None
    models = {model.id: model for model in result.models}
    assert models["kimi-k2.6"].context_window == 262_144
    assert here.vault.leases[0].purpose == "probe"
    assert here.keys.holds == 0
    assert here.asked == 1


async def test_a_look_at_the_balance_tells_how_much_there_is(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="does not tell"):  # at an address that is no region's
        await probe(here, at="balance")
    monkeypatch.setenv("KIMI_BASE_URL", here.provider.base_url)
    for there, amount, enough in ((49.58894, "49.59", True), (0, "0.00", False)):
        here.provider.balance = there
        balance = (await probe(here, at="balance")).balance
        assert balance == Balance(amount=amount, currency="USD", enough=enough)
    here.vault.secret = "sk-wrong-key-1"
    refused = await probe(here, at="balance")
    assert (refused.failure, refused.balance) == (FailureClass.AUTH, None)
    assert here.asked == 3


async def test_a_look_with_a_wrong_key_says_so(here: House) -> None:
    here.vault.secret = "sk-wrong-key-1"
    result = await probe(here)
    assert (result.failure, result.hint, result.sent) == (FailureClass.AUTH, "region", True)
    assert result.evidence.type == "invalid_authentication_error"


async def test_a_key_is_verified_where_a_bad_one_is_refused(here: House) -> None:
    """OpenRouter's common list is public: it would take any key for a good one."""
    await probe(here, provider="openrouter")
    here.vault.secret = "sk-wrong-key-1"
    refused = await probe(here, provider="openrouter")
    assert [asked.path for asked in here.provider.requests] == ["/v1/models/user"] * 2
    assert refused.failure is FailureClass.AUTH


async def test_a_look_that_was_not_sent_says_so(here: House) -> None:
    expired = datetime.now(UTC) - timedelta(seconds=1)
    assert (await probe(here, expires_at=expired)).hint == "expired"
    assert (await probe(here, endpoint="http://127.0.0.1:9/v1")).sent is False
    here.vault.refuses = True
    assert (await probe(here)).hint == "lease"
    assert here.asked == 0


async def test_a_look_at_something_else_is_no_catalog(here: House) -> None:
    here.vault.secret = "sk-page"
    assert (await probe(here)).failure is FailureClass.UNKNOWN


# --- As a process ---------------------------------------------------------------------------


async def test_the_process_ends_in_good_order_when_told_to(broker: Broker) -> None:
    async with house(broker) as here:
        # The one in this process must not answer in its stead.
        await here.running.leave()
        environment = {
            "PATH": os.environ["PATH"],
            "PARLEY_NATS_URL": broker.url,
            "PARLEY_NATS_SEED_FILE": str(broker.seed_file("provider_adapter")),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.provider_adapter", env=environment
        )
        try:
            request = await taken_by_the_process(here)
            await here.hears(request, "This answer falls silent")
            process.send_signal(signal.SIGTERM)
            error = await here.error_of(request)
            assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "shutdown")
            assert await asyncio.wait_for(process.wait(), 15) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def taken_by_the_process(here: House) -> Any:
    """The queue group gives it to either; the one here refuses."""

    async def taken() -> Any:
        try:
            return await here.ask("[[stall]]")
        except Unavailable:
            return None

    return await eventually(taken)
