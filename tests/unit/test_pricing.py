"""What an attempt costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from contracts.prices import Price
from contracts.providers import PROVIDERS
from contracts.stream import Usage, UsageStatus
from services.discussion.pricing import cost, listed


def used(input_: int, output: int, cached: int | None = None) -> Usage:
    return Usage(
        input_tokens=input_,
        output_tokens=output,
        cached_tokens=cached,
        status=UsageStatus.MEASURED,
    )


def of(model: str) -> Price | None:
    provider, _, name = model.partition("/")
    return listed(PROVIDERS[provider].model(name))


def amount(model: str, usage: Usage) -> Decimal:
    found = cost(of(model), usage)
    assert found is not None
    assert found.currency == "USD"
    return found.amount


def test_what_was_cached_is_cheaper() -> None:
    # 600,000 at 0.95, 400,000 at 0.16 and 100,000 at 4 USD for a million.
    assert amount("kimi/kimi-k2.6", used(1_000_000, 100_000, 400_000)) == Decimal("1.034")


def test_without_a_price_for_the_cache_it_costs_what_the_rest_does() -> None:
    assert amount("groq/qwen/qwen3.8-27b", used(1_000_000, 0, 1_000_000)) == Decimal("0.8")


@pytest.mark.parametrize(
    ("model", "mark", "below", "above"),
    [
        ("openai/gpt-6.1-sol", 272_000, "2", "4"),
        ("xai/grok-4.7", 200_000, "2", "4"),
        ("gemini/gemini-3.1-pro-preview", 200_000, "2", "4"),
        ("anthropic/claude-haiku-5-5", 100_000, "0.1", "0.5"),
    ],
)
def test_a_long_question_costs_more_in_all_of_its_tokens(
    model: str, mark: int, below: str, above: str
) -> None:
    million = Decimal(1_000_000)
    assert amount(model, used(mark, 0)) == mark * Decimal(below) / million
    assert amount(model, used(mark + 1, 0)) == (mark + 1) * Decimal(above) / million


def test_the_answer_to_a_long_question_costs_more_too() -> None:
    long = amount("openai/gpt-6.1-sol", used(300_000, 1_000_000, 300_000))
    assert long == Decimal("0.06") + Decimal(15)  # 300,000 cached at 0.2, a million at 15


def test_what_is_not_known_costs_nothing_that_could_be_named() -> None:
    assert cost(None, used(1, 1)) is None
    assert cost(of("kimi/kimi-k2.6"), Usage(input_tokens=5)) is None
    assert of("ollama/anything") is None


def test_what_is_free_costs_nothing() -> None:
    assert amount("local/smollm2-135m-instruct", used(9, 9)) == 0
