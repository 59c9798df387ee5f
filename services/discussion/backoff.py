"""How long to wait after a failure.

`next_wait` reads no clock and no dice of its own, so a test can name every number it returns.
The numbers are those of the AWS SDKs' retry standard, widened to what language models need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from contracts.failures import Evidence, FailureClass

Dice = Callable[[], float]
"""A number in [0, 1): `random.random` in production."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Full jitter over a window that doubles: U(0, min(cap, first * 2^n)), never under `floor`."""

    first: timedelta
    cap: timedelta
    floor: timedelta = timedelta(milliseconds=200)


ORDINARY = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=30))
THROTTLED = Backoff(first=timedelta(seconds=2), cap=timedelta(seconds=60))
SNOOZE = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=60))
"""For what is no failure of the provider: our own adapter or vault is away for a moment."""

LONGEST_HINT = timedelta(days=31)
"""A provider's wait beyond this is taken for garbage; monthly quotas are the longest known."""


def policy_of(failure: FailureClass) -> Backoff:
    return THROTTLED if failure is FailureClass.THROTTLED else ORDINARY


def next_wait(
    policy: Backoff, *, failures: int, hint: timedelta | None = None, dice: Dice
) -> timedelta:
    """The wait before the next attempt; `failures` counts from 1, the one that just happened.

    A provider's own hint is a floor and never the schedule: Moonshot answers "try again after 1
    seconds" to an account that may ask three times a minute.
    """
    window = min(policy.cap, policy.first * 2 ** min(failures - 1, 16))
    jittered = max(policy.floor, window * dice())
    return max(jittered, believable(hint) or timedelta(0))


def asked_for(evidence: Evidence) -> timedelta | None:
    """The wait that the provider asked for; None for none, and for garbage (NaN, 1e12)."""
    if evidence.retry_after is None:
        return None
    try:
        return believable(timedelta(seconds=evidence.retry_after))
    except (ValueError, OverflowError):
        return None


def believable(hint: timedelta | None) -> timedelta | None:
    """The hint if it can be meant: positive and not longer than a billing period."""
    if hint is None or not timedelta(0) < hint <= LONGEST_HINT:
        return None
    return hint
