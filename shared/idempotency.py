"""A command may come twice under the same key: it is carried out once and answered alike.

async with transaction(pool) as conn:
    if (reply := await remembered(conn, key, hmac)) is not None:
        return reply
    ...                      # the effect
    await remember(conn, key, hmac, reply)
"""

from __future__ import annotations

import hmac
from datetime import timedelta

from contracts.failures import IdempotencyMismatch
from shared.database import Connection


async def remembered(conn: Connection, key: str, body_hmac: bytes) -> bytes | None:
    """The reply that was given under this key, None if there was none yet.

    Ask at the beginning of the transaction: until its end others with the same key wait here.
    The key must name the workspace and the verb too; an empty one means that nobody asked for this.
    IdempotencyMismatch: the key was used with another body.
    """
    if not key:
        return None
    await conn.execute(
        "SELECT pg_advisory_xact_lock("
        "hashtextextended('parley command ' || current_schema() || ' ' || $1, 0))",
        key,
    )
    row = await conn.fetchrow("SELECT body_hmac, reply FROM commands WHERE key = $1", key)
    if row is None:
        return None
    if not hmac.compare_digest(row["body_hmac"], body_hmac):
        raise IdempotencyMismatch(
            "This key came before with a different body.",
            next_step="Send the same body again, or choose a new Idempotency-Key.",
        )
    return bytes(row["reply"])


async def remember(conn: Connection, key: str, body_hmac: bytes, reply: bytes) -> None:
    """Keep the reply, in the transaction of the effect."""
    if key:
        await conn.execute(
            "INSERT INTO commands (key, body_hmac, reply) VALUES ($1, $2, $3)",
            key,
            body_hmac,
            reply,
        )


async def forget(conn: Connection, *, older_than: timedelta) -> None:
    """Forget replies that nobody will ask for again."""
    await conn.execute("DELETE FROM commands WHERE answered_at < now() - $1::interval", older_than)
