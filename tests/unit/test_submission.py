"""What a person pastes becomes a key, or a reason why not; what a provider says becomes advice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.attempts import LiveModel, ProbeResult
from contracts.failures import Evidence, FailureClass, Invalid
from contracts.keys import KeyState, KeyView
from contracts.providers import PROVIDERS
from services.key_vault.aggregate import Accepted, Denied, NoAnswer
from services.key_vault.explanations import denied, may_pass, misplaced, verdict
from services.key_vault.submission import (
    cleaned,
    endpoint_of,
    provider_named,
    region_by_form,
    region_named,
)

KIMI = PROVIDERS["kimi"]
SECRET = "sk-" + "a1" * 24


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        (SECRET, ""),
        (f"  {SECRET}\n", "Spaces"),
        (f"\r\n\t{SECRET}\r\n", "Spaces"),
        (f"Bearer {SECRET}", "Bearer"),
        (f"bearer   {SECRET} ", "Bearer"),
        (f"Authorization: Bearer {SECRET}", "Bearer"),
        (f'"{SECRET}"', "quotation"),
        (f"\ufeff{SECRET}", "Spaces"),
    ],
)
def test_what_was_pasted_along_is_taken_off_and_said(pasted: str, said: str) -> None:
    clean = cleaned(pasted.encode())
    assert clean.secret == SECRET
    assert said in clean.note
    assert bool(said) == bool(clean.note)


@pytest.mark.parametrize(
    ("pasted", "why"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"Bearer ", "empty"),
        (b"sk-abc def", "space"),
        (b"sk-abc\ndef", "line break"),
        (b"sk-abc\r\nX-Evil: 1", "line break"),
        (b"sk-abc\0def", "control"),
        (b"sk-abc\x7fdef", "control"),
        ("sk-abcdéf".encode(), "ASCII"),
        ("sk-\u0430bc".encode(), "ASCII"),
        (b"sk-" + b"a" * 510, "512"),
        (b"a" * 100_000, "512"),
        (b"\xff\xfe\xfd", "text"),
    ],
)
def test_what_can_be_no_key_is_refused_with_the_reason(pasted: bytes, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        cleaned(pasted)
    problem = refused.value.problem
    assert why in problem.detail
    assert problem.status == 422
    assert problem.errors[0]["field"] == "secret"


@given(st.binary(max_size=60))
def test_a_key_is_printable_ascii_whatever_was_pasted(pasted: bytes) -> None:
    try:
        secret = cleaned(pasted).secret
    except Invalid:
        return
    assert secret
    assert all("!" <= letter <= "~" for letter in secret)


def test_the_names_there_are_come_with_the_refusal() -> None:
    with pytest.raises(Invalid) as refused:
        provider_named("kimmi")
    assert refused.value.problem.nearest == ["kimi"]
    assert "kimi" in refused.value.problem.detail
    with pytest.raises(Invalid, match="takes no key"):
        provider_named("local")
    with pytest.raises(Invalid, match="ai, cn, code"):
        region_named(KIMI, "us")


def test_the_operators_address_goes_before_the_vendors() -> None:
    region = region_named(KIMI, None)
    assert endpoint_of(region, {}) == "https://api.moonshot.ai/v1"
    assert endpoint_of(region, {"KIMI_BASE_URL": ""}) == "https://api.moonshot.ai/v1"
    assert endpoint_of(region, {"KIMI_BASE_URL": "http://here:1/v1/"}) == "http://here:1/v1"


def test_a_key_of_another_product_is_known_by_its_form() -> None:
    assert region_by_form(KIMI, "sk-kimi-abc") == "code"
    assert region_by_form(KIMI, "sk-abc") is None


# --- What the provider's answer means -------------------------------------------------------

KEY = KeyView(
    id="k1",
    version=1,
    provider="kimi",
    state=KeyState.PENDING,
    endpoint="https://api.moonshot.ai/v1",
    region="ai",
    fingerprint="f",
)


def said(
    failure: FailureClass, *, form: str | None = None, hint: str = "", **evidence: object
) -> Accepted | Denied | NoAnswer:
    result = ProbeResult(failure=failure, hint=hint, evidence=Evidence(**evidence))  # pyright: ignore[reportArgumentType]
    return verdict(KIMI, KEY, result, form)


def test_a_list_of_models_is_a_yes() -> None:
    result = ProbeResult(models=[LiveModel(id="kimi-k2.6")])
    assert verdict(KIMI, KEY, result, None) == Accepted(models=1)


def test_a_401_names_the_other_region_but_not_other_products() -> None:
    why = said(FailureClass.AUTH, status=401, type="invalid_authentication_error")
    assert isinstance(why, Denied)
    assert "api.moonshot.ai refused the key (401 invalid_authentication_error)" in why.reason
    assert "“cn” (api.moonshot.cn)" in why.next_step
    assert "code" not in why.next_step


def test_a_401_of_a_key_of_another_product_says_where_it_belongs() -> None:
    why = said(FailureClass.AUTH, form="code", status=401)
    assert isinstance(why, Denied)
    assert "“code”" in why.reason
    assert "“code”" in why.next_step


def test_a_403_sends_to_the_console() -> None:
    why = said(FailureClass.AUTH, status=403, type="permission_denied_error")
    assert isinstance(why, Denied)
    assert "console" in why.next_step


def test_an_address_that_is_not_let_in_is_named_as_such() -> None:
    message = "Your IP is not allowed to access this organization"
    why = said(FailureClass.AUTH, status=403, type="permission_denied_error", message=message)
    assert isinstance(why, Denied)
    assert "this machine's address" in why.reason
    assert "allow this machine's public IP address" in why.next_step


def test_a_key_that_has_worked_was_revoked_and_not_mistyped() -> None:
    why = denied(KIMI, replace(KEY, proven=True), Evidence(status=401), "", None)
    assert "revoked" in why.reason
    assert "mistyped" not in why.reason
    assert "rotate" in why.next_step


def test_a_misplaced_key_was_not_sent() -> None:
    assert "not sent" in misplaced(KIMI, KEY, "code").reason


@pytest.mark.parametrize(
    ("failure", "status", "word", "passes"),
    [
        (FailureClass.BILLING, 429, "balance", False),
        (FailureClass.MODEL, 404, "list of models", False),
        (FailureClass.THROTTLED, 429, "limiting", True),
        (FailureClass.TRANSIENT, 502, "did not answer as it should (502)", True),
        (FailureClass.UNKNOWN, 200, "not its own answer (200): a proxy", True),
        (FailureClass.TRANSIENT, 403, "not its own answer (403): a proxy", True),
    ],
)
def test_what_says_nothing_of_the_key_does_not_condemn_it(
    failure: FailureClass, status: int, word: str, passes: bool
) -> None:
    result = ProbeResult(failure=failure, evidence=Evidence(status=status))
    why = verdict(KIMI, KEY, result, None)
    assert isinstance(why, NoAnswer)
    assert word in why.reason
    assert why.next_step
    assert may_pass(result) is passes


def test_what_was_never_sent_says_nothing_even_if_it_looks_like_a_refusal() -> None:
    result = ProbeResult(failure=FailureClass.AUTH, sent=False, hint="lease")
    assert isinstance(verdict(KIMI, KEY, result, None), NoAnswer)
    assert may_pass(result)


def test_an_address_that_cannot_be_reached_asks_about_the_network() -> None:
    result = ProbeResult(failure=FailureClass.TRANSIENT, sent=False, hint="connect")
    why = verdict(KIMI, KEY, result, None)
    assert isinstance(why, NoAnswer)
    assert "could not be reached" in why.reason
    assert "online" in why.next_step


def test_account_ids_in_the_providers_words_are_not_kept() -> None:
    organisation = "org-" + "0123456789abcdef" * 2
    why = said(FailureClass.AUTH, status=401, message=f"Your account {organisation} is …")
    assert isinstance(why, Denied)
    assert organisation not in str(why)
