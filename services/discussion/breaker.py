"""When a provider is down, asking it again and again helps nobody: a breaker keeps us away.

    closed ── five failures in a row, or half of at least five within a minute ──▶ open
    open ── its time is over ──▶ half open: one request for the whole house goes to see
    half open ── that fails ──▶ open, twice as long        half open ── two succeed ──▶ closed

There is one breaker for each key version at its endpoint. Only failures of the provider's own
capacity count: a wrong key, a wrong model or a rate limit say nothing about its health.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from contracts.failures import FailureClass
from services.discussion.backoff import Dice

WINDOW = timedelta(seconds=60)
BUCKET = timedelta(seconds=10)
LEAST_CALLS = 5
"""Fewer calls than that within the window show no rate of failures."""
FAILURE_RATE = 0.5
IN_A_ROW = 5
FIRST_REST = timedelta(seconds=10)
LONGEST_REST = timedelta(seconds=300)
SPREAD = 0.2
"""A rest is up to a fifth longer or shorter: what failed together must not come back together."""
TRIAL = timedelta(seconds=30)
"""How long the request that goes to see may be out before another one may go."""
ENOUGH = 2
"""Successes in a row that close it."""

WEIGHT: dict[FailureClass, float] = {
    FailureClass.OVERLOADED: 1,
    FailureClass.TRANSIENT: 1,
    FailureClass.AMBIGUOUS: 1,
    FailureClass.UNKNOWN: 1,
    FailureClass.MIDSTREAM: 0.5,
}
"""What counts, and how much. A stream that broke had at least begun."""


class Tally(Struct, frozen=True, array_like=True):
    """What happened in the ten seconds from `since`."""

    since: datetime
    calls: int
    failures: float


class Breaker(Struct, frozen=True, omit_defaults=True):
    """What is known of a provider's health; the default is closed."""

    window: tuple[Tally, ...] = ()
    in_a_row: float = 0
    open_until: datetime | None = None
    """Not None: open, and half open from then on."""
    rests: int = 0
    """Times it has opened since it was last closed."""
    trial: str = ""
    """The attempt that is out to see."""
    trial_until: datetime | None = None
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Pass:
    """Go ahead. `trial`: to see whether the provider is back."""

    trial: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """Nobody goes before `until`."""

    until: datetime


def ask(breaker: Breaker, now: datetime) -> Pass | Stay:
    """May a request go out?"""
    if breaker.open_until is None:
        return Pass()
    if now < breaker.open_until:
        return Stay(breaker.open_until)
    if breaker.trial and breaker.trial_until is not None and now < breaker.trial_until:
        return Stay(breaker.trial_until)
    return Pass(trial=True)


def send_to_see(breaker: Breaker, attempt: str, now: datetime) -> Breaker:
    """`attempt` is the one request that goes."""
    return replace(breaker, trial=attempt, trial_until=now + TRIAL)


def succeeded(breaker: Breaker, attempt: str, now: datetime) -> Breaker:
    """The provider answered in full."""
    if breaker.open_until is None:
        return replace(_tallied(breaker, 0, now), in_a_row=0)
    if attempt != breaker.trial:
        return breaker  # it had gone out before
    if breaker.passed + 1 >= ENOUGH:
        return Breaker()
    return replace(breaker, trial="", trial_until=None, passed=breaker.passed + 1)


def failed(
    breaker: Breaker, attempt: str, class_: FailureClass, now: datetime, *, dice: Dice
) -> Breaker:
    """The provider failed, by a class that may not count."""
    weight = WEIGHT.get(class_, 0)
    if breaker.open_until is not None:
        if attempt != breaker.trial:
            return breaker
        if not weight:  # it says nothing either way: the next one may go
            return replace(breaker, trial="", trial_until=None)
        return _rest(breaker, now, dice)
    if not weight:
        return breaker
    breaker = _tallied(breaker, weight, now)
    breaker = replace(breaker, in_a_row=breaker.in_a_row + weight)
    calls = sum(tally.calls for tally in breaker.window)
    failures = sum(tally.failures for tally in breaker.window)
    if breaker.in_a_row >= IN_A_ROW or (calls >= LEAST_CALLS and failures >= FAILURE_RATE * calls):
        return _rest(breaker, now, dice)
    return breaker


def came_to_nothing(breaker: Breaker, attempt: str) -> Breaker:
    """The attempt was never sent, or nobody knows what became of it: no verdict."""
    if not attempt or attempt != breaker.trial:
        return breaker
    return replace(breaker, trial="", trial_until=None)


def not_ahead_of(breaker: Breaker, now: datetime) -> Breaker:
    """No rest and no look lasts longer than it may, should the clock have been put back."""
    if breaker.open_until is None:
        return breaker
    until = breaker.trial_until
    return replace(
        breaker,
        open_until=min(breaker.open_until, now + LONGEST_REST),
        trial_until=None if until is None else min(until, now + TRIAL),
    )


def _rest(breaker: Breaker, now: datetime, dice: Dice) -> Breaker:
    span = min(FIRST_REST * 2 ** min(breaker.rests, 16), LONGEST_REST)
    span = min(span * (1 - SPREAD + 2 * SPREAD * dice()), LONGEST_REST)
    return Breaker(open_until=now + span, rests=breaker.rests + 1)


def _tallied(breaker: Breaker, weight: float, now: datetime) -> Breaker:
    # What lies ahead is of a clock that was put back since.
    kept = [tally for tally in breaker.window if now - WINDOW < tally.since <= now + BUCKET]
    if kept and now < kept[-1].since + BUCKET:
        last = kept.pop()
        kept.append(Tally(last.since, last.calls + 1, last.failures + weight))
    else:
        kept.append(Tally(now, 1, weight))
    return replace(breaker, window=tuple(kept))
