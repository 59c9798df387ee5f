"""An attempt that is answered: one request, and what came of it, whole."""

from __future__ import annotations

import pytest

from contracts.attempts import Parameters
from contracts.stream import ChunkKind, StreamCompleted, StreamStarted, UsageStatus
from tests.adapters import House


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
