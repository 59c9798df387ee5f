"""A model that a persona prefers: whether it can still be had, and what replaces it."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.attempts import LiveModel
from contracts.standing import ModelStanding
from services.discussion.catalog import Catalog
from services.discussion.standing import standing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def catalog(*models: str) -> list[Catalog]:
    live = tuple(LiveModel(id=model) for model in models)
    return [Catalog(provider="kimi", endpoint="e", models=live, refreshed_at=NOON, key="k")]


KIMI = catalog("kimi-k2.6", "kimi-k3")


def test_a_model_on_the_list_is_available_and_a_family_says_which_one_it_is() -> None:
    assert standing("kimi/kimi-k3", KIMI) == ModelStanding(
        wanted="kimi/kimi-k3", state="available", model="kimi/kimi-k3"
    )
    assert standing("kimi/k2", KIMI).model == "kimi/kimi-k2.6"


def test_a_retired_one_names_its_successor_and_whether_that_can_be_had() -> None:
    told = standing("kimi/kimi-k2-0711-preview", KIMI)

    assert (told.state, told.model) == ("retired", "")
    assert (told.successor, told.successor_available) == ("kimi/kimi-k2.6", True)
    assert told.instead == "kimi/kimi-k2.6"
    assert "kimi/kimi-k2.6" in told.next_step
    assert not standing("kimi/kimi-k2-0711-preview", catalog("kimi-k3")).successor_available


def test_without_a_key_it_is_unavailable_and_nothing_answers() -> None:
    told = standing("kimi/kimi-k3", [])

    assert (told.state, told.reason, told.instead) == ("unavailable", "no-key", "")
    assert "parley keys add kimi" in told.next_step


def test_what_is_on_no_list_is_unknown_and_no_successor_is_guessed() -> None:
    told = standing("kimi/kimi-k1", KIMI)

    assert (told.state, told.successor) == ("unknown", "")
    assert "kimi/kimi-k3" in told.nearest
    assert standing("nobody/x", KIMI).state == "unknown"
    assert standing("gpt", KIMI).state == "unknown"
