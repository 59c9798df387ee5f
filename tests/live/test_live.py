"""The conformance suite against a true service: off unless asked for, a few small requests.

What it says is recorded without the key and read again by the ordinary suite from then on.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.attempts import LiveModel
from contracts.failures import FailureClass
from contracts.stream import UsageStatus
from services.provider_adapter.answer import Answer
from services.provider_adapter.balance import Balance, balance
from services.provider_adapter.classify import Verdict
from tests.live.conftest import Reply, Service
from tests.live.recording import cleaned
from tests.meaning import Heard, hear, means_what_is_expected

NEUTRAL = {
    FailureClass.AUTH: "auth",
    FailureClass.MODEL: "not_found",
    FailureClass.REQUEST: "bad_request",
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def listed(service: Service, reply: Reply) -> list[LiveModel]:
    assert reply.status == 200, told(service, reply)
    return service.speech.catalog(reply.body)


def told(service: Service, reply: Reply) -> str:
    """Why it did not answer, without the key."""
    said = cleaned(reply.body[:600], service.secret).decode(errors="replace")
    return f"HTTP {reply.status}: {said}"


@pytest.fixture(scope="session")
def chosen() -> dict[str, str]:
    """Which model is asked, once the list was seen."""
    return {}


async def test_its_list_of_models_is_read(service: Service, chosen: dict[str, str]) -> None:
    reply = await service.get(service.catalog_path)
    models = listed(service, reply)

    ids = [model.id for model in models]
    assert ids
    usable = [
        model.id for model in models if model.chats is not False and service.row.chats(model.id)
    ]
    preferred = [id for id in service.row.default_models if id in ids]
    assert preferred or not service.row.default_models, f"none of the row's models is in {ids}"
    chosen["model"] = service.wanted or (preferred or usable)[0]
    record(service, "models.json", reply, {"ids": ids_in(service, reply)})


async def test_an_answer_is_whole(service: Service, chosen: dict[str, str]) -> None:
    reply = await service.ask(
        "Reply with exactly these words and nothing else: Hello, Parley.", model=model(chosen)
    )

    heard = understood(service, reply)
    assert heard.answer.finish_reason == "stop"
    assert heard.answer.text.strip()
    record_answer(service, "stream-text", reply, heard)


async def test_a_tool_is_called(service: Service, chosen: dict[str, str]) -> None:
    reply = await service.ask(
        "What is the weather in Oslo? Use the tool.", model=model(chosen), tools=[TOOL]
    )

    heard = understood(service, reply)
    (call,) = heard.answer.tool_calls
    assert heard.answer.finish_reason in {"tool_calls", "stop"}
    assert call["function"]["name"] == "get_weather"
    assert "city" in json.loads(call["function"]["arguments"])
    record_answer(service, "stream-tool", reply, heard)


async def test_an_answer_that_was_cut_short_says_so(
    service: Service, chosen: dict[str, str]
) -> None:
    reply = await service.ask("Count from one to a hundred.", model=model(chosen), most=16)

    heard = understood(service, reply)
    assert heard.answer.finish_reason == "length"
    record_answer(service, "stream-length", reply, heard)


async def test_an_unknown_model_is_told_apart(service: Service) -> None:
    reply = await service.ask("Hello?", model="parley-no-such-model")

    record_refusal(service, "err-unknown-model.json", reply, FailureClass.MODEL)


async def test_a_bad_key_is_told_apart(service: Service) -> None:
    if not service.secret:
        pytest.skip("it takes no key")
    prefix = next(
        (each for each in service.row.key_prefixes if service.secret.startswith(each)), ""
    )
    made_up = prefix + "parley0no0such0key" * 12
    reply = await service.get(service.catalog_path, made_up[: len(service.secret)])

    record_refusal(service, "err-bad-key.json", reply, FailureClass.AUTH)


async def test_its_balance_is_read(service: Service) -> None:
    if not service.row.balance_path:
        pytest.skip("it does not tell")
    reply = await service.get(service.row.balance_path)

    # Not recorded: what is left in an account is its owner's business.
    answer = balance(reply.status, reply.headers, reply.body, service.row, now=datetime.now(UTC))
    assert isinstance(answer, Balance), told(service, reply)


# --- What a reply means ---------------------------------------------------------------------


def model(chosen: dict[str, str]) -> str:
    if "model" not in chosen:
        pytest.skip("without its list of models nobody knows whom to ask")
    return chosen["model"]


def understood(service: Service, reply: Reply) -> Heard:
    """The whole answer; the same when it comes byte by byte."""
    assert reply.status == 200, told(service, reply)
    heard = hear([reply.body], service.speech)
    assert heard.error is None, told(service, reply)
    assert heard.answer.usage is not None
    assert heard.answer.usage.status is UsageStatus.MEASURED
    in_bytes = [reply.body[i : i + 1] for i in range(len(reply.body))]
    means_what_is_expected(hear(in_bytes, service.speech), expected(heard))
    return heard


def expected(heard: Heard) -> dict[str, Any]:
    answer: Answer = heard.answer
    usage = answer.usage
    assert usage is not None
    calls = [
        {
            "id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
        }
        for call in answer.tool_calls
    ]
    meant: dict[str, Any] = {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "finish_reason": answer.finish_reason,
        "usage": {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "total": usage.input_tokens + usage.output_tokens,
            "cached": usage.cached_tokens or 0,
            "reasoning": usage.reasoning_tokens or 0,
        },
        "end": "done" if heard.done else "eof_after_finish",
    }
    return meant | ({"tool_calls": calls} if calls else {})


# --- Recording ------------------------------------------------------------------------------


def record(service: Service, name: str, reply: Reply, expect: dict[str, Any]) -> None:
    service.recorder.record(
        name,
        method=reply.method,
        path=reply.path,
        status=reply.status,
        headers=reply.headers,
        body=reply.body,
        expect=expect,
    )


def ids_in(service: Service, reply: Reply) -> list[str]:
    return [each.id for each in service.speech.catalog(cleaned(reply.body, service.secret))]


def record_answer(service: Service, name: str, reply: Reply, heard: Heard) -> None:
    kept = hear([cleaned(reply.body, service.secret)], service.speech)
    assert kept.answer.finish_reason == heard.answer.finish_reason, "cleaning broke the stream"
    whole = "json" in reply.headers.get("content-type", "")
    record(service, f"{name}.{'json' if whole else 'sse'}", reply, expected(kept))


def record_refusal(service: Service, name: str, reply: Reply, class_: FailureClass) -> None:
    def verdict(body: bytes) -> Verdict:
        now = datetime.now(UTC)
        return service.speech.failure(reply.status, reply.headers, body, service.row, now=now)

    heard = verdict(reply.body)
    assert heard.class_ is class_, told(service, reply)
    kept = verdict(cleaned(reply.body, service.secret)).evidence
    expect = {
        "error_class": NEUTRAL[class_],
        "type": kept.type or kept.code or None,
        "retry_after_s": kept.retry_after,
    }
    record(service, name, reply, expect)
