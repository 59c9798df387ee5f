"""A turn that is due: admit it, state that the attempt begins, then make the one request.

The permit, the fact and the lease are one transaction; the request follows after it. Should we
die in between, the lease comes due and the attempt counts as spent: never two requests for one.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog

from contracts.attempts import Accepted, Message, RunAttempt
from contracts.discussion_events import DiscussionOpened
from contracts.failures import (
    Conflict,
    Evidence,
    Failure,
    FailureClass,
    Internal,
    Invalid,
    Refused,
    TimedOut,
    Unreachable,
)
from contracts.stream import ProviderError
from contracts.subjects import command_subject
from services.discussion import (
    accounts,
    admission,
    allowance,
    budgets,
    endpoints,
    ledger,
    line,
    prompting,
)
from services.discussion.access import Access, Barrier, find_access
from services.discussion.accounts import AccountRef
from services.discussion.aggregate import (
    Due,
    Going,
    Hear,
    HoldBack,
    Parked,
    ParkTurn,
    Refuse,
    StartAttempt,
    Turn,
    table,
)
from services.discussion.ledger import Worst
from services.discussion.outcomes import Outcomes
from services.discussion.purse import Short
from services.discussion.sql import SQL
from services.discussion.store import Loaded, Store
from services.discussion.wakeups import Overtaken, Wakeup, drop, set_wakeup
from services.discussion.words import explain
from shared.bus import Bus
from shared.database import Connection
from shared.ids import fresh

SEND_WITHIN = timedelta(seconds=10)
"""A request that has not left the adapter by then is not sent any more."""

ACCEPT_WITHIN = timedelta(seconds=5)
ANSWER_WITHIN = timedelta(seconds=600)


class Turns:
    """Starts what is due."""

    def __init__(self, store: Store, bus: Bus, outcomes: Outcomes) -> None:
        self._store = store
        self._bus = bus
        self._outcomes = outcomes
        self._log = structlog.stdlib.get_logger("turns")

    async def due(self, wakeup: Wakeup) -> None:
        """Handler of `turn` wake-ups."""
        async with self._store.transaction() as conn:
            loaded = await self._store.hold(conn, wakeup.discussion)
            turn = _due_turn(loaded, wakeup.subject)
            if turn is None:
                await drop(conn, wakeup)
                return
            request = await self._begin(conn, wakeup, loaded, turn)
        if request is not None:
            await self._send(request)

    async def _begin(
        self, conn: Connection, wakeup: Wakeup, loaded: Loaded, turn: Turn
    ) -> RunAttempt | None:
        """The request to make, or None if the turn has to wait or is parked."""
        provider, _, model = turn.model.partition("/")
        access = await self._access(conn, wakeup.workspace, turn)
        if isinstance(access, Barrier) and wakeup.insists and access.passable is not None:
            access = access.passable
        if isinstance(access, Barrier):
            await self._park(conn, wakeup, loaded, turn, access)
            return None
        if access.suspect:
            await self._hold_back(conn, wakeup, loaded, turn, access, await self._doubt(conn))
            return None
        opened = loaded.opened
        assert opened is not None
        assert isinstance(loaded.state, Going)
        seen = table(loaded.state, await self._store.clock(conn))
        messages = prompting.messages(seen, turn.seat)
        parameters = prompting.parameters(seen, turn.seat)
        if turn.prefix:
            parameters = prompting.rest(parameters, turn.prefix)
            messages = [*messages, Message(role="assistant", content=turn.prefix)]
        attempt = fresh()
        ask = admission.Ask(
            attempt=attempt,
            key=access.key_name,
            tokens=prompting.tokens(messages, parameters),
            retry=allowance.cost_of(turn.failures[-1] if turn.failures else None),
        )
        longest = parameters.max_completion_tokens
        worst = ledger.worst(opened, turn.participant, ask.tokens, longest)
        verdict = await self._admit(conn, access, turn, ask, opened, worst)
        if not wakeup.insists:
            again = await self._access(conn, wakeup.workspace, turn)
            if isinstance(again, Barrier) or again.suspect:
                # A gate was closed while we waited for the account. Who closed it has called all
                # that stood in line, and we did not yet.
                raise Overtaken
        match verdict:
            case admission.Denied():
                await self._hold_back(conn, wakeup, loaded, turn, access, verdict)
                return None
            case admission.TooLarge():
                failure = _cannot_fit(turn.model, ask.tokens, verdict)
                await self._store.change(conn, loaded, Refuse(turn=turn.id, failure=failure))
                return None
            case Short():
                await self._no_money(conn, wakeup, loaded, turn, verdict)
                return None
            case admission.Admitted():
                pass
        now = await self._store.clock(conn)
        await self._take_place(conn, wakeup, turn, access, attempt)
        await ledger.enter(
            conn,
            opened,
            attempt=attempt,
            turn=turn.id,
            model=turn.model,
            persona=opened.participants[turn.participant].persona,
            worst=worst,
            now=now,
        )
        await self._store.change(
            conn,
            loaded,
            StartAttempt(
                turn=turn.id,
                attempt=attempt,
                endpoint=access.ref.endpoint,
                key=access.key.key if access.key else "",
                key_version=access.key.version if access.key else 0,
                trial=verdict.trial,
            ),
        )
        return RunAttempt(
            workspace=wakeup.workspace,
            discussion=loaded.id,
            turn=turn.id,
            attempt=attempt,
            provider=provider,
            endpoint=access.ref.endpoint,
            model=model,
            key=access.key,
            messages=messages,
            parameters=parameters,
            expires_at=now + SEND_WITHIN,
            deadline=now + ANSWER_WITHIN,
            thinks=prompting.thinks(opened, turn.participant) and not turn.prefix,
            prefix=turn.prefix,
            custom=await endpoints.custom(conn, wakeup.workspace, provider),
        )

    async def _admit(
        self,
        conn: Connection,
        access: Access,
        turn: Turn,
        ask: admission.Ask,
        opened: DiscussionOpened,
        worst: Worst,
    ) -> admission.Admitted | admission.Denied | admission.TooLarge | Short:
        """The permit, unless something stands against it, or somebody stands before us."""
        account, now = await accounts.lock_to_admit(conn, access.ref, self._store.clock)
        limits = await accounts.limits_of(conn, access.ref)
        verdict = admission.admit(account, limits, ask, now=now)
        if isinstance(verdict, admission.Admitted):
            reason = "line"
            if verdict.trial:
                reason = "throttled" if account.refusals else "breaker"
            rank = line.rank_of(reason, turn.sent)
            if await line.ahead(conn, access.ref, turn.id, rank):
                # What is free belongs to who stands before us, and looks now.
                await line.call_next(conn, access.ref, account, limits, now)
                return admission.Denied(account, reason, now + admission.RECHECK)
            # Held last: whoever ends an attempt has its account first, too.
            against = await budgets.stands_against(conn, opened, worst, now)
            if against is not None:
                await line.call_next(conn, access.ref, account, limits, now, after=turn.id)
                return against
        if not isinstance(verdict, admission.Denied) or verdict.reason not in line.REASONS:
            await line.call_next(conn, access.ref, verdict.account, limits, now, after=turn.id)
        await accounts.save(conn, access.ref, verdict.account)
        return verdict

    async def _leave(self, conn: Connection, ref: AccountRef, turn: Turn) -> None:
        """Out of the line, for a reason that says nothing of those behind: the next may look."""
        account, now = await accounts.lock_to_admit(conn, ref, self._store.clock)
        limits = await accounts.limits_of(conn, ref)
        await line.call_next(conn, ref, account, limits, now, after=turn.id)

    async def _access(self, conn: Connection, workspace: str, turn: Turn) -> Access | Barrier:
        return await find_access(conn, workspace, turn.model, self._store.clock)

    async def _doubt(self, conn: Connection) -> admission.Denied:
        now = await self._store.clock(conn)
        return admission.Denied(admission.Account(), "suspect", now + admission.RECHECK)

    async def _park(
        self, conn: Connection, wakeup: Wakeup, loaded: Loaded, turn: Turn, barrier: Barrier
    ) -> None:
        """Wait for a gate; whoever stood behind in line is called, as by everybody who leaves."""
        provider = turn.model.partition("/")[0]
        if barrier.passable is not None:
            # First of all, for the order of locks: who holds an account may wait for the gates.
            await self._leave(conn, barrier.passable.ref, turn)
        # Look again while nobody can open it: whoever does so then finds the turn parked.
        await conn.execute(SQL["watch_gates"], wakeup.workspace, provider)
        again = await self._access(conn, wakeup.workspace, turn)
        if not isinstance(again, Barrier):
            raise Overtaken
        gate, failure = again.gate, again.failure
        await self._store.change(conn, loaded, ParkTurn(turn=turn.id, gate=gate, failure=failure))
        await set_wakeup(
            conn,
            "turn",
            turn.id,
            workspace=wakeup.workspace,
            due=None,
            discussion=loaded.id,
            waits_for=f"{gate}@{wakeup.workspace}",
            payload=turn.model.encode(),
        )

    async def _no_money(
        self, conn: Connection, wakeup: Wakeup, loaded: Loaded, turn: Turn, against: Short
    ) -> None:
        """A budget stands against it: wait for what is held, park, or end what has none left."""
        now = await self._store.clock(conn)
        failure = budgets.explained(against)
        if against.passes:
            due, waits_for = now + admission.RECHECK, ledger.held_name(wakeup.workspace)
            command = HoldBack(turn=turn.id, reason="budget", not_before=due)
        elif against.ends_the_work:
            await self._store.change(conn, loaded, Refuse(turn=turn.id, failure=failure))
            return
        else:
            due, waits_for = against.purse.until, ledger.parked_name(wakeup.workspace)
            gate = f"budget:{against.purse.scope.value}"
            command = ParkTurn(turn=turn.id, gate=gate, failure=failure)
        await self._store.change(conn, loaded, command)
        await set_wakeup(
            conn,
            "turn",
            turn.id,
            workspace=wakeup.workspace,
            due=due,
            discussion=loaded.id,
            waits_for=waits_for,
            payload=turn.model.encode(),
        )

    async def _hold_back(
        self,
        conn: Connection,
        wakeup: Wakeup,
        loaded: Loaded,
        turn: Turn,
        access: Access,
        denied: admission.Denied,
    ) -> None:
        await self._store.change(
            conn,
            loaded,
            HoldBack(turn=turn.id, reason=denied.reason, not_before=denied.not_before),
        )
        suspect = f"key:{access.ref.provider}@{access.ref.workspace}"
        await set_wakeup(
            conn,
            "turn",
            turn.id,
            workspace=wakeup.workspace,
            due=denied.not_before,
            discussion=loaded.id,
            waits_for=suspect if denied.reason == "suspect" else "",
            payload=turn.model.encode(),
        )
        if denied.reason in line.REASONS:
            rank = line.rank_of(denied.reason, turn.sent)
            places = await line.ahead(conn, access.ref, turn.id, rank)
            await line.join(
                conn,
                access.ref,
                turn.id,
                rank=rank,
                not_before=denied.not_before,
                places=places,
            )

    async def _take_place(
        self, conn: Connection, wakeup: Wakeup, turn: Turn, access: Access, attempt: str
    ) -> None:
        provider, _, model = turn.model.partition("/")
        now = await self._store.clock(conn)
        await conn.execute(
            SQL["begin_attempt"],
            attempt,
            wakeup.workspace,
            wakeup.discussion,
            turn.id,
            provider,
            model,
            access.ref.endpoint,
            access.ref.account,
            access.key.key if access.key else "",
            access.key.version if access.key else 0,
            now,
        )
        await set_wakeup(
            conn,
            "lease",
            attempt,
            workspace=wakeup.workspace,
            due=now + admission.LEASE,
            discussion=wakeup.discussion,
        )

    async def _send(self, request: RunAttempt) -> None:
        """Exactly once. Only what proves that nothing was sent is taken back."""
        try:
            await self._bus.request(
                command_subject("provider_adapter", "attempt"),
                request,
                Accepted,
                within=ACCEPT_WITHIN,
            )
        except Unreachable:
            await self._not_sent(request, "unreachable", "no adapter is running")
        except Invalid as refused:
            # It would be so the next time: a bad address, or more than the bus can carry.
            await self._not_sent(request, "", str(refused), FailureClass.REQUEST)
        except (TimedOut, Internal, Conflict) as unknown:
            # Nobody knows. The attempt is spent; its lease finds out what became of it.
            self._log.warning(
                "unknown whether the adapter took it", attempt=request.attempt, why=str(unknown)
            )
        except Refused as refused:
            await self._not_sent(request, "busy", refused.problem.title)

    async def _not_sent(
        self,
        request: RunAttempt,
        hint: str,
        why: str,
        class_: FailureClass = FailureClass.TRANSIENT,
    ) -> None:
        async with self._store.transaction() as conn:
            now = await self._store.clock(conn)
            error = ProviderError(
                at=now,
                workspace=request.workspace,
                discussion=request.discussion,
                turn=request.turn,
                attempt=request.attempt,
                class_=class_,
                evidence=Evidence(message=why),
                sent=False,
                hint=hint,
            )
            await self._outcomes.apply(conn, request.discussion, Hear(error))


def _due_turn(loaded: Loaded, turn: str) -> Turn | None:
    state = loaded.state
    found = state.turns.get(turn) if isinstance(state, Going) else None
    return found if found is not None and isinstance(found.phase, Due | Parked) else None


def _cannot_fit(model: str, tokens: int, verdict: admission.TooLarge) -> Failure:
    span = "minute" if verdict.kind == "tpm" else "day"
    said = explain(FailureClass.REQUEST, model, hint="cannot_fit", final=True)
    detail = (
        f"It may cost about {tokens:,} tokens, question and longest answer together; the account "
        f"may use {verdict.limit:,} a {span}. {said.detail}"
    )
    return msgspec.structs.replace(said, detail=detail)
