"""Two keys turn out to be of one account: what each has done counts for both from now on."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from services.discussion import accounts, spending
from services.discussion.accounts import AccountRef
from services.discussion.admission import Account
from services.discussion.allowance import Allowance
from services.discussion.spending import Bucket, Spending
from services.discussion.sql import SQL
from shared.database import Connection


async def name_account(conn: Connection, ref: AccountRef, key: str, named: str) -> None:
    """`key`, whose account was `ref` as long as nobody had named it, belongs to `named`."""
    known = replace_account(ref, named)
    # In the order of their names, as everybody who locks two of them.
    records = {
        each.account: await accounts.lock(conn, each)
        for each in sorted((ref, known), key=lambda each: each.account)
    }
    await accounts.save(conn, known, together(records[ref.account], records[named]))
    await conn.execute(
        SQL["forget_account"], ref.workspace, ref.provider, ref.endpoint, ref.account
    )
    await conn.execute(SQL["move_attempts"], key, ref.account, named)


def replace_account(ref: AccountRef, account: str) -> AccountRef:
    return AccountRef(ref.workspace, ref.provider, ref.endpoint, account)


def together(one: Account, other: Account) -> Account:
    """The stricter of the two in everything, and all that runs in both."""
    silent = max((one, other), key=lambda each: _or_never(each.not_before))
    learnt = dict(one.learnt)
    for limit, value in other.learnt.items():
        learnt[limit] = min(value, learnt.get(limit, value))
    return replace(
        one,
        next_slot=_later(one.next_slot, other.next_slot),
        not_before=silent.not_before,
        reason=silent.reason,
        refusals=max(one.refusals, other.refusals),
        refused_at=_later(one.refused_at, other.refused_at),
        leases=(*one.leases, *other.leases),
        proven=tuple(dict.fromkeys((*one.proven, *other.proven))),
        learnt=learnt,
        places_since=_later(one.places_since, other.places_since),
        spending=_spent(one.spending, other.spending),
        allowance=_allowed(one.allowance, other.allowance),
        breakers={**one.breakers, **other.breakers},
    )


def _spent(one: Spending, other: Spending) -> Spending:
    minute: dict[datetime, list[Bucket]] = {}
    for bucket in (*one.minute, *other.minute):
        minute.setdefault(bucket.since, []).append(bucket)
    day = _later(one.day, other.day)
    return Spending(
        tuple(spending.together(since, minute[since]) for since in sorted(minute)),
        day,
        sum(each.of_day for each in (one, other) if each.day == day),
    )


def _allowed(one: Allowance, other: Allowance) -> Allowance:
    return Allowance(min(one.retries, other.retries), _later(one.as_of, other.as_of))


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _or_never(moment: datetime | None) -> float:
    return float("-inf") if moment is None else moment.timestamp()
