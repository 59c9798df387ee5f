"""No key is ever read in a log: every known form goes, and every value that was told of."""

from __future__ import annotations

import base64
import json
import re
import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.providers import PROVIDERS
from shared.redaction import REDACTED, Redactor, redact

ALNUM = string.ascii_letters + string.digits


def some(length: int, alphabet: str = ALNUM) -> str:
    return (alphabet * (length // len(alphabet) + 1))[:length]


CANARIES = {
    "openai": "sk-proj-" + some(60),
    "openai service account": "sk-svcacct-" + some(60),
    "openai admin": "sk-admin-" + some(60),
    "openai legacy": "sk-" + some(20) + "T3BlbkFJ" + some(20),
    "anthropic": "sk-ant-api03-" + some(93) + "AA",
    "anthropic admin": "sk-ant-admin01-" + some(93) + "AA",
    "anthropic oauth": "sk-ant-oat01-" + some(40),
    "google": "AIza" + some(35),
    "google new": "AQ." + some(40),
    "groq": "gsk_" + some(52),
    "openrouter": "sk-or-v1-" + some(64, "0123456789abcdef"),
    "xai": "xai-" + some(80),
    "moonshot": "sk-" + some(48),
    "kimi code": "sk-kimi-" + some(64),
    "deepseek": "sk-" + some(32, "0123456789abcdef"),
    "together": "tgp_v1_" + some(40),
    "hugging face": "hf_" + some(34),
    "perplexity": "pplx-" + some(48),
    "moonshot organisation": "org-" + some(32, "0123456789abcdef"),
    "moonshot key id": "ak-" + some(20, string.ascii_lowercase + string.digits),
    "moonshot project": "proj-" + some(32, "0123456789abcdef"),
    "openrouter user": "user_" + some(27),
    "parley token": "parley_" + some(43),
    "nkey seed": "SU" + some(56, string.ascii_uppercase + "234567"),
    "anything in the common form": "sk-" + some(16),
}

SURROUNDINGS = (
    "{}",
    "Incorrect API key provided: {}. You can find your key at …",
    "Your account <{}> request reached organization max RPM: 3",
    "https://host/v1/models?x={}&y=1",
    "https://host/v1?x=a%20{}",
    "request failed\\r\\n{}",
    "Bearer {}",
    "{{'key_{}': 1}}",
    '{{"error": {{"message": "bad {}"}}}}',
)


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
@pytest.mark.parametrize("canary", CANARIES.values(), ids=list(CANARIES))
def test_every_known_form_goes(canary: str, surrounding: str) -> None:
    assert canary not in redact(surrounding.format(canary))
    assert REDACTED in redact(surrounding.format(canary))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "authorization='dXNlcjpwYXNzd29yZA=='",
        "MISTRAL_API_KEY=dXNlcjpwYXNzd29yZA==",
        '{"x-api-key": "dXNlcjpwYXNzd29yZA=="}',
        "x-goog-api-key: dXNlcjpwYXNzd29yZA==",
        "openai-organization: dXNlcjpwYXNzd29yZA==",
        "Msh-Org-Id: dXNlcjpwYXNzd29yZA==",
        "set-cookie: dXNlcjpwYXNzd29yZA==",
        "Bearer dXNlcjpwYXNzd29yZA1",
        "postgresql://parley:dXNlcjpwYXNzd29yZA@localhost/parley",
        '"signin_url": "dXNlcjpwYXNzd29yZA"',
        "https://console.x.ai/team/dXNlcjpwYXNzd29yZA",
    ],
)
def test_what_stands_where_a_secret_stands_goes(text: str) -> None:
    assert "dXNlcjpwYXNzd29yZA" not in redact(text)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Incorrect API key provided: sk-proj-********************wxyz.", "wxyz"),
        ("Incorrect API key provided: xa***89.", "89"),
        ("Your api key: ****1234 is invalid", "1234"),
    ],
)
def test_what_a_vendor_left_of_a_masked_key_goes(text: str, rest: str) -> None:
    assert rest not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "task-oriented-dialogue systems carry a risk-assessment",
        "the role parley_provider_adapter owns nothing",
        '{"discussion": "0192f0c4-1111-7bbb-8ccc-0123456789ab", "level": "info"}',
        "bearer authentication is required",
        "organization max RPM: 3, please try again after 1 seconds",
        "kimi/kimi-k2.6 on https://api.moonshot.ai/v1 answered 429 rate_limit_reached_error",
        "**bold** and 2 ** 3",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


@given(text=st.text(max_size=200) | st.text(alphabet="sk-_*:= /aBearer9\"'", max_size=80))
@settings(max_examples=300)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(secret=st.text(alphabet=ALNUM + "+/=", min_size=6, max_size=60), text=st.text(max_size=40))
def test_a_value_without_a_form_goes_once_it_is_known(secret: str, text: str) -> None:
    redactor = Redactor()
    with redactor.knowing(secret):
        clean = redactor(f"{text} {secret} {base64.b64encode(secret.encode()).decode()}")
        assert secret not in clean.replace(REDACTED, "")
    assert redactor(secret) == redact(secret)


@given(
    secret=st.text(alphabet=ALNUM + "+/=", min_size=24, max_size=60),
    before=st.binary(max_size=4),
    after=st.binary(max_size=4),
)
def test_a_known_value_goes_however_it_was_encoded(
    secret: str, before: bytes, after: bytes
) -> None:
    redactor = Redactor()
    raw = before + secret.encode() + after
    encoded = [
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        raw.hex(),
        raw.hex().upper(),
        f"%01{quote(secret, safe='')}%01",
        f"%01{re.sub('%..', lambda escape: escape[0].lower(), quote(secret, safe=''))}%01",
    ]
    with redactor.knowing(secret):
        clean = [redactor(text) for text in encoded]
    # At most the letters stay that the neighbours have a part in.
    assert all(len(text.replace(REDACTED, "")) <= 12 + len(before + after) * 2 for text in clean)


def test_a_value_stays_known_while_anybody_holds_it() -> None:
    redactor, secret = Redactor(), "0123456789abcdef0123456789abcdef"
    redactor.learn(secret)
    with redactor.knowing(secret):
        pass
    assert redactor(f"a {secret}") == f"a {REDACTED}"
    redactor.forget(secret)
    redactor.forget(secret)  # once too often
    assert redactor(f"a {secret}") == f"a {secret}"
    redactor.learn(secret)
    assert redactor(f"a {secret}") == f"a {REDACTED}"


def test_a_value_is_forgotten_when_nobody_holds_it() -> None:
    redactor = Redactor()
    redactor.learn("0123456789abcdef0123456789abcdef")
    redactor.forget("0123456789abcdef0123456789abcdef")
    assert redactor("0123456789abcdef0123456789abcdef") == "0123456789abcdef0123456789abcdef"


def test_a_log_record_is_cleaned_to_its_last_corner() -> None:
    redactor = Redactor()
    redactor.learn("canary-without-form")
    key = CANARIES["moonshot"]
    record = redactor.processor(
        None,
        "info",
        {
            "event": f"refused {key}",
            "headers": {"Authorization": f"Bearer {key}", key: 1},
            "list": [f"x {key}", (key, b"raw " + key.encode())],
            "error": ValueError(f"bad {key}"),
            "note": "canary-without-form",
            "api_key": "anything at all",
            "count": 3,
        },
    )
    assert "canary-without-form" not in json.dumps(record, default=repr)
    assert key not in json.dumps(record, default=repr)
    assert record["api_key"] == REDACTED
    assert record["count"] == 3


@pytest.mark.parametrize(
    "hostile", ["a" * 50_000, "-*" * 25_000, "sk-*" * 12_000, "api_key  " * 5_000, "://a:" * 10_000]
)
def test_a_long_hostile_text_does_not_hold_up_the_process(hostile: str) -> None:
    redact(hostile)  # would not end for minutes if an expression went back over it


@pytest.mark.parametrize(
    "prefix", [prefix for row in PROVIDERS.values() for prefix in row.key_prefixes]
)
def test_a_key_is_known_by_the_form_that_its_row_tells_of(prefix: str) -> None:
    assert redact(f"key {prefix}0123456789abcdef used") == f"key {REDACTED} used"
