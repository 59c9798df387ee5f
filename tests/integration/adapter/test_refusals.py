"""An attempt without an answer: what was not sent, what failed, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from contracts.attempts import Parameters
from contracts.failures import FailureClass
from shared.redaction import REDACTED
from tests.adapters import House, probe
from tests.canary import formless, traces


async def test_an_expired_request_is_not_sent(here: House) -> None:
    expired = datetime.now(UTC) - timedelta(seconds=1)
    error = await here.error_of(await here.ask(expires_at=expired))
    assert (error.class_, error.hint, error.sent) == (FailureClass.TRANSIENT, "expired", False)
    assert here.asked == 0


async def test_what_cannot_be_asked_there_is_not_sent(here: House) -> None:
    wish = Parameters(max_completion_tokens=9, stop=["x"])
    error = await here.error_of(await here.ask(provider="xai", model="grok-4.7", parameters=wish))
    assert (error.class_, error.hint, error.sent) == (FailureClass.REQUEST, "parameter", False)
    assert "reasoning models" in error.evidence.message
    assert here.asked == 0


async def test_without_a_lease_nothing_is_sent(here: House) -> None:
    here.vault.refuses = True
    error = await here.error_of(await here.ask())
    assert (error.hint, error.sent) == ("lease", False)
    assert "quarantined" in error.evidence.message
    assert here.asked == 0


async def test_nobody_listening_is_proof_that_nothing_was_sent(here: House) -> None:
    error = await here.error_of(await here.ask(endpoint="http://127.0.0.1:9/v1"))
    assert (error.class_, error.hint, error.sent) == (FailureClass.TRANSIENT, "connect", False)


async def test_an_unknown_name_is_proof_that_nothing_was_sent(here: House) -> None:
    error = await here.error_of(await here.ask(endpoint="http://nowhere.invalid/v1"))
    assert (error.class_, error.sent) == (FailureClass.TRANSIENT, False)


@pytest.mark.parametrize(
    ("behaviour", "class_"),
    [
        ("wrong-key", FailureClass.AUTH),
        ("gone", FailureClass.MODEL),
        ("no-balance", FailureClass.BILLING),
        ("filtered", FailureClass.REQUEST),
        ("rpm", FailureClass.THROTTLED),
        ("overloaded", FailureClass.OVERLOADED),
        ("down", FailureClass.TRANSIENT),
        ("server-error", FailureClass.TRANSIENT),
        ("page", FailureClass.UNKNOWN),
        ("drop", FailureClass.AMBIGUOUS),
        ("cut", FailureClass.MIDSTREAM),
        ("no-finish", FailureClass.MIDSTREAM),
        ("in-band", FailureClass.MIDSTREAM),
        ("error: 418 teapot no", FailureClass.UNKNOWN),
        ("html: 502", FailureClass.TRANSIENT),
        ("html: 403", FailureClass.TRANSIENT),
        ("replay: moonshot/chat-empty-200.sse", FailureClass.AMBIGUOUS),
        ("replay: moonshot/chat-error-first-frame.sse", FailureClass.THROTTLED),
        ("replay: moonshot/chat-error-midstream-event.sse", FailureClass.REQUEST),
        ("replay: moonshot/chat-cut-mid-json.sse", FailureClass.MIDSTREAM),
        ("replay: mistral/stream-finish-error.sse", FailureClass.MIDSTREAM),
        ("text: Some ; raw: data: {broken", FailureClass.MIDSTREAM),
    ],
)
async def test_every_failure_has_its_class_and_costs_one_request(
    here: House, behaviour: str, class_: FailureClass
) -> None:
    request = await here.ask(f"[[{behaviour}]]")
    error = await here.error_of(request)
    assert (error.class_, error.sent) == (class_, True)
    assert error.text == here.text_of(request)
    assert here.asked == 1


async def test_evidence_holds_limits_and_waits_but_no_ids(here: House) -> None:
    evidence = (await here.error_of(await here.ask("[[rpm]]"))).evidence
    assert (evidence.status, evidence.retry_after, evidence.limits) == (429, 1, {"rpm": 3})
    assert "org-" not in evidence.message
    assert "ak-" not in evidence.message


async def test_a_key_without_a_form_is_not_in_the_evidence(here: House) -> None:
    here.vault.secret = "plainlookingword"
    error = await here.error_of(await here.ask("[[error: 401 x bad key plainlookingword]]"))
    assert "plainlookingword" not in error.evidence.message


@pytest.mark.parametrize("said", ["error: 401 x no", "html: 502", "text: Yes. ; error: 500 x no"])
async def test_a_key_that_the_provider_says_back_stays_between_the_two(
    here: House, said: str
) -> None:
    here.provider.echoes, here.vault.secret = True, formless()
    error = await here.error_of(await here.ask(f"[[{said}]]"))
    told = msgspec.json.encode(error)
    assert REDACTED.encode() in told
    assert [trace for trace in traces(here.vault.secret) if trace in told] == []


async def test_a_key_on_trial_that_the_provider_says_back_stays_between_the_two(
    here: House,
) -> None:
    here.provider.echoes, here.provider.keys, here.vault.secret = True, set(), formless()
    told = msgspec.json.encode(await probe(here))
    assert REDACTED.encode() in told
    assert [trace for trace in traces(here.vault.secret) if trace in told] == []


async def test_a_key_is_known_to_an_answer_that_outlives_its_loan(here: House) -> None:
    here.provider.echoes, here.vault.secret, here.provider.rate = True, formless(), 20
    request = await here.ask("[[text: Yes. ; wait: 300ms ; error: 500 x no]]")
    await here.hears(request, "Yes")
    here.keys.forget_all()
    told = msgspec.json.encode(await here.error_of(request))
    assert [trace for trace in traces(here.vault.secret) if trace in told] == []
