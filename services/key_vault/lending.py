"""A key on loan: sealed to the one process that asked, for the one request it asked for.

Every loan is written down before the key is touched. If it cannot be written, there is no loan.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from contracts.failures import Conflict, Forbidden, Invalid, NotFound
from contracts.keys import KeyLease, KeyState, KeyView, LeaseKey
from services.key_vault import addressbook
from services.key_vault.at_rest import AtRestError, bound_to_key
from services.key_vault.projections import key_view
from services.key_vault.sql import SQL
from services.key_vault.store import Store
from shared.database import Connection, transaction
from shared.sealing import BadKey, lease_info, seal

LASTS = timedelta(minutes=5)
"""By then whoever has the key forgets it."""

_MAY = {
    "attempt": frozenset({KeyState.ACTIVE}),
    # A probe is how a key that is not trusted can earn trust.
    "probe": frozenset({KeyState.PENDING, KeyState.ACTIVE, KeyState.SUSPECT, KeyState.QUARANTINED}),
}

log = structlog.stdlib.get_logger("lending")


async def lend(store: Store, wish: LeaseKey) -> KeyLease:
    """The key, sealed and signed. NotFound, Conflict, Forbidden, Invalid say why not."""
    info = lease_info(
        workspace=wish.workspace,
        request=wish.request,
        key=wish.key,
        version=wish.version,
        endpoint=wish.endpoint,
    )
    expires_at = datetime.now(UTC) + LASTS
    bound = bound_to_key(wish.workspace, wish.key, wish.version, wish.endpoint)
    stored = await _write_down(store, wish, expires_at)
    try:
        secret = store.identity.keks.decrypt(stored, bound).decode()
    except AtRestError:
        log.exception("a key cannot be read", alert=True, key=wish.key)
        raise
    try:
        sealed = seal(wish.recipient, secret.encode(), info)
    except BadKey as error:
        raise Invalid("The recipient's public key is not one.", slug="bad-recipient") from error
    return KeyLease(
        sealed=sealed, signature=store.identity.signing.sign(sealed, info), expires_at=expires_at
    )


async def _write_down(store: Store, wish: LeaseKey, expires_at: datetime) -> bytes:
    """The secret as it is stored; that it is lent is on record."""
    async with transaction(store.pool) as conn:
        stored = await _on_trial(conn, wish) or await _in_use(conn, wish)
        await conn.execute(
            SQL["note_lease"],
            wish.workspace,
            wish.key,
            wish.version,
            wish.endpoint,
            wish.request,
            wish.purpose,
            expires_at,
        )
        return stored


async def _on_trial(conn: Connection, wish: LeaseKey) -> bytes | None:
    """A secret that is not kept yet: for probes only."""
    if wish.purpose != "probe":
        return None
    stored: bytes | None = await conn.fetchval(
        SQL["find_trial"], wish.key, wish.version, wish.endpoint, wish.workspace
    )
    return stored


async def _in_use(conn: Connection, wish: LeaseKey) -> bytes:
    row = await conn.fetchrow(SQL["find_key_to_lend"], wish.key, wish.workspace)
    if row is None:
        log.warning("refused a loan", key=wish.key, request=wish.request, why="no such key")
        raise NotFound("There is no such key.")
    _check(key_view(row), wish)
    await addressbook.check(conn, wish.workspace, key_view(row))
    stored: bytes | None = await conn.fetchval(SQL["find_secret"], wish.key, wish.version)
    if stored is None:
        raise NotFound("The key's secret has been destroyed.")
    return stored


def _check(key: KeyView, wish: LeaseKey) -> None:
    """Exactly this version, exactly this address, and good enough for the purpose."""
    if key.version != wish.version:
        refusal = Conflict(
            f"Version {wish.version} of this key was replaced by version {key.version}.",
            slug="key-version",
        )
    elif key.endpoint != wish.endpoint:
        refusal = Forbidden("This key is bound to another address.", slug="key-endpoint")
    elif key.state not in _MAY[wish.purpose]:
        refusal = Conflict(
            f"This key is {key.state}. {key.reason}".strip(),
            slug=f"key-{key.state}",
            next_step=key.next_step,
        )
    else:
        return
    log.warning("refused a loan", key=wish.key, request=wish.request, why=refusal.problem.type)
    raise refusal
