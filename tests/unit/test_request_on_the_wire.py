from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.attempts import Message, Parameters, RunAttempt
from contracts.providers import KIMI, LOCAL, Provider
from services.provider_adapter.dialects import openai_chat

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CALL: dict[str, Any] = {
    "id": "get_weather_0",
    "type": "function",
    "function": {"name": "get_weather", "arguments": "{}"},
}


def sent(row: Provider = KIMI, *, parameters: Parameters | None = None, **more: Any) -> Any:
    wish: dict[str, Any] = {
        "workspace": "default",
        "discussion": "d",
        "turn": "t",
        "attempt": "a",
        "provider": row.name,
        "endpoint": "https://api.test/v1",
        "model": "kimi-k2.6",
        "key": None,
        "messages": [Message(role="user", content="Hi")],
        "parameters": parameters or Parameters(max_completion_tokens=1024),
        "expires_at": NOON,
        "deadline": NOON,
    }
    path, headers, body = openai_chat.to_wire(RunAttempt(**(wish | more)), row)
    assert path == "/chat/completions"
    assert "authorization" not in {name.lower() for name in headers}
    return json.loads(body)


def test_the_bound_on_the_answer_is_always_there() -> None:
    assert sent()["max_completion_tokens"] == 1024
    assert sent(LOCAL)["max_tokens"] == 1024


@pytest.mark.parametrize("model", ["kimi-k2.6", "kimi-k2.7-code-highspeed"])
def test_a_fixed_temperature_is_left_out(model: str) -> None:
    wish = Parameters(max_completion_tokens=9, temperature=0.2, top_p=0.9, stop=["x"], seed=7)
    body = sent(model=model, parameters=wish)
    assert "temperature" not in body
    assert "top_p" not in body
    assert (body["stop"], body["seed"]) == (["x"], 7)


def test_elsewhere_the_temperature_is_sent() -> None:
    wish = Parameters(max_completion_tokens=9, temperature=0.2)
    assert sent(LOCAL, parameters=wish)["temperature"] == 0.2


def test_usage_is_asked_for_where_that_is_understood() -> None:
    assert sent()["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(replace(KIMI, asks_for_usage=False))


def test_a_tool_call_goes_back_with_the_thinking_that_led_to_it() -> None:
    kept = Message(role="assistant", tool_calls=[CALL], reasoning="Hm.")
    lost = Message(role="assistant", tool_calls=[CALL])
    result = Message(role="tool", content="rain", tool_call_id="get_weather_0")
    first, second, third = sent(messages=[kept, lost, result], thinks=True)["messages"]
    assert first["reasoning_content"] == "Hm."
    assert second["reasoning_content"] == " "
    assert third == {"role": "tool", "content": "rain", "tool_call_id": "get_weather_0"}


def test_thinking_is_not_sent_back_where_nobody_asks_for_it() -> None:
    message = Message(role="assistant", tool_calls=[CALL], reasoning="Hm.")
    assert sent(LOCAL, messages=[message])["messages"] == [
        {"role": "assistant", "tool_calls": [CALL]}
    ]
    plain = Message(role="assistant", content="Yes.", reasoning="Hm.")
    assert sent(messages=[plain])["messages"] == [{"role": "assistant", "content": "Yes."}]
