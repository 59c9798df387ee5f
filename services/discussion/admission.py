"""May this request be made now? One record per account answers, for all replicas.

The row is locked, the clock is the database's, and what is decided here is a pure function of
both. The rate is a GCRA sized so that no sliding minute ever holds more requests than the account
may make: a plain bucket with rate = burst = 100 lets 199 through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from contracts.providers import Limits
from services.discussion import allowance, breaker, spending
from services.discussion.allowance import Allowance
from services.discussion.breaker import Breaker
from services.discussion.spending import Spending

LEASE = timedelta(seconds=30)
"""After this a running request is looked after: does it still live?"""

PLACE = 3 * LEASE
"""How long a place is held without that look. Longer than the lease: while somebody looks, and
should the looking fail once or twice, nobody else may sit down."""

JITTER = 2.0
"""Seconds that a request may take from us to the provider's meter."""

RECHECK = timedelta(seconds=15)
"""When to look again at what is freed by an event, should the event be lost."""

SPACING = timedelta(seconds=5)
"""An account that was refused for its rate is asked by one at a time, so far apart, until one is
answered: a refusal comes sooner than that."""

BREAKERS = 16
"""Key versions of an account whose health is remembered, the newest."""


class Lease(Struct, frozen=True, omit_defaults=True):
    """One running request's place."""

    attempt: str
    expires_at: datetime
    slot: datetime | None = None
    """Where GCRA's arrival time stood after it: until then, what it took can be given back."""
    tokens: int = 0
    """Reserved for it: its input and the longest answer it may get."""
    since: datetime | None = None


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one account at a provider; stored as one row."""

    next_slot: datetime | None = None
    """GCRA's theoretical arrival time."""
    not_before: datetime | None = None
    """The provider asked for silence until then."""
    reason: str = ""
    """Why `not_before`: a failure class."""
    leases: tuple[Lease, ...] = ()
    proven: tuple[str, ...] = ()
    """`key:version` of those that have completed an attempt."""
    learnt: dict[str, int] = {}
    """Limits that the provider named in its refusals; they lower the declared ones."""
    refusals: int = 0
    """For the rate, in a row: since it was last answered in full."""
    refused_at: datetime | None = None
    """The last of them."""
    places_since: datetime | None = None
    """When the learnt concurrency was last changed."""
    spending: Spending = Spending()
    allowance: Allowance = Allowance()
    breakers: dict[str, Breaker] = {}
    """By `key:version`, empty for a provider without keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What wants to be admitted."""

    attempt: str
    key: str = ""
    """`key:version`, empty for a provider without keys."""
    tokens: int = 0
    """What it may cost at most: its input, estimated, and the longest answer."""
    retry: float = 0
    """What it takes of the account's retries; 0 for a first attempt."""
    free: bool = False
    """A look at `/models`: it costs nothing and is how a sick provider is seen to be well."""


@dataclass(frozen=True, slots=True)
class Admitted:
    account: Account
    trial: bool = False
    """It goes to see whether the provider is back: should it fail, the turn is none the poorer."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Not now. `not_before` is when it may be; `freed_by_event` that it may be sooner."""

    account: Account
    reason: str
    not_before: datetime


@dataclass(frozen=True, slots=True)
class TooLarge:
    """It can never be: it needs more than the account may use of `kind` (`tpm`, `tpd`)."""

    account: Account
    kind: str
    limit: int


def admit(
    account: Account, limits: Limits, ask: Ask, *, now: datetime, holds: timedelta = PLACE
) -> Admitted | Denied | TooLarge:
    """Take a permit, or learn when to ask again.

    A key version that has not completed an attempt yet runs alone: should it be bad, one request
    finds out, not fifteen. The place is lost after `holds` unless it is renewed or given back.
    Where several reasons stand against it, the one that lasts longest is named, and its time is
    true: asked then, with nothing else happening, that reason is over.
    """
    limits = in_force(account, limits)
    account = as_of(account, limits, now)
    for kind, limit in (("tpm", limits.tpm), ("tpd", limits.tpd)):
        if limit is not None and ask.tokens > limit:
            return TooLarge(account, kind, limit)
    health = account.breakers.get(ask.key, Breaker())
    way = breaker.Pass() if ask.free else breaker.ask(health, now)
    scout = account.refusals > 0 and not ask.free
    trial = way == breaker.Pass(trial=True)
    # Who goes to see goes for everybody: the purse is for those who insist.
    sees = trial or scout
    purse = account.allowance if sees else allowance.spend(account.allowance, ask.retry, now)
    waits: list[tuple[datetime | None, str]] = [
        (account.not_before, account.reason or "throttled"),
        (_spaced(account, now) if scout else None, "throttled"),
        (way.until if isinstance(way, breaker.Stay) else None, "breaker"),
        (_place(account, limits, ask, now), "concurrency"),
        (_rate(account, limits, now), "rate"),
        (_room(account, limits.tpm, ask, now, spending.room_in_minute), "tokens"),
        (_room(account, limits.tpd, ask, now, spending.room_in_day), "daily"),
        (purse if isinstance(purse, datetime) else None, "retries"),
    ]
    against = [(until, reason) for until, reason in waits if until is not None and until > now]
    if against:
        until, reason = max(against)
        return Denied(account, reason, until)
    assert isinstance(purse, Allowance)
    slot = _taken(account, limits, now)
    breakers = account.breakers
    if trial:
        breakers = {**breakers, ask.key: breaker.send_to_see(health, ask.attempt, now)}
    return Admitted(
        replace(
            account,
            next_slot=slot,
            not_before=None,
            reason="",
            leases=(*account.leases, Lease(ask.attempt, now + holds, slot, ask.tokens, now)),
            spending=spending.reserve(account.spending, ask.tokens, now),
            allowance=purse,
            breakers=breakers,
        ),
        sees,
    )


def _spaced(account: Account, now: datetime) -> datetime | None:
    """When the next one may go to see whether a refused account is served again."""
    begun = [min(lease.since, now) for lease in account.leases if lease.since is not None]
    return max(begun) + SPACING if begun else None


def as_of(account: Account, limits: Limits, now: datetime) -> Account:
    """The record as it stands at `now`: what is over is forgotten.

    And what cannot be is put right. Nothing lies further ahead than it ever may, unless the clock
    was put back or a limit was raised since; left so, it would stop the account until then.
    """
    leases = (
        replace(lease, expires_at=min(lease.expires_at, now + PLACE))
        for lease in account.leases
        if lease.expires_at > now
    )
    return replace(
        account,
        next_slot=None if account.next_slot is None else _arrival(account, limits, now),
        leases=tuple(leases),
        refused_at=None if account.refused_at is None else min(account.refused_at, now),
        spending=spending.forget(account.spending, now),
        allowance=allowance.filled(account.allowance, now),
        breakers={
            key: breaker.not_ahead_of(health, now) for key, health in account.breakers.items()
        },
    )


def _place(account: Account, limits: Limits, ask: Ask, now: datetime) -> datetime | None:
    """When to look for a place again; None if there is one."""
    places = 1 if ask.key and ask.key not in account.proven else limits.concurrency
    full = places is not None and len(account.leases) >= places
    return now + RECHECK if full else None


def _rate(account: Account, limits: Limits, now: datetime) -> datetime | None:
    """When the rate allows the next request.

    GCRA keeps the pace. It knows nothing of what was made under a higher limit, so the minute is
    counted as well.
    """
    if limits.rpm is None:
        return None
    interval, burst = gcra(limits.rpm)
    slot = _arrival(account, limits, now) - interval * (burst - 1)
    return max(slot, spending.room_for_request(account.spending, limits.rpm, now) or slot)


def earliest(account: Account, limits: Limits, now: datetime) -> datetime:
    """When the account's rate and the provider's wish for silence allow a request at all."""
    limits = in_force(account, limits)
    account = as_of(account, limits, now)
    return max(now, _rate(account, limits, now) or now, account.not_before or now)


def _taken(account: Account, limits: Limits, now: datetime) -> datetime | None:
    """GCRA's arrival time with one request more."""
    if limits.rpm is None:
        return account.next_slot
    return max(_arrival(account, limits, now), now) + gcra(limits.rpm)[0]


def _arrival(account: Account, limits: Limits, now: datetime) -> datetime:
    """GCRA's arrival time. It is never ahead of what a run of permits can lead to, unless the
    clock was put back or the limit was raised.
    """
    if limits.rpm is None:
        return account.next_slot or now
    interval, burst = gcra(limits.rpm)
    return min(account.next_slot or now, now + interval * burst)


def _room(
    account: Account,
    limit: int | None,
    ask: Ask,
    now: datetime,
    when: Callable[[Spending, int, int, datetime], datetime | None],
) -> datetime | None:
    if limit is None or not ask.tokens:
        return None
    return when(account.spending, limit, ask.tokens, now)


def in_force(account: Account, limits: Limits) -> Limits:
    """The declared limits, lowered by what the provider has named itself."""
    learnt = account.learnt
    return Limits(
        rpm=lowest(limits.rpm, learnt.get("rpm")),
        tpm=lowest(limits.tpm, learnt.get("tpm")),
        tpd=lowest(limits.tpd, learnt.get("tpd")),
        concurrency=lowest(limits.concurrency, learnt.get("concurrency")),
    )


def gcra(rpm: int) -> tuple[timedelta, int]:
    """Emission interval and burst for a limit of `rpm` in any sliding minute."""
    limit = rpm if rpm < 34 else int(0.97 * rpm)
    burst = max(1, limit // 12)  # at 100 a minute, a panel of eight begins at once
    seconds = (60 + JITTER) / (limit - burst + 1)
    return timedelta(microseconds=ceil(seconds * 1_000_000)), burst


def lowest(*limits: int | None) -> int | None:
    """The tightest of the limits that are known."""
    return min((limit for limit in limits if limit is not None), default=None)


# --- After the request --------------------------------------------------------------------


def release(account: Account, attempt: str) -> Account:
    """Give the place back."""
    kept = tuple(lease for lease in account.leases if lease.attempt != attempt)
    return replace(account, leases=kept)


def refund(account: Account, attempt: str, limits: Limits, *, now: datetime) -> Account:
    """It is proven that nothing was sent: give back what the attempt took of rate and tokens.

    A slot that lies behind us is gone: given back later, it would pay for a request that was sent.
    """
    lease = _lease(account, attempt)
    if lease is None:
        return account
    if lease.since is not None:
        spent = spending.give_back(account.spending, lease.tokens, lease.since)
        account = replace(account, spending=spent)
    rpm = in_force(account, limits).rpm
    if rpm is None or lease.slot is None or lease.slot <= now or account.next_slot is None:
        return account
    return replace(account, next_slot=max(account.next_slot - gcra(rpm)[0], now))


def settle(account: Account, attempt: str, used: int | None) -> Account:
    """What the attempt really used goes on the day's bill; None: nobody knows, all of it."""
    lease = _lease(account, attempt)
    if lease is None or lease.since is None or used is None or not lease.tokens:
        return account
    spent = spending.settle(account.spending, lease.tokens, max(used, 0), lease.since)
    return replace(account, spending=spent)


def renew(account: Account, attempt: str, *, now: datetime) -> Account:
    """The attempt gave a sign of life: it keeps its place."""
    had = _lease(account, attempt) or Lease(attempt, now)
    return replace(
        account,
        leases=(
            *(lease for lease in account.leases if lease.attempt != attempt),
            replace(had, expires_at=now + PLACE),
        ),
    )


def lapsed(account: Account, now: datetime) -> list[str]:
    """Attempts whose place would be given away now: renew those that are known to be running.

    A place is lost by time alone only where nobody knows of its request any more. Otherwise a
    house that was away for two minutes would come back to full places and take them for free.
    """
    return [lease.attempt for lease in account.leases if lease.expires_at <= now]


def unlearnt(account: Account) -> Account:
    """The limits were set anew: what the provider has named before is forgotten."""
    return replace(account, learnt={}, places_since=None)


def _lease(account: Account, attempt: str) -> Lease | None:
    return next((lease for lease in account.leases if lease.attempt == attempt), None)


def silence(account: Account, until: datetime, reason: str) -> Account:
    """Nothing more to this account before `until`; never shortens what is in force."""
    if account.not_before is not None and account.not_before >= until:
        return account
    return replace(account, not_before=until, reason=reason)


def refused(account: Account, attempt: str, *, now: datetime) -> Account:
    """The provider has refused it for the rate. Those that had gone out together count as one."""
    lease, before = _lease(account, attempt), account.refused_at
    since = None if lease is None else lease.since
    if before is not None and since is not None and since <= before:
        return account
    return replace(account, refusals=account.refusals + 1, refused_at=now)


def answered(account: Account) -> Account:
    """It has been answered in full: nobody needs to go and see any more."""
    return replace(account, refusals=0, refused_at=None) if account.refusals else account


def learn(account: Account, named: dict[str, int], *, now: datetime) -> Account:
    """Limits that a refusal named hold from now on, if they are lower than what is known."""
    learnt = dict(account.learnt)
    for limit in ("rpm", "tpm", "tpd", "concurrency"):
        if (value := named.get(limit)) is not None and value >= 1:
            learnt[limit] = min(value, learnt.get(limit, value))
    if learnt == account.learnt:
        return account
    if learnt.get("concurrency") != account.learnt.get("concurrency"):
        account = replace(account, places_since=now)
    return replace(account, learnt=learnt)


CLEAN = timedelta(hours=1)
"""After this long without a refusal for concurrency, one place more may be tried."""


def widen(account: Account, limits: Limits, *, now: datetime) -> Account:
    """A clean hour gives back one of the places that a refusal took, up to the declared ones."""
    places = account.learnt.get("concurrency")
    if places is None or account.places_since is None or now < account.places_since + CLEAN:
        return account
    learnt = dict(account.learnt)
    if limits.concurrency is not None and places + 1 >= limits.concurrency:
        del learnt["concurrency"]
    else:
        learnt["concurrency"] = places + 1
    return replace(account, learnt=learnt, places_since=now)


def proven(account: Account, key: str) -> Account:
    """This key version has completed an attempt."""
    if not key or key in account.proven:
        return account
    return replace(account, proven=(*account.proven, key)[-32:])


def unproven(account: Account, key: str) -> Account:
    """Something permanent was said of it: until it completes an attempt again it runs alone, so
    that one finds out whether all is well, and not all who have been waiting.
    """
    return replace(account, proven=tuple(known for known in account.proven if known != key))


def with_health(account: Account, key: str, health: Breaker) -> Account:
    """The key version's breaker stands like this now; a closed one that saw nothing is no news."""
    others = {name: each for name, each in account.breakers.items() if name != key}
    if health != Breaker():
        others[key] = health
    return replace(account, breakers=dict(list(others.items())[-BREAKERS:]))
