"""What people do in a discussion: say something, end its rounds, pick the best answer.

And what the clock does: a turn that was waited for long enough is gone on without.
"""

from __future__ import annotations

import msgspec

from contracts.discussion import ConcludeDiscussion, PickWinner, PostMessage
from contracts.failures import Conflict, Invalid, NotFound
from contracts.keys import Done
from services.discussion import races
from services.discussion.aggregate import (
    CannotSay,
    Command,
    Conclude,
    LosePatience,
    NoSuchTurn,
    NothingToPick,
    Pick,
    Say,
)
from services.discussion.store import Store
from services.discussion.wakeups import Wakeup, drop
from shared.idempotency import remember, remembered
from shared.ids import fresh


class Interjections:
    """The verbs `post`, `conclude` and `pick`, and the wake-up `overdue`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def post(self, command: PostMessage) -> Done:
        """Say something; a discussion that is over goes on."""
        if not command.text.strip():
            raise Invalid(
                "There is nothing to say.",
                slug="empty-message",
                errors=[{"field": "text", "message": "must say something"}],
                next_step="Write the message into text.",
            )
        say = Say(message=fresh(), text=command.text, by=command.by)
        key = f"{command.workspace}/post/{command.idempotency_key}"
        try:
            await self._change(
                command.workspace,
                command.discussion,
                say,
                by=command.by,
                key=key if command.idempotency_key else "",
                body_hmac=command.body_hmac,
            )
        except CannotSay as sealed:
            raise Conflict(
                "Its members are working apart from each other, and must hear nothing before they "
                "have voted.",
                slug="sealed",
                title="This discussion cannot hear anybody now",
                next_step="Wait until it has ended, and post then: it goes on with your message. "
                "Or cancel it and begin anew.",
            ) from sealed
        return Done()

    async def conclude(self, command: ConcludeDiscussion) -> Done:
        """No further round. What is over stays over."""
        await self._change(
            command.workspace, command.discussion, Conclude(by=command.by), by=command.by
        )
        return Done()

    async def pick(self, command: PickWinner) -> Done:
        """Name the best answer of a comparison; the last pick counts."""
        try:
            await self._change(
                command.workspace,
                command.discussion,
                Pick(turn=command.turn, by=command.by),
                by=command.by,
            )
        except NothingToPick as refused:
            raise Conflict(
                f"It cannot be picked: {refused.why}.",
                next_step="Pick a turn of a comparison whose state is completed.",
            ) from refused
        return Done()

    async def overdue(self, wakeup: Wakeup) -> None:
        """Handler of `overdue` wake-ups."""
        async with self._store.transaction() as conn:
            loaded = await self._store.hold(conn, wakeup.discussion)
            await self._store.change(conn, loaded, LosePatience(turn=wakeup.subject))
            await drop(conn, wakeup)

    async def _change(
        self,
        workspace: str,
        discussion: str,
        wish: Command,
        *,
        by: str,
        key: str = "",
        body_hmac: bytes = b"",
    ) -> None:
        async def once() -> None:
            async with self._store.transaction() as conn:
                if await remembered(conn, key, body_hmac) is not None:
                    return
                await self._store.find(conn, workspace, discussion)
                loaded = await self._store.hold(conn, discussion)
                await self._store.change(conn, loaded, wish, by=by)
                await remember(conn, key, body_hmac, msgspec.json.encode(Done()))

        try:
            await races.settled(once)
        except NoSuchTurn as unknown:
            raise NotFound(
                "There is no such turn in this discussion.",
                next_step="GET /api/v1/discussions/{id} lists its turns.",
            ) from unknown
