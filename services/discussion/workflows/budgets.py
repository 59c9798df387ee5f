"""What a step and a run may spend: reserved before a discussion is opened, settled when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from contracts.workflow_events import Budget


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and USD; None: the price of a part is not known."""

    tokens: int = 0
    usd: Decimal | None = Decimal(0)

    def __add__(self, other: Spent) -> Spent:
        tokens = self.tokens + other.tokens
        if self.usd is None or other.usd is None:
            return Spent(tokens, None)
        return Spent(tokens, self.usd + other.usd)


def total(parts: Iterable[Spent]) -> Spent:
    """All of it together."""
    whole = Spent()
    for part in parts:
        whole += part
    return whole


@dataclass(frozen=True, slots=True)
class Overdrawn:
    problem: str
    next_step: str


def refusal(budget: Budget | None, what: str, used: Spent, wanted: Spent) -> Overdrawn | None:
    """Why it does not fit: with the figures, as far as they are known."""
    if budget is None:
        return None
    if budget.tokens is not None and used.tokens + wanted.tokens > budget.tokens:
        return Overdrawn(
            f"It may take {wanted.tokens:,} tokens, and of the {budget.tokens:,} that {what} may "
            f"use {max(0, budget.tokens - used.tokens):,} are left.",
            "Raise `tokens` of the budget, or bound the answers: options: {max_completion_tokens}.",
        )
    if budget.usd is None:
        return None
    if wanted.usd is None or used.usd is None:
        return Overdrawn(
            f"The price of a model is not known, so it cannot be said whether {what}'s budget of "
            f"${budget.usd} is enough.",
            "Give the budget in `tokens`, or take models whose price is known.",
        )
    if used.usd + wanted.usd > budget.usd:
        return Overdrawn(
            f"It may cost ${wanted.usd:.4f}, and of the ${budget.usd} that {what} may cost "
            f"${max(Decimal(0), budget.usd - used.usd):.4f} are left.",
            "Raise `usd` of the budget, take a cheaper model, or bound the answers: options: "
            "{max_completion_tokens}.",
        )
    return None
