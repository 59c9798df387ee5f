"""Messages may come twice, their effect may not: the inbox remembers which ones had theirs."""

from __future__ import annotations

from datetime import timedelta

from shared.database import Connection


async def first_time(conn: Connection, consumer: str, event_id: str) -> bool:
    """Whether `consumer` meets this event for the first time.

    Ask in the transaction of the effect. Who asks while another one's transaction about the same
    event is still open waits for its end.
    """
    status = await conn.execute(
        "INSERT INTO inbox (consumer, event) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        consumer,
        event_id,
    )
    return status == "INSERT 0 1"


async def forget(conn: Connection, *, older_than: timedelta) -> None:
    """Forget what can't come again: choose longer than the stream keeps its messages."""
    await conn.execute("DELETE FROM inbox WHERE seen_at < now() - $1::interval", older_than)
