"""The small rules by which a gate can choose: each looks at one number of what was answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from contracts.workflow_events import StepAnswered

_UNKNOWN = Decimal("Infinity")
"""A price that is not known is no reason to be chosen for it."""

_BY: Mapping[str, Callable[[StepAnswered], Decimal | float]] = {
    "cheapest": lambda answer: _UNKNOWN if answer.cost is None else answer.cost,
    "fastest": lambda answer: answer.seconds,
    "longest": lambda answer: -answer.characters,
    "shortest": lambda answer: answer.characters,
}


def choose(rule: str, answers: Sequence[StepAnswered]) -> int:
    """Which candidate, of those that completed, in the order in which they did.

    `first` is the one that was there first. Of equals the first in the definition's order.
    """
    if rule == "first":
        return answers[0].candidate
    return min(answers, key=lambda answer: (_BY[rule](answer), answer.candidate)).candidate
