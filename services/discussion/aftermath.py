"""What the end of an attempt leaves behind in its account's record. Pure, like `admission`.

The place is given back. The provider's own words lower the limits and silence the account, its
health is noted, what was never sent is refunded, and what was used is put on the day's bill.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from contracts.discussion_events import (
    AttemptCut,
    AttemptFailed,
    DiscussionEvent,
    TurnCompleted,
    TurnWaiting,
)
from contracts.failures import PARKING, FailureClass
from contracts.providers import Limits
from contracts.stream import Usage, UsageStatus
from services.discussion import admission, allowance, backoff, breaker
from services.discussion.admission import Account
from services.discussion.backoff import Dice
from services.discussion.breaker import Breaker
from services.discussion.remedies import OURS

End = AttemptFailed | AttemptCut | TurnCompleted


def after(
    account: Account,
    end: End,
    events: Sequence[DiscussionEvent],
    *,
    key: str,
    limits: Limits,
    now: datetime,
    dice: Dice,
) -> Account:
    """The record once `end` is known; `events` are all that follow from it, `end` among them."""
    health = account.breakers.get(key, Breaker())
    match end:
        case AttemptFailed():
            account = _taught(account, end, events, now, dice)
            if end.class_ in PARKING:
                account = admission.unproven(account, key)
            ours = not end.sent and end.hint in OURS
            if ours or end.hint == "cancelled":
                health = breaker.came_to_nothing(health, end.attempt)
            else:
                health = breaker.failed(health, end.attempt, end.class_, now, dice=dice)
            if end.sent:
                account = admission.settle(account, end.attempt, _tokens(end.usage))
            else:
                account = admission.refund(account, end.attempt, limits, now=now)
        case TurnCompleted():
            health = breaker.succeeded(health, end.attempt, now)
            account = replace(account, allowance=allowance.earn(account.allowance, now))
            account = admission.settle(account, end.attempt, _tokens(end.usage))
            account = admission.widen(account, limits, now=now)
            account = admission.answered(account)
            account = admission.proven(account, key)
        case AttemptCut():
            # Whoever made the request is gone: nothing is known of the provider.
            health = breaker.came_to_nothing(health, end.attempt)
    return admission.release(admission.with_health(account, key, health), end.attempt)


def given_up(account: Account, attempt: str, *, key: str) -> Account:
    """Nobody waits for the attempt any more: its place is free, and it has told nothing."""
    health = breaker.came_to_nothing(account.breakers.get(key, Breaker()), attempt)
    return admission.release(admission.with_health(account, key, health), attempt)


def _taught(
    account: Account,
    end: AttemptFailed,
    events: Sequence[DiscussionEvent],
    now: datetime,
    dice: Dice,
) -> Account:
    """What the refusal says of the account's limits, and how long it is to be left alone."""
    named = end.evidence.limits
    if end.hint == "concurrency" and "concurrency" not in named:
        named = {**named, "concurrency": max(1, len(account.leases) - 1)}
    account = admission.learn(account, named, now=now)
    if end.class_ is not FailureClass.THROTTLED:
        return account
    # The turn may be given up; what the provider asked of the account holds all the same, and the
    # oftener it refuses, the longer it is left in peace.
    reason = "daily" if end.hint == "daily" else "throttled"
    account = admission.refused(account, end.attempt, now=now)
    silence = backoff.next_wait(
        backoff.THROTTLED,
        failures=account.refusals,
        hint=backoff.asked_for(end.evidence),
        dice=dice,
    )
    account = admission.silence(account, now + silence, reason)
    for follow in events:
        if isinstance(follow, TurnWaiting) and follow.turn == end.turn:
            account = admission.silence(account, follow.not_before, reason)
    return account


def _tokens(usage: Usage) -> int | None:
    """What an attempt cost, where the provider said so."""
    if usage.status is not UsageStatus.MEASURED:
        return None
    return usage.input_tokens + usage.output_tokens
