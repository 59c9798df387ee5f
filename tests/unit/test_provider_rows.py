from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from contracts.failures import FailureClass
from contracts.providers import PROVIDERS, Provider
from services.discussion.settings import keyless_addresses

EVERY_ROW = pytest.mark.parametrize("row", PROVIDERS.values(), ids=lambda row: row.name)


def test_the_providers_that_parley_speaks_to() -> None:
    assert set(PROVIDERS) >= {
        "kimi", "openai", "anthropic", "gemini", "deepseek", "openrouter", "groq", "mistral",
        "xai", "together", "ollama", "vllm", "local",
    }  # fmt: skip


@EVERY_ROW
def test_the_operator_can_give_another_address(row: Provider) -> None:
    assert row.regions[0].env == f"{row.name.upper()}_BASE_URL"
    assert all(re.fullmatch(r"[A-Z_]+_BASE_URL", region.env) for region in row.regions)


@EVERY_ROW
def test_a_key_goes_to_public_encrypted_addresses_only_and_the_rest_has_none(row: Provider) -> None:
    for region in row.regions:
        if row.needs_key:
            parts = urlsplit(region.base_url)
            assert parts.scheme == "https"
            assert parts.hostname
            assert not region.base_url.endswith("/")
        else:
            assert not region.base_url
            assert row.absent


def test_what_has_no_address_is_not_asked_for_its_models() -> None:
    assert keyless_addresses({}) == {}
    assert keyless_addresses({"OLLAMA_BASE_URL": "http://localhost:11434/"}) == {
        "ollama": "http://localhost:11434"
    }


@EVERY_ROW
def test_nobody_is_led_to_a_model_that_is_gone(row: Provider) -> None:
    gone = row.retired.keys()
    assert not gone & set(row.default_models)
    assert not gone & set(row.retired.values())
    assert not gone & {model.id for model in row.models}


@EVERY_ROW
def test_prices_come_in_pairs_and_a_cache_is_no_dearer(row: Provider) -> None:
    for model in row.models:
        assert model.input_price is not None
        assert model.output_price is not None
        assert model.cached_price is None or model.cached_price <= model.input_price


@EVERY_ROW
def test_every_word_of_a_row_means_something(row: Provider) -> None:
    assert set(row.error_map.values()) <= {class_.value for class_ in FailureClass}
    assert set(row.key_prefixes.values()) <= {region.name for region in row.regions}
    for pattern in row.families.values():
        re.compile(pattern)
