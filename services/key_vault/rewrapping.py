"""The KEK is changed while everything goes on: each data key is wrapped anew, no secret is opened.

Each step stands by itself. Whoever dies in between leaves two KEKs, both of which can be read, and
doing it again goes on from there. What is written meanwhile is wrapped by the KEK in use, and the
former one is destroyed only when nothing is wrapped by it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import structlog

from contracts.keys import Rewrapped
from services.key_vault.at_rest import AtRestError, Kek, header_of, version_of
from services.key_vault.keks import Keks
from services.key_vault.sql import SQL
from shared.database import Connection, Pool, transaction

BATCH = 50

log = structlog.stdlib.get_logger("rewrapping")


async def seal_for_keeps(conn: Connection, keks: Keks, secret: str, bound: bytes) -> bytes:
    """The secret as it is stored, under the KEK in use, which stays so until the transaction ends.

    So nothing is written under a KEK that somebody else is just about to destroy.
    """
    keks.use(await conn.fetchval(SQL["hold_kek"]))
    return keks.encrypt(secret.encode(), bound)


def is_prepared(keks: Keks) -> bool:
    """There is a newer KEK than the one in use."""
    return keks.read()[0] != keks.in_use


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come."""

    kek: Kek
    rewrapped: int = 0
    unreadable: tuple[str, ...] = ()
    """Ids of keys with secrets that the former KEK does not open: they are lost already."""
    finished: bool = False


async def rewrap(pool: Pool, keks: Keks, *, begin: bool = True) -> AsyncGenerator[Progress]:
    """Step by step; what has been done when it is left stays done. CannotAdd: see there.

    Without `begin` only what was begun is brought to its end.
    """
    new = await _begin(pool, keks) if begin else await _in_use(pool, keks)
    rewrapped = 0
    unreadable: dict[str, None] = {}
    yield Progress(new)
    for table in ("secrets", "trials"):
        passed: tuple[object, ...] = ("", 0, "")
        while rows := await pool.fetch(SQL[f"{table}_to_rewrap"], header_of(new), BATCH, *passed):
            for row in rows:
                passed = (row["key"], row["version"], row["endpoint"])
                try:
                    fresh = keks.rewrap(row["sealed"], by=new)
                except AtRestError:
                    log.exception("a secret cannot be read", alert=True, key=row["key"])
                    unreadable[row["key"]] = None
                    continue
                await pool.execute(SQL[f"rewrap_{table}"], *passed, row["sealed"], fresh)
                rewrapped += 1
            yield Progress(new, rewrapped, tuple(unreadable))
    finished = await _end(pool, keks, new)
    yield Progress(new, rewrapped, tuple(unreadable), finished)


async def _in_use(pool: Pool, keks: Keks) -> Kek:
    keks.use(await pool.fetchval(SQL["find_identity"]))
    return keks.in_use


async def _begin(pool: Pool, keks: Keks) -> Kek:
    """The KEK that all is to be wrapped by; from here on whatever is new is wrapped by it."""
    async with transaction(pool) as conn:
        await conn.execute(SQL["lock_keks"])
        identity: bytes = await conn.fetchval(SQL["find_identity"])
        keks.use(identity)
        left = await conn.fetchval(SQL["any_to_rewrap"], header_of(keks.in_use))
        if left or keks.has_former(keks.in_use):
            return keks.in_use  # somebody died on the way
        # A newer one is there if it was prepared, or if somebody died after making it.
        new = keks.read()[0] if is_prepared(keks) else keks.add()
        # Waits for those who are writing, see `seal_for_keeps`.
        await conn.execute(SQL["rewrap_identity"], keks.rewrap(identity, by=new))
    keks.use(header_of(new))
    return new


async def _end(pool: Pool, keks: Keks, new: Kek) -> bool:
    """Destroy the former KEKs, if nothing is wrapped by them."""
    async with transaction(pool) as conn:
        await conn.execute(SQL["lock_keks"])
        identity: bytes = await conn.fetchval(SQL["find_identity"])
        left = await conn.fetchval(SQL["any_to_rewrap"], header_of(new))
        if left or version_of(identity) != new.version:
            return False
        keks.drop_all_but(new)
        return True


# --- In words -------------------------------------------------------------------------------


def rewrapped(keks: Keks, progress: Progress) -> Rewrapped:
    """What came of it, and what is left to a person."""
    if progress.unreadable:
        names = ", ".join(progress.unreadable)
        detail = f"The secrets of {names} cannot be read, so the former KEK is kept."
        next_step = "Revoke those keys (their secrets are lost), then do this again."
    elif not progress.finished:
        detail = "Somebody else is changing the KEK too; both can be read."
        next_step = "Do this again in a while."
    elif left_over := keks.left_over():
        detail = "Every secret is under the new KEK."
        next_step = f"{left_over} is no longer needed: take it away. {_BACKUP}"
    else:
        detail = "Every secret is under the new KEK, and the former one is destroyed."
        next_step = f"Back up {keks.where}. {_BACKUP}"
    return Rewrapped(
        rewrapped=progress.rewrapped,
        finished=progress.finished,
        detail=detail,
        next_step=next_step,
        unreadable=list(progress.unreadable),
    )


_BACKUP = (
    "Backups of the database from before this still need the former KEK: keep it with them, or "
    "throw them away."
)
