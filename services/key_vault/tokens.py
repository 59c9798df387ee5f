"""Access tokens: who may come in, and as what. Only the hash of a token is kept.

A token has 256 random bits, so one SHA-256 is enough: there is nothing to guess, and the hash is
what others ask by, so that a token itself never crosses the bus.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from contracts.failures import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from contracts.keys import (
    Identity,
    IssueToken,
    RevokeToken,
    Role,
    TokenIssued,
    TokenRevoked,
    TokenView,
)
from services.key_vault.private_file import read_private, write_once
from services.key_vault.projections import identity, token_view
from services.key_vault.sql import SQL
from services.key_vault.store import Store
from shared.database import Connection, transaction
from shared.ids import fresh

PREFIX = "parley_"
DEFAULT_WORKSPACE = "default"

_GOOD_ENOUGH = re.compile(r"[!-~]{24,512}\Z")
"""For a token that an operator has chosen: long, and what an HTTP header can carry."""

log = structlog.stdlib.get_logger("tokens")


class UnusableTokenFile(Exception):
    """The owner token's file holds no token; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows."""

    workspace: str
    role: Role
    label: str = ""
    expires_at: datetime | None = None
    by: str = ""


def new_token() -> str:
    """`parley_` and 43 characters that can stand in a URL."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def introspect(store: Store, token_hash: bytes) -> Identity:
    """Who holds the token; Unauthenticated if nobody does, or no longer."""
    row = await store.pool.fetchrow(SQL["find_token"], token_hash)
    if row is None or row["revoked_at"] is not None:
        raise Unauthenticated("This access token is not valid: it is mistyped, or was revoked.")
    if row["expires_at"] is not None and row["expires_at"] <= datetime.now(UTC):
        raise Unauthenticated(
            "This access token has expired.",
            slug="token-expired",
            next_step="Ask an owner or admin of the workspace for a new one.",
        )
    return identity(row)


async def issue(store: Store, conn: Connection, token: str, grant: Grant) -> str:
    """Make the token valid, in the caller's transaction; answers its id."""
    return await _issue(store, conn, hash_of(token), grant)


async def _issue(store: Store, conn: Connection, token_hash: bytes, grant: Grant) -> str:
    name = fresh()
    await conn.execute(SQL["keep_token_hash"], token_hash, name)
    issued = TokenIssued(
        at=datetime.now(UTC),
        workspace=grant.workspace,
        token=name,
        role=grant.role,
        label=grant.label,
        expires_at=grant.expires_at,
        issued_by=grant.by,
    )
    await store.append(conn, name, 0, [issued], grant.workspace)
    return name


# --- On request -----------------------------------------------------------------------------


async def grant(store: Store, wish: IssueToken) -> TokenView:
    """Let the holder of a token in, which whoever asks has made and shows once."""
    _may(wish.by_role, wish.role)
    if len(wish.token_hash) != hashlib.sha256().digest_size:
        raise Invalid("A token's hash is a SHA-256.", slug="bad-token-hash")
    if wish.expires_at is not None and wish.expires_at <= datetime.now(UTC):
        raise Invalid(
            "The token would have expired already.",
            next_step="Name a time that is still to come, or none.",
            errors=[{"field": "expires_at", "message": "is in the past"}],
        )
    allowed = Grant(wish.workspace, wish.role, wish.label, wish.expires_at, wish.by)
    async with transaction(store.pool) as conn:
        name = await _issue(store, conn, wish.token_hash, allowed)
        row = await conn.fetchrow(SQL["lock_token"], name, wish.workspace)
    store.wake()
    if row is None:
        raise NotFound("There is no such token.")
    return token_view(row, datetime.now(UTC))


async def of_workspace(store: Store, workspace: str) -> list[TokenView]:
    """The newest first."""
    now = datetime.now(UTC)
    return [token_view(row, now) for row in await store.pool.fetch(SQL["list_tokens"], workspace)]


async def revoke(store: Store, wish: RevokeToken) -> None:
    """Nobody comes in with it from now on; nothing if that is so already."""
    async with transaction(store.pool) as conn:
        owners = [row["token"] for row in await conn.fetch(SQL["lock_owners"], wish.workspace)]
        row = await conn.fetchrow(SQL["lock_token"], wish.token, wish.workspace)
        if row is None:
            raise NotFound("There is no such token.")
        _may(wish.by_role, Role(row["role"]))
        if row["revoked_at"] is not None:
            return
        if owners == [wish.token]:
            raise Conflict(
                "This is the only owner's token: without it nobody could manage this workspace.",
                next_step="Issue another owner's token first.",
                slug="last-owner",
            )
        revoked = TokenRevoked(
            at=datetime.now(UTC), workspace=wish.workspace, token=wish.token, revoked_by=wish.by
        )
        await store.append(conn, wish.token, 1, [revoked], wish.workspace)
    store.wake()


_MANAGERS = frozenset({Role.OWNER, Role.ADMIN})


def _may(asking: Role, role: Role) -> None:
    """Owners and admins manage tokens, and only an owner those of owners."""
    if asking not in _MANAGERS or (role is Role.OWNER and asking is not Role.OWNER):
        raise Forbidden(
            f"An {asking}’s token cannot grant or take away what an owner may."
            if asking in _MANAGERS
            else "Tokens are managed by owners and admins.",
            next_step="Ask an owner of this workspace.",
        )


# --- The first one --------------------------------------------------------------------------


async def ensure_owner(store: Store, file: Path) -> None:
    """The first start leaves one owner's token in a file that only the operator can read.

    A file that is there already holds the token that the operator wants.
    """
    async with transaction(store.pool) as conn:
        await conn.execute(SQL["lock_first_start"])
        if await conn.fetchval(SQL["any_token"]):
            await _compare(conn, file)
            return
        write_once(file, new_token() + "\n")
        token = read_private(file)
        if _GOOD_ENOUGH.match(token) is None:
            raise UnusableTokenFile(
                f"{file} is there but holds no usable token (24 printable ASCII characters at "
                "least, no spaces). Remove it, and a new one is made; or put a better one there."
            )
        grant = Grant(DEFAULT_WORKSPACE, Role.OWNER, label="first owner", by="first start")
        await issue(store, conn, token, grant)
        log.info("made the first owner's token", file=str(file))


async def _compare(conn: Connection, file: Path) -> None:
    """Say so if the file holds a token that this database does not know."""
    try:
        token = read_private(file)
    except OSError:
        return  # it need not be kept
    if await conn.fetchrow(SQL["find_token"], hash_of(token)) is None:
        log.warning(
            "the owner token's file holds a token that is not valid here",
            file=str(file),
            next_step="Use the file that belongs to this database, or remove it.",
        )
