"""What a model costs, and what was paid: never a number without its currency."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


class Cost(Struct, frozen=True, kw_only=True):
    amount: Decimal
    currency: str = "USD"


class TierPrice(Struct, frozen=True, kw_only=True):
    """What all tokens of a question cost that has more than so many."""

    above: int
    """Tokens of input."""
    input: Decimal
    output: Decimal
    cached: Decimal | None = None


class Price(Struct, frozen=True, kw_only=True):
    """USD for a million tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    read: str = ""
    """Day the price was read."""
    tiers: list[TierPrice] = []
    """In the order of their marks."""
