"""Every recorded reply, in every dialect, means exactly what it is expected to mean, however its
bytes were split on the way.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.failures import Balance, FailureClass
from contracts.providers import KIMI, PROVIDERS
from contracts.stream import UsageStatus
from services.provider_adapter.answer import Answer, Told
from services.provider_adapter.balance import balance
from services.provider_adapter.classify import Verdict
from services.provider_adapter.dialects import SPEECHES, Speech, openai_chat
from services.provider_adapter.listener import Interrupted, Listener
from tests.recorded import ALL, ANSWERS, BALANCES, BY_FILE, CATALOGS, REFUSALS, Recorded

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

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


def test_every_recording_is_read_by_a_test() -> None:
    assert len(ALL) == 176
    assert len(CATALOGS) + len(REFUSALS) + len(ANSWERS) + len(BALANCES) == len(ALL)
    assert {recorded.dialect for recorded in ANSWERS} == set(SPEECHES)


# --- Answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", ANSWERS, ids=str)
def test_an_answer_means_what_is_expected(recorded: Recorded) -> None:
    means_what_is_expected(hear([recorded.body], recorded.speech), recorded.expect)


@pytest.mark.parametrize("recorded", ANSWERS, ids=str)
def test_it_means_the_same_byte_by_byte(recorded: Recorded) -> None:
    reads = [recorded.body[i : i + 1] for i in range(len(recorded.body))]
    means_what_is_expected(hear(reads, recorded.speech), recorded.expect)


@pytest.mark.parametrize("recorded", [r for r in ANSWERS if r.splits], ids=str)
def test_it_means_the_same_split_as_recorded(recorded: Recorded) -> None:
    edges = [0, *recorded.splits, len(recorded.body)]
    reads = [recorded.body[a:b] for a, b in itertools.pairwise(edges)]
    means_what_is_expected(hear(reads, recorded.speech), recorded.expect)


@given(data=st.data(), recorded=st.sampled_from(ANSWERS))
@settings(max_examples=150, deadline=None)
def test_it_means_the_same_split_anywhere(data: st.DataObject, recorded: Recorded) -> None:
    size = len(recorded.body)
    edges = data.draw(st.lists(st.integers(0, size), max_size=30).map(sorted))
    reads = [recorded.body[a:b] for a, b in itertools.pairwise([0, *edges, size])]
    means_what_is_expected(hear(reads, recorded.speech), recorded.expect)


@given(data=st.data(), recorded=st.sampled_from(ANSWERS))
@settings(max_examples=150, deadline=None)
def test_a_cut_anywhere_gives_a_beginning_of_the_text_and_no_false_end(
    data: st.DataObject, recorded: Recorded
) -> None:
    whole = hear([recorded.body], recorded.speech).answer
    cut = data.draw(st.integers(0, len(recorded.body)))
    listener = Listener(recorded.speech)
    try:
        listener.feed(recorded.body[:cut])
    except Interrupted:
        return
    assert whole.text.startswith(listener.answer.text)
    assert listener.answer.finish_reason in {"", whole.finish_reason}


# --- Refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", REFUSALS, ids=str)
def test_a_refusal_is_classified_as_expected(recorded: Recorded) -> None:
    verdict = recorded.speech.failure(
        recorded.status, recorded.lower_headers, recorded.body, recorded.row, now=NOW
    )
    expect = recorded.expect
    assert verdict.class_ is OUR_CLASS[expect["error_class"]]
    if (hint := OUR_HINT.get(expect["error_class"])) is not None:
        assert verdict.hint == hint
    if expect["type"] is not None:
        assert expect["type"] in {verdict.evidence.type, verdict.evidence.code}
    assert verdict.evidence.retry_after == expect["retry_after_s"]
    assert verdict.evidence.status == recorded.status


@pytest.mark.parametrize("recorded", REFUSALS, ids=str)
def test_no_evidence_names_an_account_or_a_key(recorded: Recorded) -> None:
    evidence = recorded.speech.failure(
        recorded.status, recorded.lower_headers, recorded.body, recorded.row, now=NOW
    ).evidence
    for secret in ("org-f4ce", "ak-f4k3", "proj-f4ce", "sk-fixtu", "f4keuser", "****"):
        assert secret not in evidence.message


def test_limits_named_in_a_refusal_are_learnt() -> None:
    def learnt(file: str) -> dict[str, int]:
        recorded = BY_FILE[f"moonshot/err-429-rate-{file}.json"]
        return openai_chat.failure(429, {}, recorded.body, KIMI, now=NOW).evidence.limits

    assert learnt("rpm") == {"rpm": 3}
    assert learnt("concurrency") == {"concurrency": 1}
    assert learnt("tpm") == {"tpm": 500_000}
    assert learnt("tpd") == {"tpd": 1_500_000}
    assert learnt("project-tpm") == {"tpm": 100}
    assert learnt("org-generic") == {}


def test_a_vendor_with_two_platforms_is_told_that_the_key_may_be_of_the_other() -> None:
    body = BY_FILE["moonshot/err-401-invalid-authentication.json"].body
    assert openai_chat.failure(401, {}, body, KIMI, now=NOW).hint == "region"
    assert openai_chat.failure(401, {}, body, PROVIDERS["local"], now=NOW).hint == ""


# --- Catalogs -------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", CATALOGS, ids=str)
def test_a_catalog_names_the_expected_models(recorded: Recorded) -> None:
    assert [model.id for model in recorded.speech.catalog(recorded.body)] == recorded.expect["ids"]


def test_moonshots_catalog_tells_windows_and_who_thinks() -> None:
    models = {m.id: m for m in openai_chat.catalog(BY_FILE["moonshot/models.json"].body)}
    assert models["kimi-k2.6"].context_window == 262_144
    assert models["kimi-k3"].context_window == 1_048_576
    assert models["kimi-k3"].thinks is True


def test_anthropics_thinking_is_sealed_and_the_seal_is_kept_with_the_call() -> None:
    recorded = BY_FILE["anthropic/stream-thinking-tool.sse"]
    (call,) = hear([recorded.body], recorded.speech).answer.tool_calls
    assert call["extra_content"] == {"thinking_signature": "Rml4dHVyZQ=="}


def test_geminis_seal_is_kept_with_the_call() -> None:
    recorded = BY_FILE["gemini/stream-thought-tool.sse"]
    (call,) = hear([recorded.body], recorded.speech).answer.tool_calls
    assert call["extra_content"] == {"google": {"thought_signature": "Rml4dHVyZQ=="}}


def test_what_anthropic_had_counted_when_it_was_cut_is_no_measure_of_the_answer() -> None:
    recorded = BY_FILE["anthropic/stream-cut.sse"]
    usage = hear([recorded.body], recorded.speech).answer.usage
    assert usage is not None
    assert (usage.input_tokens, usage.status) == (20, UsageStatus.ESTIMATED)


@pytest.mark.parametrize("recorded", BALANCES, ids=str)
def test_a_balance_is_read_as_expected(recorded: Recorded) -> None:
    told = balance(recorded.status, recorded.lower_headers, recorded.body, recorded.row, now=NOW)
    expect = recorded.expect
    if isinstance(told, Verdict):
        assert told.class_ is OUR_CLASS[expect["error_class"]]
    else:
        assert isinstance(told, Balance)
        assert told.amount == f"{expect['available']:.2f}"
        assert told.enough is expect["can_infer"]


def test_every_row_has_a_dialect() -> None:
    assert all(row.dialect in SPEECHES for row in PROVIDERS.values())
