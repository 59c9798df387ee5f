"""How many tokens an account has reserved, in the last minute and in this day.

A request is charged before it is made, with what it may cost at most: providers reckon their
limits so, and nobody knows better beforehand. Seconds are gathered in small buckets, and a bucket
is forgotten only when all of it lies behind the minute: what is reckoned is never less than what
any sliding minute holds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

BUCKET = timedelta(seconds=2)

MEMORY = timedelta(seconds=60 + 2) + BUCKET
"""A minute, the two seconds that a request may take to the provider's meter, and one bucket."""

DAY = timedelta(days=1)


class Bucket(Struct, frozen=True, array_like=True):
    """What was reserved in the two seconds from `since`."""

    since: datetime
    tokens: int


class Spending(Struct, frozen=True, omit_defaults=True):
    """What has been reserved."""

    minute: tuple[Bucket, ...] = ()
    """Oldest first."""
    day: datetime | None = None
    """When the day began that `of_day` counts."""
    of_day: int = 0


def forget(spending: Spending, now: datetime) -> Spending:
    """Without what lies behind the minute, and behind the day.

    Should the clock have been put back, what lies ahead of it is taken for spent just now.
    """
    newest = bucket_of(now)
    ahead = sum(bucket.tokens for bucket in spending.minute if bucket.since >= newest)
    minute = (
        *(bucket for bucket in spending.minute if now - MEMORY < bucket.since < newest),
        *((Bucket(newest, ahead),) if ahead else ()),
    )
    today = day_of(now)
    if spending.day is None or spending.day < today:
        return Spending(minute, today, 0)
    return replace(spending, minute=minute)


def reserve(spending: Spending, tokens: int, now: datetime) -> Spending:
    """With `tokens` more, from now on."""
    spending = forget(spending, now)
    if not tokens:
        return spending
    with_it = (*spending.minute, Bucket(bucket_of(now), tokens))
    together = forget(replace(spending, minute=with_it), now)
    return replace(together, of_day=spending.of_day + tokens)


def give_back(spending: Spending, tokens: int, reserved_at: datetime) -> Spending:
    """It is proven that nothing was sent: neither minute nor day has it on its bill."""
    since = bucket_of(reserved_at)
    minute = tuple(
        Bucket(bucket.since, max(0, bucket.tokens - tokens)) if bucket.since == since else bucket
        for bucket in spending.minute
    )
    return settle(replace(spending, minute=minute), tokens, 0, reserved_at)


def settle(spending: Spending, reserved: int, used: int, reserved_at: datetime) -> Spending:
    """What a request really cost, for the day. The minute keeps what was reserved, as the
    providers' own meters do.
    """
    if spending.day != day_of(reserved_at):
        return spending
    return replace(spending, of_day=max(0, spending.of_day - reserved + used))


def room_in_minute(spending: Spending, limit: int, tokens: int, now: datetime) -> datetime | None:
    """When `tokens` more fit into every minute; None if now. They must not exceed the limit."""
    kept = forget(spending, now).minute
    total = sum(bucket.tokens for bucket in kept)
    if total + tokens <= limit:
        return None
    for bucket in kept:
        total -= bucket.tokens
        if total + tokens <= limit:
            return bucket.since + MEMORY
    return now + MEMORY


def room_in_day(spending: Spending, limit: int, tokens: int, now: datetime) -> datetime | None:
    """When `tokens` more fit into the day; None if now."""
    if forget(spending, now).of_day + tokens <= limit:
        return None
    return day_of(now) + DAY


def bucket_of(moment: datetime) -> datetime:
    """When the bucket of `moment` began."""
    start = day_of(moment)
    return start + (moment - start) // BUCKET * BUCKET


def day_of(moment: datetime) -> datetime:
    """Midnight UTC before `moment`: providers that name a daily limit rarely name its hour."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
