"""A look at a provider: its models, its balance, or why there is no answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.failures import Balance, FailureClass, Invalid
from tests.adapters import House, probe


async def test_a_look_tells_the_models(here: House) -> None:
    result = await probe(here)
    assert result.failure is None
    models = {model.id: model for model in result.models}
    assert models["kimi-k2.6"].context_window == 262_144
    assert here.vault.leases[0].purpose == "probe"
    assert here.keys.holds == 0
    assert here.asked == 1


async def test_a_look_at_the_balance_tells_how_much_there_is(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="does not tell"):  # at an address that is no region's
        await probe(here, at="balance")
    monkeypatch.setenv("KIMI_BASE_URL", here.provider.base_url)
    for there, amount, enough in ((49.58894, "49.59", True), (0, "0.00", False)):
        here.provider.balance = there
        balance = (await probe(here, at="balance")).balance
        assert balance == Balance(amount=amount, currency="USD", enough=enough)
    here.vault.secret = "sk-wrong-key-1"
    refused = await probe(here, at="balance")
    assert (refused.failure, refused.balance) == (FailureClass.AUTH, None)
    assert here.asked == 3


async def test_a_look_with_a_wrong_key_says_so(here: House) -> None:
    here.vault.secret = "sk-wrong-key-1"
    result = await probe(here)
    assert (result.failure, result.hint, result.sent) == (FailureClass.AUTH, "region", True)
    assert result.evidence.type == "invalid_authentication_error"


async def test_a_key_is_verified_where_a_bad_one_is_refused(here: House) -> None:
    """OpenRouter's common list is public: it would take any key for a good one."""
    await probe(here, provider="openrouter")
    here.vault.secret = "sk-wrong-key-1"
    refused = await probe(here, provider="openrouter")
    assert [asked.path for asked in here.provider.requests] == ["/v1/models/user"] * 2
    assert refused.failure is FailureClass.AUTH


async def test_a_look_that_was_not_sent_says_so(here: House) -> None:
    expired = datetime.now(UTC) - timedelta(seconds=1)
    assert (await probe(here, expires_at=expired)).hint == "expired"
    assert (await probe(here, endpoint="http://127.0.0.1:9/v1")).sent is False
    here.vault.refuses = True
    assert (await probe(here)).hint == "lease"
    assert here.asked == 0


async def test_a_look_at_something_else_is_no_catalog(here: House) -> None:
    here.vault.secret = "sk-page"
    assert (await probe(here)).failure is FailureClass.UNKNOWN
