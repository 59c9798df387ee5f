"""What each provider allows just now: budgets, closed gates, and who waits for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from contracts.endpoints import Directory
from contracts.failures import Failure
from contracts.providers import Limits, Provider
from contracts.supply import AccountView, BreakerView, GateView, ProviderView
from services.discussion import accounts, admission, allowance, endpoints, spending
from services.discussion.accounts import AccountRef
from services.discussion.admission import Account
from services.discussion.catalog import Catalog
from services.discussion.settings import keyless_addresses
from services.discussion.sql import SQL
from shared.database import Connection

_decode_account = msgspec.json.Decoder(Account).decode
_decode_failure = msgspec.json.Decoder(Failure).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the tables say of one provider."""

    accounts: list[tuple[AccountRef, Account]] = field(
        default_factory=list[tuple[AccountRef, Account]]
    )
    gates: list[GateView] = field(default_factory=list[GateView])
    waiting: int = 0
    parked: int = 0
    limits: Limits | None = None
    """As set here."""


async def overview(
    conn: Connection, workspace: str, catalogs: Sequence[Catalog]
) -> list[ProviderView]:
    """One line for each provider that Parley can speak to, available or not."""
    now = await conn.fetchval(SQL["clock"])
    held = await _held(conn, workspace)
    lines = {
        row["waits_for"]: row["turns"]
        for row in await conn.fetch(SQL["lines_of_workspace"], workspace)
    }
    there = await endpoints.known(conn, workspace)
    return [
        _view(row, held.get(row.name, Held()), catalogs, lines, now, there)
        for row in there.rows.values()
    ]


async def _held(conn: Connection, workspace: str) -> dict[str, Held]:
    held: dict[str, Held] = {}
    for row in await conn.fetch(SQL["waiting_by_provider"], workspace):
        held[row["provider"]] = Held(waiting=row["waiting"], parked=row["parked"])
    for row in await conn.fetch(SQL["limits_of_workspace"], workspace):
        known = held.get(row["provider"], Held())
        limits = accounts.decode_limits(row["record"])
        held[row["provider"]] = Held(waiting=known.waiting, parked=known.parked, limits=limits)
    for row in await conn.fetch(SQL["accounts_of_workspace"], workspace):
        ref = AccountRef(workspace, row["provider"], row["endpoint"], row["account"])
        record = _decode_account(row["record"])
        held.setdefault(ref.provider, Held()).accounts.append((ref, record))
    for row in await conn.fetch(SQL["gates_of_workspace"], workspace):
        closed = GateView(
            gate=row["gate"], closed_at=row["closed_at"], failure=_decode_failure(row["failure"])
        )
        held.setdefault(row["provider"], Held()).gates.append(closed)
    return held


def _view(
    row: Provider,
    held: Held,
    catalogs: Sequence[Catalog],
    lines: Mapping[str, int],
    now: datetime,
    there: Directory,
) -> ProviderView:
    known = next((each for each in catalogs if each.provider == row.name), None)
    declared = held.limits or accounts.declared(row)
    shown = [_account(ref, account, declared, lines, now) for ref, account in held.accounts]
    silent = [each.not_before for each in shown if each.not_before is not None]
    return ProviderView(
        name=row.name,
        title=row.title,
        available=known is not None,
        reason="" if known else _why_not(row, there),
        endpoint=known.endpoint if known else "",
        models=len(known.ids()) if known else 0,
        refreshed_at=known.refreshed_at if known else None,
        limits=_tightest(declared, held.accounts),
        declared=_told(declared),
        fallback=_told(accounts.declared(row)),
        set_here=held.limits is not None,
        in_flight=sum(each.in_flight for each in shown),
        waiting=held.waiting,
        parked=held.parked,
        not_before=max(silent, default=None),
        gates=held.gates,
        accounts=shown,
        custom=there.custom.get(row.name),
    )


def _account(
    ref: AccountRef, account: Account, declared: Limits, lines: Mapping[str, int], now: datetime
) -> AccountView:
    retries = allowance.filled(account.allowance, now).retries
    spent = spending.forget(account.spending, now)
    silent = account.not_before is not None and account.not_before > now
    return AccountView(
        endpoint=ref.endpoint,
        account=ref.account,
        limits=_told(admission.in_force(account, declared)),
        learnt=account.learnt,
        in_flight=sum(1 for lease in account.leases if lease.expires_at > now),
        in_line=sum(lines.get(name, 0) for name in ref.lines),
        requests_in_minute=sum(bucket.requests for bucket in spent.minute),
        tokens_in_minute=sum(bucket.tokens for bucket in spent.minute),
        tokens_in_day=spent.of_day,
        retries_left=None if retries >= allowance.MOST else round(retries, 2),
        not_before=account.not_before if silent else None,
        breakers=[
            BreakerView(
                state="open" if now < health.open_until else "half-open",
                until=health.trial_until or health.open_until,
                key=key,
                rests=health.rests,
            )
            for key, health in account.breakers.items()
            if health.open_until is not None
        ],
    )


def _why_not(row: Provider, there: Directory) -> str:
    if row.needs_key:
        return f"No working key. Add one: parley keys add {row.name}"
    if row.name in keyless_addresses(rows=there.rows):
        return "It has not answered yet."
    return row.absent


def _told(limits: Limits) -> dict[str, int]:
    named = {"rpm": limits.rpm, "tpm": limits.tpm, "tpd": limits.tpd}
    named["concurrency"] = limits.concurrency
    return {name: value for name, value in named.items() if value is not None}


def _tightest(declared: Limits, held: Sequence[tuple[AccountRef, Account]]) -> dict[str, int]:
    """The declared limits, lowered by what the provider itself has named."""
    limits = declared
    for _, account in held:
        limits = admission.in_force(account, limits)
    return _told(limits)
