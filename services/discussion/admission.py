"""May this request be made now? One record per account answers, for all replicas.

The row is locked, the clock is the database's, and what is decided here is a pure function of
both. The rate is a GCRA sized so that no sliding minute ever holds more requests than the account
may make: a plain bucket with rate = burst = 100 lets 199 through.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from contracts.providers import Limits

LEASE = timedelta(seconds=30)
"""After this a running request is looked after: does it still live?"""

PLACE = 3 * LEASE
"""How long a place is held without that look. Longer than the lease: while somebody looks, and
should the looking fail once or twice, nobody else may sit down."""

JITTER = 2.0
"""Seconds that a request may take from us to the provider's meter."""

RECHECK = timedelta(seconds=15)
"""When to look again at what is freed by an event, should the event be lost."""


class Lease(Struct, frozen=True):
    """One running request's place."""

    attempt: str
    expires_at: datetime
    slot: datetime | None = None
    """Where GCRA's arrival time stood after it: until then, what it took can be given back."""


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


@dataclass(frozen=True, slots=True)
class Admitted:
    account: Account


@dataclass(frozen=True, slots=True)
class Denied:
    """Not now. `not_before` is when it may be; `freed_by_event` that it may be sooner."""

    account: Account
    reason: str
    not_before: datetime


def admit(
    account: Account,
    limits: Limits,
    *,
    attempt: str,
    key: str,
    now: datetime,
    holds: timedelta = PLACE,
) -> Admitted | Denied:
    """Take a permit for `attempt`, or learn when to ask again.

    `key` is `key:version`, empty for a provider without keys. A version that has not completed an
    attempt yet runs alone: should it be bad, one request finds out, not fifteen. The place is
    lost after `holds` unless it is renewed or given back.
    """
    account = replace(
        account, leases=tuple(lease for lease in account.leases if lease.expires_at > now)
    )
    if account.not_before is not None and now < account.not_before:
        return Denied(account, account.reason or "throttled", account.not_before)
    places = lowest(limits.concurrency, account.learnt.get("concurrency"))
    if key and key not in account.proven:
        places = 1
    if places is not None and len(account.leases) >= places:
        return Denied(account, "concurrency", now + RECHECK)
    slot = account.next_slot
    rpm = lowest(limits.rpm, account.learnt.get("rpm"))
    if rpm is not None:
        interval, burst = gcra(rpm)
        earliest = (slot or now) - interval * (burst - 1)
        if now < earliest:
            return Denied(account, "rate", earliest)
        slot = max(slot or now, now) + interval
    return Admitted(
        replace(
            account,
            next_slot=slot,
            not_before=None,
            reason="",
            leases=(*account.leases, Lease(attempt, now + holds, slot)),
        )
    )


def gcra(rpm: int) -> tuple[timedelta, int]:
    """Emission interval and burst for a limit of `rpm` in any sliding minute."""
    limit = rpm if rpm < 34 else int(0.97 * rpm)
    burst = max(1, limit // 10)
    seconds = (60 + JITTER) / (limit - burst + 1)
    return timedelta(microseconds=ceil(seconds * 1_000_000)), burst


def lowest(*limits: int | None) -> int | None:
    """The tightest of the limits that are known."""
    return min((limit for limit in limits if limit is not None), default=None)


def release(account: Account, attempt: str) -> Account:
    """Give the place back."""
    kept = tuple(lease for lease in account.leases if lease.attempt != attempt)
    return replace(account, leases=kept)


def refund(account: Account, attempt: str, interval: timedelta, *, now: datetime) -> Account:
    """It is proven that nothing was sent: give back what the attempt took of the rate.

    A slot that lies behind us is gone: given back later, it would pay for a request that was sent.
    """
    slot = next((lease.slot for lease in account.leases if lease.attempt == attempt), None)
    if slot is None or slot <= now or account.next_slot is None:
        return account
    return replace(account, next_slot=max(account.next_slot - interval, now))


def renew(account: Account, attempt: str, *, now: datetime) -> Account:
    """The attempt gave a sign of life: it keeps its place."""
    return replace(
        account,
        leases=(
            *(lease for lease in account.leases if lease.attempt != attempt),
            Lease(attempt, now + PLACE),
        ),
    )


def silence(account: Account, until: datetime, reason: str) -> Account:
    """Nothing more to this account before `until`; never shortens what is in force."""
    if account.not_before is not None and account.not_before >= until:
        return account
    return replace(account, not_before=until, reason=reason)


def learn(account: Account, named: dict[str, int]) -> Account:
    """Limits that a refusal named hold from now on, if they are lower than what is known."""
    learnt = dict(account.learnt)
    for limit in ("rpm", "concurrency"):
        if (value := named.get(limit)) is not None and value >= 1:
            learnt[limit] = min(value, learnt.get(limit, value))
    return replace(account, learnt=learnt)


def proven(account: Account, key: str) -> Account:
    """This key version has completed an attempt."""
    if not key or key in account.proven:
        return account
    return replace(account, proven=(*account.proven, key)[-32:])
