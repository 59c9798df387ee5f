"""Every limit from 1 to 1,000 requests a minute, against the greediest there can be.

Who asks greedily takes the whole burst at once and then each request as soon as it may; whoever
has rested before can do no better. The provider's meter hears each request up to two seconds late,
so the worst that it can see in 60 seconds is what was permitted in 62: the first ones late, the
last ones at once. All limits are walked with admission's numbers, some of them with `admit` itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from contracts.providers import Limits
from services.discussion.admission import (
    Account,
    Admitted,
    Ask,
    Denied,
    admit,
    gcra,
    release,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MOST = 1000
MICROSECOND = timedelta(microseconds=1)
LATE = 2.0
"""Seconds that a request may take to the meter: by hand, lest admission's own be held against
itself."""
SPAN = timedelta(seconds=60 + LATE) // MICROSECOND
"""What the worst of all ways can press into a minute, in microseconds."""


def most_within(span: int, moments: list[int]) -> int:
    """The largest number of moments in any window of that length, its end left out."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= span:
            first += 1
        most = max(most, last - first + 1)
    return most


def greedy(rpm: int, span: int) -> list[int]:
    """When the greediest is let in, by GCRA's numbers, in microseconds."""
    interval, burst = gcra(rpm)
    step = interval // MICROSECOND
    after_it = range(step, span, step)
    return [0] * burst + list(after_it)


def test_no_limit_is_exceeded_in_any_sliding_minute() -> None:
    for rpm in range(1, MOST + 1):
        assert most_within(SPAN, greedy(rpm, 3 * SPAN)) <= rpm, rpm


def test_every_limit_is_used_to_six_tenths_at_least() -> None:
    for rpm in range(1, MOST + 1):
        interval, _ = gcra(rpm)
        assert timedelta(hours=1) / interval >= 0.6 * 60 * rpm, rpm


@pytest.mark.parametrize("rpm", [*range(1, 41), 50, 60, 99, 100, 101, 200, 333, 500, 1000])
def test_admission_itself_lets_the_greediest_in_no_sooner(rpm: int) -> None:
    account, now = Account(), NOON
    moments: list[int] = []
    while now < NOON + timedelta(seconds=130) and len(moments) < 2.2 * rpm + 2:
        verdict = admit(account, Limits(rpm=rpm), Ask(attempt="a"), now=now)
        if isinstance(verdict, Denied):
            assert verdict.not_before > now
            now = verdict.not_before
            verdict = admit(verdict.account, Limits(rpm=rpm), Ask(attempt="a"), now=now)
        assert isinstance(verdict, Admitted), "the time that was named must be true"
        account = release(verdict.account, "a")
        moments.append((now - NOON) // MICROSECOND)
    by_numbers = greedy(rpm, 3 * SPAN)
    assert most_within(SPAN, moments) <= rpm
    assert all(is_ >= may_be for is_, may_be in zip(moments, by_numbers, strict=False))
    assert all(earlier <= later for earlier, later in pairwise(moments))


@pytest.mark.parametrize("before", [3, 20, 100, 1000])
@pytest.mark.parametrize("after", [1, 2, 3, 10, 99])
def test_a_limit_that_is_lowered_holds_for_the_minute_that_has_been(
    before: int, after: int
) -> None:
    """What was made under the higher limit counts: the provider's meter has it too."""
    account, now = Account(), NOON
    sent: list[datetime] = []
    while isinstance(
        verdict := admit(account, Limits(rpm=before), Ask(attempt="a"), now=now), Admitted
    ):
        account, sent = release(verdict.account, "a"), [*sent, now]
    for _ in range(after + 1):
        verdict = admit(account, Limits(rpm=after), Ask(attempt="a"), now=now)
        if isinstance(verdict, Denied):
            now = verdict.not_before
            verdict = admit(verdict.account, Limits(rpm=after), Ask(attempt="a"), now=now)
        assert isinstance(verdict, Admitted), "the time that was named must be true"
        account, sent = release(verdict.account, "a"), [*sent, now]
        of_minute = [moment for moment in sent if moment > now - timedelta(seconds=60)]
        assert len(of_minute) <= after


def test_a_limit_that_is_raised_holds_at_once() -> None:
    """What the lower limit had asked for is no reason to wait any more."""
    slow = admit(Account(), Limits(rpm=1), Ask(attempt="a"), now=NOON).account
    now = NOON + timedelta(milliseconds=1)

    denied = admit(release(slow, "a"), Limits(rpm=600), Ask(attempt="b"), now=now)

    assert isinstance(denied, Denied)
    assert denied.not_before - now < timedelta(seconds=1)
    admitted = admit(denied.account, Limits(rpm=600), Ask(attempt="b"), now=denied.not_before)
    assert isinstance(admitted, Admitted)
