"""Silence: how long an attempt waits, for what, and how it shows that it lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contracts.failures import FailureClass
from tests.adapters import client_leaves, house, impatient
from tests.brokers import Broker
from tests.eventually import eventually


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
