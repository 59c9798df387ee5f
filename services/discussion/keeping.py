"""What is kept of a discussion for people: its title, what finds it, and for how long.

Called with the events of one decision, in the transaction that appends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.discussion_events import (
    TERMINAL,
    DiscussionEvent,
    DiscussionOpened,
    DiscussionReopened,
)
from contracts.keeping import DiscussionDeleted, DiscussionRenamed
from services.discussion.found import said_in
from services.discussion.sql import SQL
from services.discussion.wakeups import set_wakeup
from shared.database import Connection

DELIVERED = timedelta(minutes=5)
"""After its end, what is not to be kept is deleted even if nobody has said that it has arrived."""


async def note(
    conn: Connection,
    opened: DiscussionOpened,
    events: Sequence[DiscussionEvent],
    *,
    after: int,
    now: datetime,
) -> None:
    """All that follows from `events`, which come after version `after`."""
    for version, event in enumerate(events, after + 1):
        if words := said_in(event):
            await conn.execute(SQL["note_said"], opened.discussion, version, words)
        match event:
            case DiscussionRenamed(title=title):
                told = title.encode("utf-8", "replace")
                search = title.lower().encode("utf-8", "replace")
                await conn.execute(SQL["rename_discussion"], opened.discussion, told, search)
            case DiscussionReopened():
                await conn.execute(SQL["drop_wakeup"], "forget", opened.discussion)
            case DiscussionDeleted():
                await conn.execute(SQL["forget_discussion"], opened.discussion)
                await conn.execute(SQL["forget_said"], opened.discussion)
                await conn.execute(SQL["drop_wakeup"], "forget", opened.discussion)
                await _wake(conn, "purge", opened, now)
            case _ if isinstance(event, TERMINAL) and not opened.keep_words:
                await _wake(conn, "forget", opened, now + DELIVERED)
            case _:
                pass


async def _wake(conn: Connection, kind: str, opened: DiscussionOpened, at: datetime) -> None:
    await set_wakeup(
        conn,
        kind,
        opened.discussion,
        workspace=opened.workspace,
        due=at,
        discussion=opened.discussion,
    )
