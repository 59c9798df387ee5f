"""What the adapter makes of a provider's reply, held against what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from contracts.failures import FailureClass
from contracts.stream import UsageStatus
from services.provider_adapter.answer import Answer, Told
from services.provider_adapter.dialects import Speech
from services.provider_adapter.listener import Interrupted, Listener

OUR_CLASS = {
    "auth": FailureClass.AUTH,
    "permission": FailureClass.AUTH,
    "not_found": FailureClass.MODEL,
    "quota": FailureClass.BILLING,
    "rate_limit": FailureClass.THROTTLED,
    "rate_limit_daily": FailureClass.THROTTLED,
    "overloaded": FailureClass.OVERLOADED,
    "server": FailureClass.TRANSIENT,
    "timeout": FailureClass.TRANSIENT,
    "bad_request": FailureClass.REQUEST,
    "context_length": FailureClass.REQUEST,
    "content_filter": FailureClass.REQUEST,
}
OUR_FINISH = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "model_context_window_exceeded": "length",
    "STOP": "stop",
}
"""In the common terms, by which all dialects name the end."""
OUR_HINT = {
    "permission": "permission",
    "rate_limit_daily": "daily",
    "context_length": "context_length",
    "content_filter": "content_filter",
}


@dataclass
class Heard:
    """What the adapter makes of one reply."""

    answer: Answer
    error: Told | None
    done: bool


def hear(reads: list[bytes], speech: Speech) -> Heard:
    listener = Listener(speech)
    error = None
    try:
        for read in reads:
            listener.feed(read)
            if listener.over:
                break
        listener.close()
    except Interrupted as interrupted:
        error = interrupted.told
    return Heard(listener.answer, error, listener.over)


def means_what_is_expected(heard: Heard, expect: dict[str, Any]) -> None:
    answer = heard.answer
    assert answer.text == expect.get("text", expect.get("text_utf16_joined"))
    assert answer.reasoning == expect.get("reasoning", "")
    assert answer.refusal == expect.get("refusal", "")
    calls = [
        {"id": call["id"], **{name: call["function"][name] for name in ("name", "arguments")}}
        for call in answer.tool_calls
    ]
    expected = expect.get("tool_calls", [])
    for call, wanted in zip(calls, expected, strict=True):
        assert call["id"]
        assert call == wanted | {"id": wanted["id"] or call["id"]}  # without one, it is given one
    assert len({call["id"] for call in calls}) == len(calls)
    finish = expect["finish_reason"]
    finish = "tool_calls" if calls and finish == "STOP" else OUR_FINISH.get(finish, finish)
    assert (answer.finish_reason or None) == finish
    means_the_usage(answer, expect.get("usage"))
    match expect["end"]:
        case "done" | "message_stop" | "done_true":
            assert heard.done
            assert heard.error is None
        case "eof_after_finish" | "nonstream":
            assert answer.finish_reason
            assert heard.error is None
        case "cut":
            assert not answer.finish_reason
            assert not heard.done
        case "error":
            told = heard.error
            assert told is not None
            assert expect["error"]["type"] in {told.type, told.code}
        case other:
            pytest.fail(f"nobody knows what an end of {other!r} is")


def means_the_usage(answer: Answer, usage: dict[str, int] | None) -> None:
    if usage is None:
        return
    heard = answer.usage
    assert heard is not None
    assert heard.status is UsageStatus.MEASURED
    # Anthropic's input leaves out what the cache holds; ours has all of it, as everybody else's.
    cached, written = usage.get("cached", usage.get("cache_read", 0)), usage.get("cache_write", 0)
    beside = cached + written if "cache_read" in usage else 0
    assert heard.input_tokens == usage["input"] + beside
    # Output counts thinking too; xAI's and Gemini's do not, but their totals do.
    total = usage.get("total", usage["input"] + usage["output"])
    assert heard.output_tokens == total - usage["input"]
    assert (heard.cached_tokens or 0) == cached
    if "total" in usage:  # Anthropic's expectations do not say how much was thought
        assert (heard.reasoning_tokens or 0) == usage.get("reasoning", 0)
