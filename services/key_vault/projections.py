"""What others may ask of the vault: rows, changed by each event in its own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never, cast

import msgspec
from asyncpg import Record

from contracts.event import Event
from contracts.keys import (
    EndpointChanged,
    Identity,
    KeyAccountSeen,
    KeyActivated,
    KeyAdded,
    KeyDisabled,
    KeyEnabled,
    KeyEvent,
    KeyNotRotated,
    KeyNotVerified,
    KeyProven,
    KeyQuarantined,
    KeyRemoved,
    KeyRevoked,
    KeyRotated,
    KeyState,
    KeySuspected,
    KeyVerified,
    KeyView,
    Role,
    TokenIssued,
    TokenRevoked,
    TokenView,
)
from services.key_vault.endpoints import row_in
from services.key_vault.explanations import EMPTY
from services.key_vault.sql import SQL
from shared.database import Connection

NEW_KEY = (
    "It has not been verified with the provider yet.",
    "This happens by itself within a minute.",
)


CONFIRMED = (
    "Nothing yet: the provider is asked once more within a minute, and what needs the key waits "
    "for that."
)
REPLACED = "Nothing, unless you want it back: then enable it. Pruning takes it off the list."


async def project(conn: Connection, events: Iterable[Event]) -> None:
    """Bring the tables `keys`, `endpoints` and `tokens` up to these events."""
    for event in events:
        await _project(conn, cast(KeyEvent, event))


async def _project(conn: Connection, event: KeyEvent) -> None:  # noqa: C901, PLR0912 - one for each
    match event:
        case KeyAdded():
            await conn.execute(
                SQL["add_key"],
                event.key,
                event.workspace,
                event.provider,
                event.version,
                KeyState.PENDING,
                event.endpoint,
                event.region,
                event.fingerprint,
                event.label,
                event.at,
                event.pool,
            )
            await conn.execute(SQL["explain_key"], event.key, *NEW_KEY)
        case KeyNotVerified():
            await conn.execute(SQL["explain_key"], event.key, event.reason, event.next_step)
        case KeyActivated():
            await conn.execute(
                SQL["activate_key"], event.key, KeyState.ACTIVE, event.at, event.account
            )
        case KeyAccountSeen():
            await conn.execute(SQL["name_account"], event.key, event.account)
        case KeyProven():
            await conn.execute(SQL["prove_key"], event.key)
        case KeyRotated():
            await conn.execute(
                SQL["rotate_key"],
                event.key,
                event.version,
                event.fingerprint,
                event.account,
                event.endpoint,
            )
        case KeySuspected() | KeyQuarantined() | KeyDisabled() | KeyEnabled() | KeyRevoked():
            state, *words = _put_aside(event)
            await conn.execute(SQL["move_key"], event.key, state, event.at, *words)
        case KeyRemoved():
            await conn.execute(SQL["remove_key"], event.key)
        case KeyVerified(balance=balance):
            if balance is not None:
                told = "" if balance.enough else str(balance)
                await conn.execute(SQL["tell_balance"], event.key, told)
        case KeyNotRotated():
            pass  # no row depends on these
        case EndpointChanged():
            await _project_endpoint(conn, event)
        case TokenIssued() | TokenRevoked():
            await _project_token(conn, event)
        case _:
            assert_never(event)


async def _project_token(conn: Connection, event: TokenIssued | TokenRevoked) -> None:
    match event:
        case TokenIssued():
            await conn.execute(
                SQL["add_token"],
                event.token,
                event.workspace,
                event.role,
                event.label,
                event.expires_at,
                event.at,
                event.issued_by,
            )
        case TokenRevoked():
            await conn.execute(SQL["revoke_token"], event.token, event.at)


async def _project_endpoint(conn: Connection, event: EndpointChanged) -> None:
    if event.removed:
        await conn.execute(SQL["drop_endpoint"], event.workspace, event.provider)
        return
    row = msgspec.json.encode(row_in(event))
    await conn.execute(SQL["save_endpoint"], event.workspace, event.provider, row, event.at)


def _put_aside(
    event: KeySuspected | KeyQuarantined | KeyDisabled | KeyEnabled | KeyRevoked,
) -> tuple[KeyState, str, str]:
    """The state that takes a key out of use, why, and what to do."""
    match event:
        case KeySuspected():
            return KeyState.SUSPECT, event.reason, CONFIRMED
        case KeyQuarantined():
            return KeyState.QUARANTINED, event.reason, event.next_step
        case KeyDisabled(cause="replaced"):
            return KeyState.DISABLED, f"Replaced by the key {event.replaced_by}.", REPLACED
        case KeyDisabled():
            return KeyState.DISABLED, "Disabled by hand.", "Enable it to use it again."
        case KeyEnabled():
            return KeyState.PENDING, *NEW_KEY
        case KeyRevoked():
            return KeyState.REVOKED, "Revoked; its secret is destroyed.", "Add a new key."


# --- Rows as answers ------------------------------------------------------------------------


def key_view(row: Record) -> KeyView:
    empty = row["state"] == KeyState.ACTIVE and row["balance"]
    return KeyView(
        id=row["key"],
        version=row["version"],
        provider=row["provider"],
        state=KeyState(row["state"]),
        endpoint=row["endpoint"],
        region=row["region"],
        fingerprint=row["fingerprint"],
        label=row["label"],
        account=row["account"],
        since=row["since"],
        activated_at=row["activated_at"],
        proven=row["proven"],
        reason=row["balance"] if empty else row["reason"],
        next_step=EMPTY if empty else row["next_step"],
        pool=row["pool"],
        shares_limits_with=row.get("shares", []),
    )


def identity(row: Record) -> Identity:
    return Identity(
        token=row["token"],
        workspace=row["workspace"],
        role=Role(row["role"]),
        label=row["label"],
        expires_at=row["expires_at"],
    )


def token_view(row: Record, now: datetime) -> TokenView:
    expires_at: datetime | None = row["expires_at"]
    if row["revoked_at"] is not None:
        state = "revoked"
    else:
        state = "expired" if expires_at is not None and expires_at <= now else "valid"
    return TokenView(
        id=row["token"],
        role=Role(row["role"]),
        state=state,
        label=row["label"],
        issued_at=row["issued_at"],
        expires_at=expires_at,
        revoked_at=row["revoked_at"],
        issued_by=row["issued_by"],
    )
