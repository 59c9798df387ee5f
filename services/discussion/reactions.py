"""What each fact of a discussion changes in the tables beside the journal, in its transaction.

A turn that is due has a wake-up; one that runs has a place in an account and a lease; one that
is parked waits for its gate. So whatever crashes, every discussion has an owner.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, assert_never

import asyncpg
import msgspec

from contracts.deliberation import ModeFact
from contracts.discussion_events import (
    ASIDE,
    TERMINAL,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
    DiscussionOpened,
    DiscussionReopened,
    GateClosed,
    GateOpened,
    QuotaRestored,
    TurnCancelled,
    TurnCompleted,
    TurnFact,
    TurnFailed,
    TurnParked,
    TurnReopened,
    TurnRestarted,
    TurnScheduled,
    TurnWaiting,
)
from contracts.failures import PARKING, Evidence, FailureClass
from contracts.keeping import KeepingFact
from contracts.keys import ReportKey
from contracts.usage import UsageRecorded
from services.discussion import accounts, aftermath, aggregate, keeping, ledger, line, looks
from services.discussion.accounts import AccountRef
from services.discussion.admission import Account
from services.discussion.overview import overview
from services.discussion.remedies import reset_in
from services.discussion.sql import SQL
from services.discussion.wakeups import set_wakeup
from services.discussion.words import explain
from services.discussion.workflows import members
from shared.database import Connection

if TYPE_CHECKING:
    from services.discussion.store import Loaded


GateMoved = GateClosed | GateOpened | QuotaRestored


class Reactions:
    """Notes the events of one decision in the tables."""

    def __init__(
        self, conn: Connection, opened: DiscussionOpened, before: Loaded, now: datetime
    ) -> None:
        self._conn = conn
        self._opened = opened
        self._before = before
        self._now = now
        self._moved: list[GateMoved] = []
        self.bills: list[UsageRecorded] = []
        """What the attempts that ended have cost, to be stated too."""

    async def note(self, events: Sequence[DiscussionEvent]) -> list[GateMoved]:
        """All that follows from `events`; answers the gates that they move, to be stated too.

        Accounts are locked first, for the order of locks.
        """
        for event in events:
            match event:
                case AttemptFailed() | AttemptCut() | TurnCompleted():
                    await self._attempt_ended(event, events)
                case _:
                    pass
        await self._give_up({each.turn for each in events if isinstance(each, TurnCancelled)})
        self.bills += await ledger.settle(self._conn, self._opened.discussion, events, self._now)
        for event in events:
            if not isinstance(event, ModeFact | KeepingFact):
                await self._turn(event)
        await self._save_overview(events)
        await keeping.note(
            self._conn, self._opened, events, after=self._before.version, now=self._now
        )
        if any(isinstance(event, TERMINAL) for event in events):
            await members.ended(self._conn, self._opened.discussion)
        return self._moved

    async def _turn(self, event: TurnFact) -> None:
        match event:
            case TurnScheduled():
                await self._wake(event.turn, self._now, event.model)
                if event.overdue_at is not None:
                    await self._lose_patience(event.turn, event.overdue_at)
            case TurnReopened():
                await self._wake(event.turn, self._now, self._model(event.turn))
            case TurnWaiting():
                await self._wake(event.turn, event.not_before, self._model(event.turn))
            case TurnParked():
                # Looked at at once: a newer key may be there by now. If not, it stays parked.
                await self._wake(event.turn, self._now, self._model(event.turn))
            case AttemptStarted() | TurnCompleted() | TurnFailed():
                await self._conn.execute(SQL["drop_wakeup"], "turn", event.turn)
            case TurnCancelled():
                # The next in line moves up; when to look it finds out by looking.
                left = await self._conn.fetchval(SQL["leave_line"], event.turn)
                if left:
                    await self._conn.execute(SQL["wake_next"], [left], self._now, event.turn)
            case (
                DiscussionOpened()
                | DiscussionReopened()
                | AttemptFailed()
                | AttemptCut()
                | TurnRestarted()
                | DiscussionCompleted()
                | DiscussionFailed()
                | DiscussionCancelled()
            ):
                pass
            case _:
                assert_never(event)

    async def _lose_patience(self, turn: str, at: datetime) -> None:
        """The mode goes on without the turn then."""
        await set_wakeup(
            self._conn,
            "overdue",
            turn,
            workspace=self._opened.workspace,
            due=at,
            discussion=self._opened.discussion,
        )

    def _model(self, turn: str) -> str:
        state = self._before.state
        told = isinstance(state, aggregate.Going | aggregate.Over)
        return state.turns[turn].model if told else ""

    async def _wake(self, turn: str, at: datetime, model: str) -> None:
        await set_wakeup(
            self._conn,
            "turn",
            turn,
            workspace=self._opened.workspace,
            due=at,
            discussion=self._opened.discussion,
            payload=model.encode(),
        )

    # --- attempts ---------------------------------------------------------------------------

    async def _attempt_ended(
        self,
        event: AttemptFailed | AttemptCut | TurnCompleted,
        events: Sequence[DiscussionEvent],
    ) -> None:
        row = await self._conn.fetchrow(SQL["find_attempt"], event.attempt)
        if row is None:
            return
        ref = account_of(row)
        before = await accounts.lock(self._conn, ref)
        limits = await accounts.limits_of(self._conn, ref)
        key = _key(row)
        account = aftermath.after(
            before, event, events, key=key, limits=limits, now=self._now, dice=random.random
        )
        match event:
            case AttemptFailed():
                if event.class_ in PARKING:
                    await self._close_gate(event, row)
                if event.class_ is FailureClass.AUTH and row["key"]:
                    await self._report(row, accepted=False, event=event)
            case TurnCompleted():
                if key and key not in before.proven:
                    await self._report(row, accepted=True)
                await self._open_gates(row)
            case AttemptCut():
                pass
        await self._free(row, ref, account)

    async def _close_gate(self, event: AttemptFailed, row: asyncpg.Record) -> None:
        model = f"{row['provider']}/{row['model']}"
        ref = account_of(row)
        opens_in = reset_in(event.class_, event.evidence)
        opens = None if opens_in is None else self._now + opens_in
        failure = explain(
            event.class_, model, evidence=event.evidence, hint=event.hint, not_before=opens
        )
        gate = gate_name(event.class_, ref, row["model"], _key(row))
        closed = await self._conn.execute(
            SQL["close_gate"],
            row["workspace"],
            gate,
            row["provider"],
            msgspec.json.encode(failure),
            self._now,
        )
        if closed == "INSERT 0 1" and event.class_ is FailureClass.BILLING:
            await looks.plan(self._conn, ref, gate, row["model"], opens_in, self._now)
        if closed == "INSERT 0 1":
            # Who stands in line for the account finds the gate closed, and says so.
            await line.call_all(self._conn, ref)
            self._moved.append(
                GateClosed(
                    at=self._now,
                    workspace=row["workspace"],
                    provider=row["provider"],
                    gate=gate,
                    failure=failure,
                )
            )

    async def _open_gates(self, row: asyncpg.Record) -> None:
        """Somebody has insisted, and it has answered: the way is free for all."""
        ref, workspace, provider = account_of(row), row["workspace"], row["provider"]
        names = {
            gate_name(class_, ref, row["model"], ""): f"{kind}:{provider}@{workspace}"
            for class_, kind in ((FailureClass.MODEL, "model"), (FailureClass.BILLING, "billing"))
        }
        await looks.first_is_through(self._conn, ref, gate_name(FailureClass.BILLING, ref, "", ""))
        closed = await self._conn.fetch(SQL["closed_gates"], workspace, list(names))
        if not closed:
            return
        await self._conn.execute(SQL["move_gates"], workspace, provider)
        for gate in sorted(each["gate"] for each in closed):
            await self._conn.execute(SQL["open_gate"], workspace, gate)
            await self._conn.execute(SQL["wake_waiting"], names[gate], None)
            if gate == gate_name(FailureClass.BILLING, ref, "", ""):
                self._moved.append(
                    QuotaRestored(
                        at=self._now,
                        workspace=workspace,
                        provider=provider,
                        endpoint=ref.endpoint,
                        account=ref.account,
                        cause="an attempt succeeded",
                    )
                )
            self._moved.append(
                GateOpened(
                    at=self._now,
                    workspace=workspace,
                    provider=provider,
                    gate=gate,
                    cause="an attempt succeeded",
                )
            )

    async def _report(
        self, row: asyncpg.Record, *, accepted: bool, event: AttemptFailed | None = None
    ) -> None:
        """Tell key_vault what the provider said of the key: durably, by a wake-up."""
        report = ReportKey(
            workspace=row["workspace"],
            key=row["key"],
            version=row["key_version"],
            accepted=accepted,
            attempt=row["attempt"],
            evidence=event.evidence if event else Evidence(),
            hint=event.hint if event else "",
        )
        await set_wakeup(
            self._conn,
            "report",
            row["attempt"],
            workspace=row["workspace"],
            due=self._now,
            payload=msgspec.json.encode(report),
        )

    async def _give_up(self, turns: set[str]) -> None:
        """Nobody waits for these any more: their places are free, and who works for them is called
        off. In a fixed order, for the locks.
        """
        if not turns:
            return
        rows = await self._conn.fetch(SQL["attempts_of_discussion"], self._opened.discussion)
        for row in rows:
            if row["turn"] in turns:
                ref = account_of(row)
                account = await accounts.lock(self._conn, ref)
                account = aftermath.given_up(account, row["attempt"], key=_key(row))
                await self._free(row, ref, account)
                await self._call_off(row["attempt"])

    async def _call_off(self, attempt: str) -> None:
        await set_wakeup(
            self._conn,
            "stop",
            attempt,
            workspace=self._opened.workspace,
            due=self._now,
            discussion=self._opened.discussion,
        )

    async def _free(self, row: asyncpg.Record, ref: AccountRef, account: Account) -> None:
        await accounts.save(self._conn, ref, account)
        await self._conn.execute(SQL["end_attempt"], row["attempt"])
        await self._conn.execute(SQL["drop_wakeup"], "lease", row["attempt"])
        limits = await accounts.limits_of(self._conn, ref)
        await line.call_next(self._conn, ref, account, limits, self._now)

    # --- what the list shows ----------------------------------------------------------------

    async def _save_overview(self, events: Sequence[DiscussionEvent]) -> None:
        after = reduce(aggregate.evolve, events, self._before.state)
        last = next((event for event in reversed(events) if not isinstance(event, ASIDE)), None)
        title = self._opened.title
        await self._conn.execute(
            SQL["save_discussion"],
            self._opened.discussion,
            self._opened.workspace,
            "" if last is None else overview(after, last).value,
            self._opened.mode.value,
            title.encode("utf-8", "replace"),
            title.lower().encode("utf-8", "replace"),
            self._before.version + len(events),
            self._now,
        )


def account_of(row: asyncpg.Record) -> AccountRef:
    """Whose place the attempt holds."""
    return AccountRef(row["workspace"], row["provider"], row["endpoint"], row["account"])


def _key(row: asyncpg.Record) -> str:
    return f"{row['key']}:{row['key_version']}" if row["key"] else ""


def gate_name(class_: FailureClass, ref: AccountRef, model: str, key: str) -> str:
    """The name of the gate that a failure closes: the key version, the model, or the account."""
    match class_:
        case FailureClass.MODEL:
            return f"model:{ref.endpoint}:{model}"
        case FailureClass.BILLING:
            return f"billing:{ref.endpoint}:{ref.account}"
        case _:
            return f"key:{key}"
