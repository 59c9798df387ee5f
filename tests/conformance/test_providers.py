"""Every recorded reply, in every dialect, means exactly what it is expected to mean, however its
bytes were split on the way.
"""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.failures import Balance
from contracts.providers import KIMI, PROVIDERS
from contracts.stream import UsageStatus
from services.provider_adapter.balance import balance
from services.provider_adapter.classify import Verdict
from services.provider_adapter.dialects import (
    SPEECHES,
    anthropic_messages,
    gemini,
    openai_chat,
)
from services.provider_adapter.listener import Interrupted, Listener
from tests.meaning import OUR_CLASS, OUR_HINT, hear, means_what_is_expected
from tests.recorded import ALL, ANSWERS, BALANCES, BY_FILE, CATALOGS, REFUSALS, Recorded

EXAMPLES = int(os.environ.get("PARLEY_DEEP", "150"))
"""Of places to split at; `make test/deep` tries many more."""

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_every_recording_is_read_by_a_test() -> None:
    assert len([recorded for recorded in ALL if not recorded.live]) == 176
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
@settings(max_examples=EXAMPLES, deadline=None)
def test_it_means_the_same_split_anywhere(data: st.DataObject, recorded: Recorded) -> None:
    size = len(recorded.body)
    edges = data.draw(st.lists(st.integers(0, size), max_size=30).map(sorted))
    reads = [recorded.body[a:b] for a, b in itertools.pairwise([0, *edges, size])]
    means_what_is_expected(hear(reads, recorded.speech), recorded.expect)


@given(data=st.data(), recorded=st.sampled_from(ANSWERS))
@settings(max_examples=EXAMPLES, deadline=None)
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


def test_openrouters_catalog_tells_prices_and_abilities() -> None:
    (model,) = openai_chat.catalog(BY_FILE["openrouter/models.json"].body)
    assert (model.input_price, model.cached_price, model.output_price) == (
        Decimal(3),
        Decimal("0.3"),
        Decimal(15),
    )
    assert (model.thinks, model.sees, model.calls_tools, model.chats) == (True, True, True, True)


def test_a_price_that_varies_is_none() -> None:
    auto = b'{"data":[{"id":"openrouter/auto","pricing":{"prompt":"-1","completion":"-1"}}]}'
    (model,) = openai_chat.catalog(auto)
    assert model.input_price is None


def test_togethers_catalog_tells_prices_and_kinds() -> None:
    (model,) = openai_chat.catalog(BY_FILE["together/models.json"].body)
    assert (model.input_price, model.output_price) == (Decimal(3), Decimal(15))
    assert model.chats is True
    (other,) = openai_chat.catalog(b'[{"id":"BAAI/bge-base","type":"embedding"}]')
    assert other.chats is False


def test_mistrals_catalog_tells_who_chats_and_sees() -> None:
    (model,) = openai_chat.catalog(BY_FILE["mistral/models.json"].body)
    assert (model.chats, model.sees, model.calls_tools, model.thinks) == (True, True, True, None)


def test_geminis_catalog_tells_who_thinks_and_who_only_embeds() -> None:
    chats, embeds = gemini.catalog(BY_FILE["gemini/models.json"].body)
    assert (chats.chats, chats.thinks) == (True, True)
    assert (embeds.chats, embeds.thinks) == (False, None)


def test_anthropics_newer_catalog_tells_who_can_think() -> None:
    entry = b'{"id":"claude-next","capabilities":{"thinking":{"supported":true}}}'
    (model,) = anthropic_messages.catalog(b'{"data":[' + entry + b"]}")
    assert model.thinks is True
    assert all(
        each.thinks is None
        for each in anthropic_messages.catalog(BY_FILE["anthropic/models.json"].body)
    )


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
