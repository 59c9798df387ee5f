"""How many tokens an account has reserved, in the last minute and in this day, and how many
requests it has made in that minute.

A request is charged before it is made, with what it may cost at most: providers reckon their
limits so, and nobody knows better beforehand. Seconds are gathered in small buckets, and a bucket
is forgotten only when all of it lies behind the minute: what is reckoned is never less than what
any sliding minute holds.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    requests: int = 0


class Spending(Struct, frozen=True, omit_defaults=True):
    """What has been reserved."""

    minute: tuple[Bucket, ...] = ()
    """Oldest first."""
    day: datetime | None = None
    """When the day began that `of_day` counts."""
    of_day: int = 0


def forget(spending: Spending, now: datetime) -> Spending:
    """Without what lies behind the minute, and behind the day.

    Should the clock have been put back, what lies ahead of it is taken for spent just now. A day
    that has begun is not begun again, unless it lies so far ahead that it never had begun.
    """
    newest = bucket_of(now)
    ahead = [bucket for bucket in spending.minute if bucket.since >= newest]
    minute = (
        *(bucket for bucket in spending.minute if now - MEMORY < bucket.since < newest),
        *((together(newest, ahead),) if ahead else ()),
    )
    today = day_of(now)
    if spending.day is None or spending.day < today:
        return Spending(minute, today, 0)
    return Spending(minute, spending.day if spending.day <= today + DAY else today, spending.of_day)


def together(since: datetime, buckets: Sequence[Bucket]) -> Bucket:
    """All of them as one, from `since`."""
    return Bucket(
        since,
        sum(bucket.tokens for bucket in buckets),
        sum(bucket.requests for bucket in buckets),
    )


def reserve(spending: Spending, tokens: int, now: datetime) -> Spending:
    """With one request more, of `tokens`, from now on."""
    spending = forget(spending, now)
    with_it = (*spending.minute, Bucket(bucket_of(now), tokens, 1))
    together = forget(replace(spending, minute=with_it), now)
    return replace(together, of_day=spending.of_day + tokens)


def give_back(spending: Spending, tokens: int, reserved_at: datetime) -> Spending:
    """It is proven that nothing was sent: neither minute nor day has it on its bill."""
    since = bucket_of(reserved_at)
    minute = tuple(
        Bucket(since, max(0, bucket.tokens - tokens), max(0, bucket.requests - 1))
        if bucket.since == since
        else bucket
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
    return _fits([(bucket.since, bucket.tokens) for bucket in kept], limit - tokens, now)


def room_for_request(spending: Spending, limit: int, now: datetime) -> datetime | None:
    """When one request more fits into every minute; None if now."""
    kept = forget(spending, now).minute
    return _fits([(bucket.since, bucket.requests) for bucket in kept], limit - 1, now)


def _fits(kept: Sequence[tuple[datetime, int]], most: int, now: datetime) -> datetime | None:
    """When no more than `most` is left of what is kept; None if that is so now."""
    total = sum(amount for _, amount in kept)
    if total <= most:
        return None
    for since, amount in kept:
        total -= amount
        if total <= most:
            return since + MEMORY
    return now + MEMORY


def room_in_day(spending: Spending, limit: int, tokens: int, now: datetime) -> datetime | None:
    """When `tokens` more fit into the day; None if now."""
    spending = forget(spending, now)
    if spending.of_day + tokens <= limit:
        return None
    return (spending.day or day_of(now)) + DAY


def bucket_of(moment: datetime) -> datetime:
    """When the bucket of `moment` began."""
    start = day_of(moment)
    return start + (moment - start) // BUCKET * BUCKET


def day_of(moment: datetime) -> datetime:
    """Midnight UTC before `moment`: providers that name a daily limit rarely name its hour."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
