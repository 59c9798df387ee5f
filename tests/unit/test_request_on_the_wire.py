from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.attempts import Message, Parameters, RunAttempt
from contracts.providers import (
    ANTHROPIC,
    GEMINI,
    KIMI,
    LOCAL,
    MISTRAL,
    OLLAMA,
    OPENAI,
    PROVIDERS,
    VLLM,
    XAI,
    Dialect,
    Provider,
)
from services.provider_adapter.dialects import SPEECHES
from services.provider_adapter.wishes import Unsayable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PATHS = {
    Dialect.OPENAI_CHAT: "/chat/completions",
    Dialect.ANTHROPIC_MESSAGES: "/v1/messages",
    Dialect.GEMINI: "/v1beta/models/kimi-k2.6:streamGenerateContent?alt=sse",
    Dialect.OLLAMA: "/api/chat",
}
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
    path, headers, body = SPEECHES[row.dialect].to_wire(RunAttempt(**(wish | more)), row)
    assert path == PATHS[row.dialect]
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


# --- Every dialect --------------------------------------------------------------------------

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Rain?", "parameters": {"type": "object"}},
}
SEALED = CALL | {
    "extra_content": {"thinking_signature": "c2VhbA==", "google": {"thought_signature": "R28="}}
}
TALK = [
    Message(role="system", content="Be brief."),
    Message(role="user", content=[{"type": "text", "text": "Rain?"}]),
    Message(role="assistant", tool_calls=[SEALED], reasoning="Look."),
    Message(role="tool", content="rain", tool_call_id="get_weather_0"),
    Message(role="user", content="And now?"),
]
IMAGE: dict[str, Any] = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64,aGk="},
}


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=lambda row: row.name)
def test_every_provider_is_told_how_long_the_answer_may_be(row: Provider) -> None:
    body = sent(row, model="kimi-k2.6")
    places = (body, body.get("generationConfig", {}), body.get("options", {}))
    assert [place[row.token_limit_field] for place in places if row.token_limit_field in place] == [
        1024
    ]


@pytest.mark.parametrize(
    ("row", "headers"),
    [
        (OPENAI, {"Authorization": "Bearer sk"}),
        (ANTHROPIC, {"x-api-key": "sk", "anthropic-version": "2023-06-01"}),
        (GEMINI, {"x-goog-api-key": "sk"}),
    ],
    ids=lambda row: getattr(row, "name", ""),
)
def test_the_key_goes_where_the_provider_looks_for_it(
    row: Provider, headers: dict[str, str]
) -> None:
    assert SPEECHES[row.dialect].credentials("sk") == headers


def test_a_conversation_in_anthropics_words() -> None:
    body = sent(ANTHROPIC, messages=TALK)
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look.", "signature": "c2VhbA=="},
                {"type": "tool_use", "id": "get_weather_0", "name": "get_weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "get_weather_0",
                    "content": [{"type": "text", "text": "rain"}],
                },
                {"type": "text", "text": "And now?"},
            ],
        },
    ]


def test_a_conversation_in_geminis_words() -> None:
    body = sent(GEMINI, messages=TALK, thinks=True)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True}
    call: dict[str, Any] = {
        "functionCall": {"name": "get_weather", "args": {}},
        "thoughtSignature": "R28=",
    }
    result = {"functionResponse": {"name": "get_weather", "response": {"result": "rain"}}}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "Rain?"}]},
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [result, {"text": "And now?"}]},
    ]


def test_a_conversation_in_ollamas_words() -> None:
    call: dict[str, Any] = {"function": {"name": "get_weather", "arguments": {}}}
    assert sent(OLLAMA, messages=TALK)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "", "tool_calls": [call], "thinking": "Look."},
        {"role": "tool", "content": "rain", "tool_name": "get_weather"},
        {"role": "user", "content": "And now?"},
    ]


def test_instructions_alone_are_put_as_the_question() -> None:
    alone = [Message(role="system", content="Say hi.")]
    assert sent(ANTHROPIC, messages=alone)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Say hi."}]}
    ]
    assert sent(GEMINI, messages=alone)["contents"] == [
        {"role": "user", "parts": [{"text": "Say hi."}]}
    ]


def test_tools_are_named_in_each_dialect() -> None:
    one = {"type": "function", "function": {"name": "get_weather"}}
    wish = Parameters(max_completion_tokens=9, tools=[TOOL], tool_choice=one)
    schema = {"type": "object"}
    anthropic = sent(ANTHROPIC, parameters=wish)
    assert anthropic["tools"] == [
        {"name": "get_weather", "description": "Rain?", "input_schema": schema}
    ]
    assert anthropic["tool_choice"] == {"type": "tool", "name": "get_weather"}
    gemini = sent(GEMINI, parameters=wish)
    assert gemini["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "Rain?",
                    "parametersJsonSchema": schema,
                }
            ]
        }
    ]
    assert gemini["toolConfig"]["functionCallingConfig"] == {
        "mode": "ANY",
        "allowedFunctionNames": ["get_weather"],
    }
    ollama = sent(OLLAMA, parameters=wish)
    assert ollama["tools"] == [TOOL]
    assert "tool_choice" not in ollama


def test_an_image_is_sent_along_in_each_dialect() -> None:
    messages = [Message(role="user", content=[IMAGE])]
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert sent(ANTHROPIC, messages=messages)["messages"][0]["content"] == [
        {"type": "image", "source": source}
    ]
    assert sent(GEMINI, messages=messages)["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    ]
    assert sent(OLLAMA, messages=messages)["messages"][0]["images"] == ["aGk="]


# --- What a provider does not take ----------------------------------------------------------


@pytest.mark.parametrize("row", [ANTHROPIC, GEMINI, OLLAMA], ids=lambda row: row.name)
def test_a_part_that_cannot_be_sent_is_refused_with_the_reason(row: Provider) -> None:
    with pytest.raises(Unsayable, match="message"):
        sent(row, messages=[Message(role="user", content=[{"type": "video_url"}])])


def test_what_an_asker_relies_on_is_refused_with_the_reason() -> None:
    with pytest.raises(Unsayable, match="stop cannot be asked of xAI's grok"):
        sent(XAI, model="grok-4.7", parameters=Parameters(max_completion_tokens=9, stop=["x"]))
    json_only = Parameters(max_completion_tokens=9, response_format={"type": "json_object"})
    with pytest.raises(Unsayable, match="response_format"):
        sent(ANTHROPIC, parameters=json_only)


def test_what_hardly_matters_is_left_out_or_said_in_the_providers_words() -> None:
    wish = Parameters(max_completion_tokens=9, seed=7, reasoning_effort="low")
    assert "seed" not in sent(ANTHROPIC, parameters=wish)
    mistral = sent(MISTRAL, parameters=wish)
    assert mistral["random_seed"] == 7
    assert not mistral.keys() & {"seed", "reasoning_effort", "stream_options"}


def test_two_ways_to_sample_are_one_too_many_for_anthropic() -> None:
    wish = Parameters(max_completion_tokens=9, temperature=0.2, top_p=0.9)
    body = sent(ANTHROPIC, model="claude-haiku-4-5", parameters=wish, messages=TALK)
    assert body["temperature"] == 0.2
    assert "top_p" not in body
    newer = sent(ANTHROPIC, model="claude-opus-5-5", parameters=wish)
    assert not newer.keys() & {"temperature", "top_p"}


def test_openais_reasoning_models_keep_their_own_temperature() -> None:
    wish = Parameters(max_completion_tokens=9, temperature=0.2)
    assert "temperature" not in sent(OPENAI, model="gpt-6.1-sol", parameters=wish)
    assert "temperature" not in sent(OPENAI, model="gpt-9-unheard-of", parameters=wish)
    assert sent(OPENAI, model="gpt-4.1", parameters=wish)["temperature"] == 0.2


@pytest.mark.parametrize(
    ("row", "marked", "beside"),
    [
        (KIMI, {"partial": True}, {"thinking": {"type": "disabled"}}),
        (MISTRAL, {"prefix": True}, {}),
        (VLLM, {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_an_answer_that_broke_off_is_gone_on_with_in_the_providers_own_way(
    row: Provider, marked: dict[str, Any], beside: dict[str, Any]
) -> None:
    asked = [
        Message(role="user", content="Hi"),
        Message(role="assistant", content="The rain"),
    ]
    body = sent(row, messages=asked, prefix="The rain")

    assert body["messages"][-1] == {"role": "assistant", "content": "The rain"} | marked
    assert {name: body.get(name) for name in beside} == beside
    assert not (sent(row, messages=asked)["messages"][-1].keys() & marked.keys())
