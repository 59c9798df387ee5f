"""A discussion of one turn, told in OpenAI's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import json as msgspec_json
from msgspec.structs import replace

from contracts.discussion import DiscussionState
from contracts.discussion_events import (
    AttemptFailed,
    AttemptStarted,
    TurnCompleted,
    TurnParked,
    TurnRestarted,
    TurnScheduled,
    TurnWaiting,
)
from contracts.event import Event, name_of
from contracts.failures import Failure, FailureClass
from contracts.stream import ChunkKind, StreamChunk, Usage, UsageStatus
from services.edge.completion import Completing
from services.edge.feed import Feed, Output
from services.edge.openai_words import DONE, WireError
from services.edge.outlet import Ending, Outlet

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMMON: dict[str, Any] = {"at": NOON, "discussion": "d", "turn": "t"}
SCHEDULED = TurnScheduled(**COMMON, participant=0, persona="", model="kimi/kimi-k2.6")
STARTED = AttemptStarted(
    **COMMON, attempt="a", number=1, provider="kimi", model="kimi-k2.6", endpoint="e"
)
WAITING = TurnWaiting(**COMMON, reason="throttled", not_before=NOON)


class Told(Outlet):
    """An outlet that only keeps what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.why: Ending | None = None

    def write(self, data: bytes) -> None:
        self.written += data

    def replay(self, data: bytes) -> None:
        self.write(data)

    def end(self, why: Ending) -> None:
        self.why = self.why or why

    def check(self, now: float) -> None:
        pass

    def deltas(self) -> list[dict[str, Any]]:
        """Every delta, and errors."""
        frames = [one for one in self.written.split(b"\n\n") if one.startswith(b"data: {")]
        return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]

    def text(self, name: str = "content") -> str:
        choices = [one["choices"][0] for one in self.deltas() if one.get("choices")]
        return "".join(choice["delta"].get(name) or "" for choice in choices)


class Run:
    """A completion with the feed that drives it."""

    def __init__(self, *, with_usage: bool = False) -> None:
        self.feed = Feed()
        self.told = Told()
        self.completing = Completing("chatcmpl-d", 7, "kimi/k2", with_usage=with_usage)
        self.completing.attach(self.told)

    def happens(self, *events: Event) -> None:
        for event in events:
            version = self.feed.version + 1
            self._hear(self.feed.fact(version, name_of(event), msgspec_json.encode(event)))

    def says(
        self, text: str, at: int, kind: ChunkKind = ChunkKind.TEXT, *, attempt: str = "a"
    ) -> None:
        chunk = StreamChunk(turn="t", attempt=attempt, kind=kind, offset=at, text=text)
        self._hear(self.feed.chunk(chunk, msgspec_json.encode(chunk)))

    def _hear(self, items: Any) -> None:
        heard: list[Output] = list(items)
        self.completing.hear(heard)


def completed(text: str, **more: Any) -> TurnCompleted:
    usage = Usage(input_tokens=3, output_tokens=4, status=UsageStatus.MEASURED)
    said: dict[str, Any] = {"text": text, "finish_reason": "stop", "usage": usage, **more}
    return TurnCompleted(**COMMON, attempt="a", model="kimi/kimi-k2.6", **said)


async def test_text_is_passed_on_and_ends_with_a_reason_and_done() -> None:
    run = Run()
    run.happens(SCHEDULED, STARTED)
    run.says("Hel", 0)
    run.says("lo", 3)
    run.happens(completed("Hello"))

    assert run.told.text() == "Hello"
    assert run.told.deltas()[-1]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert run.told.deltas()[-1]["model"] == "kimi/kimi-k2.6"
    assert run.told.written.endswith(DONE)
    assert run.told.why is Ending.FINISHED


async def test_what_was_not_streamed_is_said_in_the_end() -> None:
    run = Run()
    run.happens(SCHEDULED, STARTED)
    run.says("Hel", 0)
    run.happens(completed("Hello there", reasoning="Hm."))

    assert (run.told.text(), run.told.text("reasoning_content")) == ("Hello there", "Hm.")


async def test_usage_comes_last_when_it_was_asked_for() -> None:
    run = Run(with_usage=True)
    run.happens(SCHEDULED, STARTED, completed("Hi"))

    assert run.told.deltas()[-1]["choices"] == []
    assert run.told.deltas()[-1]["usage"]["total_tokens"] == 7


async def test_whole_tool_calls_are_numbered() -> None:
    run = Run()
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    run.happens(SCHEDULED, STARTED, completed("", tool_calls=[call], finish_reason="tool_calls"))

    [delta] = [one["choices"][0]["delta"] for one in run.told.deltas() if one["choices"]][1:-1]
    assert delta == {"tool_calls": [{"index": 0} | call]}


async def test_tool_calls_that_came_together_are_told_one_after_the_other() -> None:
    run = Run()
    run.happens(SCHEDULED, STARTED)
    run.says('[{"index":0,"id":"1"}][{"index":0}]', 0, ChunkKind.TOOL_CALL)

    deltas = [one["choices"][0]["delta"] for one in run.told.deltas()][1:]
    assert deltas == [{"tool_calls": [{"index": 0, "id": "1"}]}, {"tool_calls": [{"index": 0}]}]


@pytest.mark.parametrize("again", [TurnRestarted(**COMMON, attempt="a"), STARTED])
async def test_words_that_were_heard_cannot_be_taken_back(again: Event) -> None:
    run = Run()
    run.happens(SCHEDULED, STARTED)
    run.says("Hello", 0)
    run.happens(again)

    assert run.told.deltas()[-1]["error"]["code"] == "interrupted"
    assert run.completing.moot, "nobody will come back for the second attempt"


async def test_an_answer_that_is_gone_on_with_is_told_as_one() -> None:
    run = Run()
    run.happens(SCHEDULED, STARTED)
    run.says("Hel", 0)
    run.happens(
        AttemptFailed(**COMMON, attempt="a", class_=FailureClass.MIDSTREAM, text="Hello "),
        WAITING,
        replace(STARTED, attempt="b", number=2, from_char=6),
    )
    run.says("there", 6, attempt="b")
    run.happens(replace(completed("Hello there"), attempt="b"))

    assert run.told.text() == "Hello there"
    assert run.told.written.endswith(DONE)


async def test_waiting_before_the_first_word_is_only_waiting() -> None:
    run = Run()
    run.happens(SCHEDULED, WAITING)
    run.completing.tick(0, silent=False)
    run.happens(STARTED)
    run.says("Hello", 0)

    assert b": waiting" in run.told.written
    assert run.told.text() == "Hello"


async def test_what_is_parked_is_refused_and_given_up() -> None:
    run = Run()
    failure = Failure(
        class_=FailureClass.AUTH,
        title="The key was refused",
        detail="401.",
        next_step="Add another.",
        retryable=True,
    )
    run.happens(SCHEDULED, TurnParked(**COMMON, failure=failure, gate="key:kimi"))

    error = run.completing.result.result()
    assert isinstance(error, WireError)
    assert (error.status, error.code) == (503, "provider_key_refused")
    assert run.completing.moot
    assert run.completing.failed_silently


async def test_an_end_without_an_answer_is_an_error() -> None:
    run = Run()
    run.completing.over(DiscussionState.CANCELLED)

    assert run.told.deltas()[-1]["error"]["code"] == "cancelled"
    assert run.told.why is Ending.FINISHED
