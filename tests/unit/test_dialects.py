from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.failures import FailureClass
from contracts.providers import GEMINI, OPENROUTER, Dialect
from services.provider_adapter import classify
from services.provider_adapter.answer import Answer, Unreadable
from services.provider_adapter.dialects import SPEECHES, anthropic_messages, gemini, ollama
from services.provider_adapter.listener import Foreign, Interrupted, Listener
from services.provider_adapter.wire import Frame

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def heard(dialect: Dialect, *frames: Any) -> Answer:
    speech, answer = SPEECHES[dialect], Answer()
    for frame in frames:
        if (piece := speech.from_wire(Frame(json.dumps(frame).encode()))) is not None:
            answer.take(piece)
    return answer


# --- Gemini ---------------------------------------------------------------------------------


def test_a_blocked_question_is_a_refusal_and_no_empty_answer() -> None:
    piece = gemini.from_wire(
        Frame(b'{"promptFeedback":{"blockReason":"SAFETY"},"modelVersion":"gemini-3.5-flash"}')
    )
    assert piece is not None
    assert piece.error is not None
    verdict = classify.verdict(piece.error, status=200, headers={}, body=b"", row=GEMINI, now=NOW)
    assert (verdict.class_, verdict.hint) == (FailureClass.REQUEST, "content_filter")
    assert verdict.evidence.message == "The question was blocked: SAFETY."


def test_a_filtered_answer_ends_in_the_common_terms() -> None:
    answer = heard(Dialect.GEMINI, {"candidates": [{"finishReason": "SAFETY"}]})
    assert answer.finish_reason == "content_filter"


def test_geminis_bad_key_is_a_400_with_the_reason_in_its_details() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT", "details": [info]}
    body = json.dumps({"error": error}).encode()
    verdict = gemini.failure(400, {}, body, GEMINI, now=NOW)
    assert verdict.class_ is FailureClass.AUTH
    assert (verdict.evidence.type, verdict.evidence.code) == ("INVALID_ARGUMENT", "API_KEY_INVALID")


def test_geminis_quota_of_the_day_is_told_from_that_of_the_minute() -> None:
    def hint(quota: str) -> str:
        violations = [{"quotaId": f"GenerateRequests{quota}PerProjectPerModel-FreeTier"}]
        error = {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"violations": violations}],
        }
        return gemini.failure(429, {}, json.dumps({"error": error}).encode(), GEMINI, now=NOW).hint

    assert hint("PerDay") == "daily"
    assert hint("PerMinute") == ""


def test_an_error_inside_geminis_stream_is_heard() -> None:
    listener = Listener(gemini)
    error = b'{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}'
    with pytest.raises(Interrupted, match="overloaded"):
        listener.feed(b"data: " + error + b"\r\n\r\n")


# --- Anthropic ------------------------------------------------------------------------------


def test_an_error_inside_anthropics_stream_is_heard() -> None:
    listener = Listener(anthropic_messages)
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(Interrupted, match="Overloaded"):
        listener.feed(b"event: error\ndata: " + error + b"\n\n")


def test_input_counted_only_at_the_start_is_not_forgotten() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 5},
    }
    usage = heard(Dialect.ANTHROPIC_MESSAGES, start, end).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (9, 5)


def test_a_whole_message_says_what_its_stream_would_have() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="},
        {"type": "text", "text": "Look."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ]
    body = {
        "type": "message",
        "model": "claude-sonnet-5-5",
        "content": content,
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    answer = Answer()
    answer.take(anthropic_messages.from_whole(json.dumps(body).encode()))
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Look.", "Hm.", "tool_calls")
    (call,) = answer.tool_calls
    assert call["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert call["extra_content"] == {"thinking_signature": "c2VhbA=="}


# --- Ollama ---------------------------------------------------------------------------------


def test_ollamas_calls_get_ids_and_end_in_the_common_terms() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    other = {"function": {"name": "f", "arguments": {"a": 2}}}
    moment = {"created_at": "2026-11-22T10:00:00Z"}
    answer = heard(
        Dialect.OLLAMA,
        moment | {"message": {"content": "", "thinking": "Hm.", "tool_calls": [call, other]}},
        moment | {"message": {"content": ""}, "done": True, "done_reason": "stop"},
    )
    first, second = answer.tool_calls
    assert first["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert second["function"] == {"name": "f", "arguments": '{"a":2}'}
    assert first["id"] != second["id"]
    assert (answer.reasoning, answer.finish_reason) == ("Hm.", "tool_calls")


def test_calls_are_passed_on_as_openais_clients_read_them() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    (said,) = heard(Dialect.OLLAMA, {"message": {"tool_calls": [call]}}).unsent()
    (delta,) = json.loads(said.text)
    assert (delta["index"], delta["type"]) == (0, "function")
    assert delta["function"] == {"name": "f", "arguments": '{"a":1}'}

    block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    start: dict[str, Any] = {"type": "content_block_start", "index": 2, "content_block": block}
    (said,) = heard(Dialect.ANTHROPIC_MESSAGES, start).unsent()
    (delta,) = json.loads(said.text)
    assert (delta["index"], delta["id"]) == (0, "toolu_1")
    assert delta["function"] == {"name": "f", "arguments": ""}


def test_an_error_line_after_a_200_is_heard() -> None:
    listener = Listener(ollama)
    with pytest.raises(Interrupted, match="ran out of memory"):
        listener.feed(b'{"error":"the runner ran out of memory"}\n')


def test_a_page_of_html_is_no_answer_of_ollama() -> None:
    with pytest.raises(Foreign):
        Listener(ollama).feed(b"<html>")


def test_what_was_pulled_is_the_catalog() -> None:
    body = b'{"models":[{"name":"qwen3:8b","size":5}]}'
    assert [model.id for model in ollama.catalog(body)] == ["qwen3:8b"]


# --- All of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("body", [b"", b"null", b"3", b'{"x":1}', b"<html>", b"[" * 9999])
def test_a_list_of_models_that_is_none_is_unreadable(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(Unreadable):
        SPEECHES[dialect].catalog(body)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"3", b'{"x":1}', b"<html>", b"[" * 9999])
def test_what_is_no_answer_is_unreadable(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(Unreadable):
        SPEECHES[dialect].from_whole(body)


def test_an_id_that_is_none_at_openrouter_is_a_model_that_is_not_there() -> None:
    body = b'{"error":{"message":"x/y is not a valid model ID","code":400}}'
    verdict = SPEECHES[OPENROUTER.dialect].failure(400, {}, body, OPENROUTER, now=NOW)
    assert verdict.class_ is FailureClass.MODEL
