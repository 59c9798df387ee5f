"""How attempts end: what the adapter says of them, and what is found when it says nothing."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import asyncpg
import msgspec
import structlog

from contracts.discussion_events import DiscussionEvent
from contracts.failures import FailureClass
from contracts.keys import ReportKey
from contracts.prices import Cost
from contracts.stream import (
    Outcome,
    ProviderError,
    StreamCompleted,
    StreamStarted,
    Usage,
    UsageStatus,
)
from contracts.subjects import OUTCOMES, chunk_subject, outcome_subject
from services.discussion import accounts, admission, ledger, races
from services.discussion.aggregate import Command, CutAttempt, Going, Hear, Heard, Running, Turn
from services.discussion.pricing import cost, price_of
from services.discussion.reactions import account_of
from services.discussion.salvaging import salvaged
from services.discussion.sql import SQL
from services.discussion.store import Loaded, Store
from services.discussion.wakeups import Wakeup, drop, postpone, set_wakeup
from shared.bus import Bus, Delivery
from shared.database import Connection

PULSE = timedelta(seconds=25)
"""An attempt whose last chunk is older has no pulse: the adapter sends one each 10 s of silence."""

LOOKING = timedelta(seconds=5)

_decode_outcome: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Outcome)


class Outcomes:
    """Journals the end of attempts."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._log = structlog.stdlib.get_logger("outcomes")

    async def heard(self, delivery: Delivery) -> None:
        """Handler of the OUTCOMES stream: acknowledged once it is journaled."""
        outcome = _decode_outcome.decode(delivery.data)
        if isinstance(outcome, StreamStarted):
            return  # the chunks that follow show it as well
        await races.settled(partial(self._hear, Hear(outcome)))

    async def _hear(self, command: Hear) -> None:
        async with self._store.transaction() as conn:
            await self.apply(conn, command.outcome.discussion, command)

    async def apply(
        self, conn: Connection, discussion: str, command: Hear
    ) -> list[DiscussionEvent]:
        """Carry the outcome into the discussion; nothing happens if it is stale."""
        await _tell_account(conn, command.outcome)
        loaded = await self._store.hold(conn, discussion)
        outcome = command.outcome
        priced = Hear(outcome, _cost(loaded, outcome.turn, outcome.attempt, outcome.usage))
        events = await self._store.change(conn, loaded, priced)
        if events and isinstance(outcome, ProviderError):
            self._tell_if_puzzled(outcome)
        if not events:
            # Nobody waited for it any more; what it has cost is worth knowing all the same.
            now = await self._store.clock(conn)
            bill = await ledger.correct(conn, outcome, now)
            await self._store.state_bills(conn, discussion, [] if bill is None else [bill])
        return events

    def _tell_if_puzzled(self, error: ProviderError) -> None:
        """What fits no class is tried once more; why it fits none, somebody has to look up.

        Not in the provider's own words, which may be people's: those are with the turn.
        """
        if error.class_ is FailureClass.UNKNOWN:
            self._log.error(
                "a provider has failed in a way that nobody knows",
                alert=True,
                discussion=error.discussion,
                attempt=error.attempt,
                status=error.evidence.status,
                type=error.evidence.type,
                hint=error.hint,
            )

    async def lease_due(self, wakeup: Wakeup) -> None:
        """Handler of `lease` wake-ups: does the attempt still live?"""
        # The broker is asked before anything is locked: it may be slow, or away.
        subject = chunk_subject(wakeup.workspace, wakeup.discussion, wakeup.subject)
        last = await self._bus.last_chunk(subject)
        async with self._store.reading() as conn:
            now = await self._store.clock(conn)
            before = await self._store.load(conn, wakeup.discussion)
        alive = last is not None and now - last.stored_at < PULSE
        if not alive and await self._heard_late(wakeup):
            return
        prefix = _prefix(before, wakeup.subject)
        found = Heard() if alive else await salvaged(self._bus, subject, prefix, within=LOOKING)
        async with self._store.transaction() as conn:
            loaded = await self._store.hold(conn, wakeup.discussion)
            row = await conn.fetchrow(SQL["find_attempt"], wakeup.subject)
            if row is None:
                await drop(conn, wakeup)
                return
            if alive:
                await self._renew(conn, wakeup, row)
                return
            await self._cut(conn, loaded, row, found, said_before=prefix)

    async def _heard_late(self, wakeup: Wakeup) -> bool:
        """Its end has been said and is not journaled yet: we were away, or who took it in died.

        It comes again by itself, but perhaps only when the attempt would have been given up.
        """
        subject = outcome_subject(wakeup.workspace, wakeup.discussion, wakeup.subject)
        last = await self._bus.last_chunk(subject, stream=OUTCOMES.name)
        outcome = None if last is None else _decode_outcome.decode(last.data)
        if outcome is None or isinstance(outcome, StreamStarted):
            return False
        async with self._store.transaction() as conn:
            return bool(await self.apply(conn, wakeup.discussion, Hear(outcome)))

    async def _renew(self, conn: Connection, wakeup: Wakeup, row: asyncpg.Record) -> None:
        ref = account_of(row)
        account = await accounts.lock(conn, ref)
        now = await self._store.clock(conn)
        renewed = admission.renew(account, row["attempt"], now=now)
        await accounts.save(conn, ref, renewed)
        await postpone(conn, wakeup, admission.LEASE)

    async def _cut(
        self,
        conn: Connection,
        loaded: Loaded,
        row: asyncpg.Record,
        found: Heard,
        *,
        said_before: str = "",
    ) -> None:
        text, reasoning = found.text, found.reasoning
        self._log.warning("attempt has no pulse", attempt=row["attempt"], heard=len(text))
        heard = f"{text[len(said_before) :]}{reasoning}".encode(errors="replace")
        # Without a word of it nobody knows whether it was asked at all.
        usage = Usage()
        if heard:
            usage = Usage(
                input_tokens=await ledger.question(conn, row["attempt"]),
                output_tokens=len(heard) // 3,
                status=UsageStatus.ESTIMATED,
            )
        command: Command = CutAttempt(
            turn=row["turn"],
            attempt=row["attempt"],
            reason="no sign of life",
            text=text,
            reasoning=reasoning,
            usage=usage,
            cost=_cost(loaded, row["turn"], row["attempt"], usage),
        )
        if not await self._store.change(conn, loaded, command):
            # The discussion has gone on without it: only its place is left to give back.
            await self._give_back(conn, row)

    async def _give_back(self, conn: Connection, row: asyncpg.Record) -> None:
        ref = account_of(row)
        account = await accounts.lock(conn, ref)
        await accounts.save(conn, ref, admission.release(account, row["attempt"]))
        await conn.execute(SQL["end_attempt"], row["attempt"])
        await conn.execute(SQL["drop_wakeup"], "lease", row["attempt"])


async def _tell_account(conn: Connection, outcome: StreamCompleted | ProviderError) -> None:
    """Tell key_vault once whose limits the key uses: keys of one account share them."""
    completed = isinstance(outcome, StreamCompleted)
    account = outcome.account if completed else outcome.evidence.account
    row = await conn.fetchrow(SQL["find_attempt"], outcome.attempt) if account else None
    if row is None or not row["key"]:
        return
    seen = await conn.execute(SQL["see_account"], row["key"], row["key_version"], account)
    if seen == "UPDATE 1":
        report = ReportKey(
            workspace=row["workspace"],
            key=row["key"],
            version=row["key_version"],
            accepted=None,
            attempt=row["attempt"],
            account=account,
        )
        subject = f"account of {row['key']}"
        now = await conn.fetchval(SQL["clock"])
        payload = msgspec.json.encode(report)
        await set_wakeup(
            conn, "report", subject, workspace=row["workspace"], due=now, payload=payload
        )


def _prefix(loaded: Loaded, attempt: str) -> str:
    """What had been said before the attempt went on from there."""
    turns = loaded.state.turns.values() if isinstance(loaded.state, Going) else ()
    running = (turn for turn in turns if _runs(turn, attempt))
    return next((turn.prefix for turn in running), "")


def _runs(turn: Turn, attempt: str) -> bool:
    return isinstance(turn.phase, Running) and turn.phase.attempt == attempt


def _cost(loaded: Loaded, turn: str, attempt: str, usage: Usage) -> Cost | None:
    state = loaded.state
    found = state.turns.get(turn) if isinstance(state, Going) else None
    if loaded.opened is None or found is None or not _runs(found, attempt):
        return None
    return cost(price_of(loaded.opened, found.participant), usage)
