"""What an attempt costs, by the price table of the provider's row."""

from __future__ import annotations

from decimal import Decimal

from contracts.discussion import Cost
from contracts.providers import PROVIDERS
from contracts.stream import Usage, UsageStatus

MILLION = Decimal(1_000_000)


def cost(model: str, usage: Usage) -> Cost | None:
    """USD for `usage` of `provider/model`; None where the price or the usage is not known."""
    provider, _, name = model.partition("/")
    row = PROVIDERS.get(provider)
    known = row.model(name) if row else None
    if (
        usage.status is UsageStatus.UNKNOWN
        or known is None
        or known.input_price is None
        or known.output_price is None
    ):
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    cached_price = known.cached_price if known.cached_price is not None else known.input_price
    amount = (
        (usage.input_tokens - cached) * known.input_price
        + cached * cached_price
        + usage.output_tokens * known.output_price
    ) / MILLION
    return Cost(amount=amount.normalize())
