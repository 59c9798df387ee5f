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

from contracts.failures import Unauthenticated
from contracts.keys import Identity, Role, TokenIssued
from services.key_vault.private_file import read_private, write_once
from services.key_vault.projections import identity
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
        raise Unauthenticated("This access token is not valid.")
    if row["expires_at"] is not None and row["expires_at"] <= datetime.now(UTC):
        raise Unauthenticated("This access token has expired.", slug="token-expired")
    return identity(row)


async def issue(store: Store, conn: Connection, token: str, grant: Grant) -> str:
    """Make the token valid, in the caller's transaction; answers its id."""
    name = fresh()
    await conn.execute(SQL["keep_token_hash"], hash_of(token), name)
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
