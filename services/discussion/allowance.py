"""How often an account may try again at all: a purse that successes fill and retries empty.

Each turn's own limits cannot stop a storm: a thousand turns that each try three times are three
thousand requests. The purse is the account's. It is small, it fills slowly by itself, and where it
is empty a turn waits for it: nothing fails for want of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from contracts.failures import FailureClass

MOST = 10.0
BY_SUCCESS = 0.1
BY_ITSELF = timedelta(seconds=30)
"""In this time one more retry may be made, whatever succeeds."""
HARDLY = 1e-6
"""What a purse may lack and still do: it fills in fractions, and a clock has microseconds."""


class Allowance(Struct, frozen=True, omit_defaults=True):
    """Retries that may still be made, as of a moment."""

    retries: float = MOST
    as_of: datetime | None = None


def cost_of(failure: FailureClass | None) -> float:
    """What trying again costs, by the failure before it. A rate limit did the provider no harm."""
    match failure:
        case None:
            return 0
        case FailureClass.THROTTLED:
            return 0.35
        case _:
            return 1


def filled(allowance: Allowance, now: datetime) -> Allowance:
    """With what has come by itself since; nothing, where the clock was put back."""
    if allowance.as_of is None or now <= allowance.as_of:
        return Allowance(allowance.retries, now)
    grown = allowance.retries + (now - allowance.as_of) / BY_ITSELF
    return Allowance(min(MOST, grown), now)


def spend(allowance: Allowance, cost: float, now: datetime) -> Allowance | datetime:
    """What is left after `cost`, or when there is enough."""
    held = filled(allowance, now)
    if held.retries >= cost - HARDLY:
        return Allowance(max(held.retries - cost, 0.0), held.as_of)
    return now + (cost - held.retries) * BY_ITSELF


def earn(allowance: Allowance, now: datetime) -> Allowance:
    """A request has succeeded."""
    held = filled(allowance, now)
    return Allowance(min(MOST, held.retries + BY_SUCCESS), held.as_of)
