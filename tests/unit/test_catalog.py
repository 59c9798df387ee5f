"""Models are looked up in the providers' live lists, never guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.attempts import LiveModel
from contracts.failures import Invalid
from contracts.prices import Price
from contracts.providers import PROVIDERS
from services.discussion.catalog import Catalog, default, listing, participant_facts, resolve

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def catalog(provider: str, *models: str, hours: int = 0) -> Catalog:
    return Catalog(
        provider=provider,
        endpoint="https://api.test/v1",
        models=tuple(LiveModel(id=model) for model in models),
        refreshed_at=NOON,
        key="k" if PROVIDERS[provider].needs_key else "",
        activated_at=NOON + timedelta(hours=hours) if PROVIDERS[provider].needs_key else None,
    )


KIMI = catalog("kimi", "kimi-k2.6", "kimi-k2.7-code", "kimi-k3")
LOCAL = catalog("local", "smollm2-135m-instruct")


def refused(wanted: str, *catalogs: Catalog) -> Invalid:
    with pytest.raises(Invalid) as caught:
        resolve(wanted, "", catalogs)
    return caught.value


def test_a_live_id_is_taken_as_it_is() -> None:
    assert resolve("kimi/kimi-k3", "", [KIMI, LOCAL]) == "kimi/kimi-k3"


def test_a_family_is_its_newest_live_member_that_is_not_the_code_model() -> None:
    assert resolve("kimi/k2", "", [KIMI]) == "kimi/kimi-k2.6"
    newer = catalog("kimi", "kimi-k2.6", "kimi-k2.10", "kimi-k2.7-code")
    assert resolve("kimi/k2", "", [newer]) == "kimi/kimi-k2.10"


def test_a_retired_id_names_its_successor() -> None:
    error = refused("kimi/kimi-k2-0711-preview", KIMI)

    assert error.problem.type == "retired-model"
    assert error.problem.successor == "kimi/kimi-k2.6"


def test_an_unknown_id_comes_with_the_nearest_real_ones() -> None:
    error = refused("kimi/kimi-k26", KIMI, LOCAL)

    assert error.problem.type == "unknown-model"
    assert error.problem.nearest[0] == "kimi/kimi-k2.6"


def test_a_provider_without_a_key_says_how_to_add_one() -> None:
    error = refused("kimi/kimi-k2.6", LOCAL)

    assert error.problem.type == "no-key"
    assert "parley keys add kimi" in error.problem.next_step


@pytest.mark.parametrize("wanted", ["gpt", "nobody/x", "/", "", "kimi", "\x00/\x00"])
def test_what_is_no_model_at_all_is_refused(wanted: str) -> None:
    if wanted:
        assert refused(wanted, KIMI).problem.status == 422


def test_who_chose_nothing_gets_the_newest_verified_providers_default() -> None:
    assert resolve(None, "", [LOCAL, KIMI]) == "kimi/kimi-k2.6"
    assert resolve(None, "", [LOCAL]) == "local/smollm2-135m-instruct"


def test_a_personas_preference_is_a_wish() -> None:
    assert resolve(None, "kimi/kimi-k3", [KIMI, LOCAL]) == "kimi/kimi-k3"
    assert resolve(None, "kimi/kimi-k3", [LOCAL]) == "local/smollm2-135m-instruct"


def test_without_any_model_the_way_out_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        default([])

    assert caught.value.problem.type == "no-model"


def test_what_cannot_be_talked_to_is_not_offered() -> None:
    openai = catalog("openai", "gpt-4o", "text-embedding-3-large", "gpt-image-2", "whisper-1")
    told = catalog("gemini", "gemini-9-new")
    silent = replace(told, models=(LiveModel(id="gemini-9-new", chats=False),))

    assert {view.id for view in listing([openai, silent]) if not view.retired} == {"openai/gpt-4o"}
    error = refused("openai/text-embedding-3-large", openai)
    assert (error.problem.type, error.problem.title) == (
        "unknown-model",
        "This model does not chat",
    )
    assert "openai/text-embedding-3-large" not in error.problem.nearest
    assert refused("gemini/gemini-9-new", silent).problem.type == "unknown-model"


def test_the_list_itself_says_who_thinks_and_what_it_costs() -> None:
    live = LiveModel(
        id="lab/new",
        thinks=True,
        input_price=Decimal(1),
        output_price=Decimal(2),
        context_window=9,
        sees=True,
    )
    known = replace(catalog("openrouter", "lab/new"), models=(live,))

    (view,) = [view for view in listing([known]) if not view.retired]
    assert (view.thinks, view.context_window, view.sees, view.calls_tools) == (True, 9, True, None)
    assert view.price == Price(input=Decimal(1), output=Decimal(2), read="2026-01-01")
    assert participant_facts("openrouter/lab/new", [known]) == (True, view.price)
    assert participant_facts("openrouter/lab/gone", [known]) == (False, None)


def test_of_a_listed_model_the_row_says_whether_it_thinks_unasked() -> None:
    """Anthropic's list tells who can think; Sonnet 4.6 does so only when asked."""
    live = LiveModel(id="claude-sonnet-4-6", thinks=True)
    known = replace(catalog("anthropic"), models=(live,))
    assert participant_facts("anthropic/claude-sonnet-4-6", [known])[0] is False


def test_the_list_shows_prices_the_default_and_what_is_retired() -> None:
    shown = {view.id: view for view in listing([KIMI, LOCAL])}

    assert shown["kimi/kimi-k2.6"].default
    assert shown["kimi/kimi-k2.6"].price is not None
    assert shown["kimi/kimi-latest"].retired
    assert shown["local/smollm2-135m-instruct"].note
