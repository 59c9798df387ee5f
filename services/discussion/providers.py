"""What each provider allows just now: budgets, closed gates, and who waits for what."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.discussion import GateView, ProviderView
from contracts.endpoints import Directory
from contracts.failures import Failure
from contracts.providers import Provider
from services.discussion import accounts, endpoints
from services.discussion.admission import Account
from services.discussion.catalog import Catalog
from services.discussion.settings import keyless_addresses
from services.discussion.sql import SQL
from shared.database import Connection

_decode_account = msgspec.json.Decoder(Account).decode
_decode_failure = msgspec.json.Decoder(Failure).decode


async def overview(
    conn: Connection, workspace: str, catalogs: Sequence[Catalog]
) -> list[ProviderView]:
    """One line for each provider that Parley can speak to, available or not."""
    waiting = {
        row["provider"]: row for row in await conn.fetch(SQL["waiting_by_provider"], workspace)
    }
    records: dict[str, list[Account]] = {}
    for row in await conn.fetch(SQL["accounts_of_workspace"], workspace):
        records.setdefault(row["provider"], []).append(_decode_account(row["record"]))
    gates: dict[str, list[GateView]] = {}
    for row in await conn.fetch(SQL["gates_of_workspace"], workspace):
        closed = GateView(
            gate=row["gate"], closed_at=row["closed_at"], failure=_decode_failure(row["failure"])
        )
        gates.setdefault(row["provider"], []).append(closed)
    shown: list[ProviderView] = []
    there = await endpoints.known(conn, workspace)
    for row in there.rows.values():
        known = next((each for each in catalogs if each.provider == row.name), None)
        held = records.get(row.name, [])
        silent = [each.not_before for each in held if each.not_before is not None]
        queue = waiting.get(row.name)
        shown.append(
            ProviderView(
                name=row.name,
                title=row.title,
                available=known is not None,
                reason="" if known else _why_not(row, there),
                endpoint=known.endpoint if known else "",
                models=len(known.models) if known else 0,
                refreshed_at=known.refreshed_at if known else None,
                limits=_limits(row, held),
                in_flight=sum(len(each.leases) for each in held),
                waiting=queue["waiting"] if queue else 0,
                parked=queue["parked"] if queue else 0,
                not_before=max(silent, default=None),
                gates=gates.get(row.name, []),
                custom=there.custom.get(row.name),
            )
        )
    return shown


def _why_not(row: Provider, there: Directory) -> str:
    if row.needs_key:
        return f"No working key. Add one: parley keys add {row.name}"
    if row.name in keyless_addresses(rows=there.rows):
        return "It has not answered yet."
    return row.absent


def _limits(row: Provider, held: Sequence[Account]) -> dict[str, int]:
    """The declared limits, lowered by what the provider itself has named."""
    told = accounts.declared(row)
    declared = {"rpm": told.rpm, "tpm": told.tpm, "tpd": told.tpd, "concurrency": told.concurrency}
    limits = {name: value for name, value in declared.items() if value is not None}
    for account in held:
        for name, value in account.learnt.items():
            limits[name] = min(value, limits.get(name, value))
    return limits
