"""What an attempt costs, at the price that its discussion was opened with, else the row's."""

from __future__ import annotations

from decimal import Decimal

from contracts.attempts import LiveModel
from contracts.discussion_events import DiscussionOpened
from contracts.prices import Cost, Price, TierPrice
from contracts.providers import PRICES_READ, PROVIDERS, Model
from contracts.stream import Usage, UsageStatus

MILLION = Decimal(1_000_000)


def cost(price: Price | None, usage: Usage) -> Cost | None:
    """What `usage` costs; None where the price or the usage is not known."""
    if price is None or usage.status is UsageStatus.UNKNOWN:
        return None
    rate = next((tier for tier in reversed(price.tiers) if usage.input_tokens > tier.above), price)
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    amount = (
        (usage.input_tokens - cached) * rate.input
        + cached * (rate.input if rate.cached is None else rate.cached)
        + usage.output_tokens * rate.output
    ) / MILLION
    return Cost(amount=amount.normalize())


def price_of(opened: DiscussionOpened, participant: int) -> Price | None:
    """What the participant's model costs; old discussions did not keep it and ask the row."""
    who = opened.participants[participant]
    if who.price is not None:
        return who.price
    provider, _, name = who.model.partition("/")
    row = PROVIDERS.get(provider)
    return listed(row.model(name)) if row else None


def listed(known: Model | None) -> Price | None:
    """The row's price."""
    if known is None or known.input_price is None or known.output_price is None:
        return None
    return Price(
        input=known.input_price,
        output=known.output_price,
        cached=known.cached_price,
        read=PRICES_READ.isoformat(),
        tiers=[
            TierPrice(
                above=tier.above,
                input=tier.input_price,
                output=tier.output_price,
                cached=tier.cached_price,
            )
            for tier in known.price_tiers
        ],
    )


def told(live: LiveModel, read: str) -> Price | None:
    """The price in the provider's own list, seen on the day `read`."""
    if live.input_price is None or live.output_price is None:
        return None
    return Price(
        input=live.input_price, output=live.output_price, cached=live.cached_price, read=read
    )
