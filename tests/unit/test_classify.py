from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureClass
from contracts.providers import ANTHROPIC, GROQ, KIMI, OPENAI, Provider
from services.provider_adapter import classify
from services.provider_adapter.classify import Verdict, limits_in, retry_after
from services.provider_adapter.dialects import openai_chat
from shared.redaction import REDACTOR

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HTML = b"<html><head><title>Attention Required! | Cloudflare</title></head><body>no</body></html>"


def judged(status: int, body: bytes | dict[str, object], **headers: str) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps({"error": body}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return openai_chat.failure(status, names, raw, KIMI, now=NOW)


# --- Type before words before status --------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "class_"),
    [
        ("rate_limit_reached_error", FailureClass.THROTTLED),
        ("engine_overloaded_error", FailureClass.OVERLOADED),
        ("exceeded_current_quota_error", FailureClass.BILLING),
        ("invalid_authentication_error", FailureClass.AUTH),
    ],
)
def test_one_status_has_several_meanings_and_the_type_tells(
    type_: str, class_: FailureClass
) -> None:
    assert judged(429, {"type": type_, "message": "no"}).class_ is class_


def test_words_tell_where_the_type_says_nothing() -> None:
    type_ = "invalid_request_error"
    said = "Your request exceeded model token limit: 8192 (requested: 9000)"
    verdict = judged(400, {"type": type_, "message": said})
    assert (verdict.class_, verdict.hint) == (FailureClass.REQUEST, "context_length")
    assert judged(400, {"type": type_, "message": "Invalid API key"}).class_ is FailureClass.AUTH


@pytest.mark.parametrize(
    ("status", "class_"),
    [
        (400, FailureClass.REQUEST),
        (401, FailureClass.AUTH),
        (402, FailureClass.BILLING),
        (403, FailureClass.AUTH),
        (404, FailureClass.MODEL),
        (408, FailureClass.TRANSIENT),
        (413, FailureClass.REQUEST),
        (418, FailureClass.UNKNOWN),
        (422, FailureClass.REQUEST),
        (429, FailureClass.THROTTLED),
        (499, FailureClass.UNKNOWN),
        (500, FailureClass.TRANSIENT),
        (502, FailureClass.TRANSIENT),
        (503, FailureClass.OVERLOADED),
        (504, FailureClass.TRANSIENT),
        (529, FailureClass.OVERLOADED),
        (302, FailureClass.UNKNOWN),
    ],
)
def test_the_status_tells_where_nothing_else_does(status: int, class_: FailureClass) -> None:
    assert judged(status, {"message": "no"}).class_ is class_


def test_a_page_in_front_of_the_provider_says_nothing_of_the_key() -> None:
    assert judged(403, HTML).class_ is FailureClass.TRANSIENT
    assert judged(401, HTML).class_ is FailureClass.TRANSIENT
    assert judged(401, b"").class_ is FailureClass.AUTH
    assert judged(403, HTML).evidence.message == "Attention Required! | Cloudflare no"


@pytest.mark.parametrize("length", [20, 51, 512])
@pytest.mark.parametrize("before", [0, 150, 195, 590, 4790, 4999])
def test_a_key_is_not_cut_into_something_that_no_longer_looks_like_one(
    length: int, before: int
) -> None:
    secret = "formless" + "x7" * (length // 2 - 4)
    with REDACTOR.knowing(secret):
        for words in (" " * before + secret, "a" * before + secret, secret * 4000):
            for verdict in (
                judged(401, {"message": words}),
                judged(502, f"<p>{words}</p>".encode()),
            ):
                assert "x7x7x7" not in verdict.evidence.message


def test_an_unknown_path_is_not_an_unknown_model() -> None:
    body = {"code": 5, "error": "url.not_found", "message": "没找到对象", "scode": "0x5"}
    verdict = openai_chat.failure(404, {}, json.dumps(body).encode(), KIMI, now=NOW)
    assert (verdict.class_, verdict.hint) == (FailureClass.REQUEST, "path")
    assert judged(404, HTML).class_ is FailureClass.REQUEST


def test_a_200_that_is_no_answer_is_unknown() -> None:
    assert judged(200, HTML).class_ is FailureClass.UNKNOWN


# --- How long to wait -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"retry-after": "5"}, "", 5),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, "", 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, "", 30),
        (
            {
                "retry-after": "Sun, 22 Nov 2026 18:00:30 GMT",
                "date": "Sun, 22 Nov 2026 18:00:00 GMT",
            },
            "",
            30,
        ),
        ({"msh-cooldown-seconds": "7"}, "", 7),
        ({"retry-after": "5"}, "please try again after 17 seconds", 5),
        ({}, "max RPM: 3, please try again after 17 seconds", 17),
        ({}, "Please try again in 644ms.", 0.644),
        ({}, "Please try again in 2m59.56s.", 179.56),
        ({}, "Please try again in 6m0s.", 360),
        ({}, "try again in 2 minutes", 120),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "-3"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "0"}, "", None),
        ({"retry-after": "Sun, 22 Nov 2020 12:00:30 GMT"}, "", None),
        ({"retry-after": "Sun, 99 Nov 2026 12:00:30"}, "after 4 seconds", 4),
        ({}, "The engine is currently overloaded, please try again later", None),
        ({}, "after all, in the end", None),
    ],
)
def test_a_wait_is_read_from_headers_then_from_words(
    headers: dict[str, str], message: str, wait: float | None
) -> None:
    assert retry_after(headers, message, now=NOW) == pytest.approx(wait)


def test_a_wait_named_on_a_success_is_none() -> None:
    assert judged(200, HTML, retry_after="30").evidence.retry_after is None


def test_limits_come_from_the_words() -> None:
    assert limits_in("organization max RPM: 3, try again") == {"rpm": 3}
    assert limits_in("max organization concurrency: 20, x") == {"concurrency": 20}
    assert limits_in("reached organization TPM rate limit, current:52, limit:50") == {"tpm": 50}
    assert limits_in("on tokens per minute (TPM): Limit 8000, Requested 9411") == {"tpm": 8000}
    assert limits_in("RPM limit of 0: 0") == {}


OPENAI_HEADERS = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "150000"}
ANTHROPIC_HEADERS = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-tokens-limit": "30000",
}


def limits_of(row: Provider, status: int, headers: dict[str, str], message: str) -> dict[str, int]:
    body = json.dumps({"error": {"message": message}}).encode()
    return openai_chat.failure(status, headers, body, row, now=NOW).evidence.limits


def test_limits_come_from_the_headers_that_the_row_names() -> None:
    slow = "Rate limit reached, too many requests"
    assert limits_of(OPENAI, 429, OPENAI_HEADERS, slow) == {"rpm": 60, "tpm": 150_000}
    assert limits_of(ANTHROPIC, 429, ANTHROPIC_HEADERS, slow) == {"rpm": 50, "tpm": 30_000}
    # Groq's are requests of a day, and tokens of a minute.
    assert limits_of(GROQ, 429, OPENAI_HEADERS, slow) == {"tpm": 150_000}
    assert limits_of(KIMI, 429, OPENAI_HEADERS, slow) == {}


def test_what_the_words_name_counts_before_what_the_headers_name() -> None:
    said = "Rate limit reached on tokens per minute (TPM): Limit 8000, Requested 9411"
    assert limits_of(OPENAI, 429, OPENAI_HEADERS, said) == {"rpm": 60, "tpm": 8_000}
    refused = json.dumps({"error": {"message": said}}).encode()
    assert openai_chat.failure(429, OPENAI_HEADERS, refused, OPENAI, now=NOW).hint == "tokens"


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1e3", "9" * 30, "60, 60;w=60", "\u0663"])
def test_a_header_that_names_no_number_names_no_limit(value: str) -> None:
    slow = "Rate limit reached, too many requests"
    assert limits_of(OPENAI, 429, {"x-ratelimit-limit-requests": value}, slow) == {}


def test_headers_name_limits_only_where_a_limit_was_reached() -> None:
    """They stand on every answer; a wrong key or a sick provider is no reason to go slower."""
    assert limits_of(OPENAI, 401, OPENAI_HEADERS, "Incorrect API key provided") == {}
    assert limits_of(OPENAI, 503, OPENAI_HEADERS, "overloaded") == {}


# --- Nothing that a provider says can hurt --------------------------------------------------


def test_an_account_is_told_from_others_and_not_named() -> None:
    one, other = f"org-{'a1' * 16}", f"org-{'b2' * 16}"

    def said(id_: str) -> Verdict:
        words = f"Your account {id_}<ak-{'k' * 20}> request reached organization max RPM: 3"
        return judged(429, {"type": "rate_limit_reached_error", "message": words})

    assert said(one).evidence.account == said(one).evidence.account
    assert said(one).evidence.account != said(other).evidence.account
    assert one[4:] not in repr(said(one))
    # In a header or in its words: it is the same account.
    assert classify.account(KIMI, {"msh-org-id": one}) == said(one).evidence.account
    assert classify.account(KIMI, {}) == judged(500, b"").evidence.account == ""


def test_evidence_is_one_short_line_without_ids_and_keys() -> None:
    message = (
        "Your account org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3>\r\nkey "
        "sk-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV is \x00 bad " + "x" * 9000
    )
    said = judged(429, {"type": "rate_limit_reached_error", "message": message}).evidence.message
    assert len(said) <= classify.MESSAGE_LIMIT
    assert "\n" not in said
    assert "\x00" not in said
    assert "f4ce" not in said
    assert "f4k3" not in said
    assert "abcdefgh" not in said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
KEYS = st.sampled_from(
    ["error", "message", "type", "code", "detail", "object", "choices", "delta", "usage"]
)


@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON)).map(
            lambda document: json.dumps(document).encode()
        ),
    ),
    status=st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date", "x-retry-after"]), st.text()
    ),
)
def test_any_refusal_is_classified(body: bytes, status: int, headers: dict[str, str]) -> None:
    verdict = openai_chat.failure(status, headers, body, KIMI, now=NOW)
    assert verdict.class_ in FailureClass
