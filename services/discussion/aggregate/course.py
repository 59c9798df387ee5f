"""How a discussion goes on: its mode is asked, until it has nothing more to say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import reduce

from contracts.deliberation import MessagePosted
from contracts.discussion_events import (
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
    TurnCancelled,
    TurnScheduled,
)
from services.discussion import modes
from services.discussion.aggregate.evolution import evolve
from services.discussion.aggregate.states import Discussion, Ended, Going, Over
from services.discussion.modes.table import Call, Dismiss, Finish, Listen, Speak, Table, Tell

NewId = Callable[[], str]


def table(state: Going | Over, now: datetime) -> Table:
    """The discussion as its mode sees it."""
    return Table(
        opened=state.opened,
        seats=[turn.seat for turn in state.turns.values()],
        facts=state.facts,
        run=state.run,
        now=now,
        over=isinstance(state, Over),
    )


def follow_ups(state: Discussion, *, now: datetime, new_id: NewId) -> list[DiscussionEvent]:
    """What the discussion's mode makes of it: facts, more turns, the end, or nothing yet."""
    events: list[DiscussionEvent] = []
    while isinstance(state, Going):
        step = _step(state, now=now, new_id=new_id)
        if not step:
            break
        events += step
        state = reduce(evolve, step, state)
    return events


def _step(state: Going, *, now: datetime, new_id: NewId) -> list[DiscussionEvent]:
    match modes.PROCESSES[state.opened.mode].next(table(state, now)):
        case Speak(calls):
            return [_called(call, state, now, new_id()) for call in calls]
        case Tell(facts):
            return list(facts)
        case Dismiss(turns):
            return [TurnCancelled(at=now, discussion=state.id, turn=turn) for turn in turns]
        case Listen():
            return []
        case Finish():
            return _finished(state, now)


def _called(call: Call, state: Going, now: datetime, turn: str) -> TurnScheduled:
    who = state.opened.participants[call.participant]
    return TurnScheduled(
        at=now,
        discussion=state.id,
        turn=turn,
        participant=call.participant,
        persona=who.persona,
        model=who.model,
        purpose=call.purpose,
        round=call.round,
        labels=dict(call.labels),
        posts=sum(isinstance(fact, MessagePosted) for fact in state.facts),
        about=call.about,
        overdue_at=None if call.patience is None else now + call.patience,
    )


def _finished(state: Going, now: datetime) -> list[DiscussionEvent]:
    """One end to each run; who is still speaking came too late."""
    late = [turn.id for turn in state.turns.values() if not isinstance(turn.phase, Ended)]
    failed = [turn.id for turn in state.turns.values() if turn.phase != Ended(completed=True)]
    cancelled = [TurnCancelled(at=now, discussion=state.id, turn=turn) for turn in late]
    if len(failed) == len(state.turns):
        return [*cancelled, DiscussionFailed(at=now, discussion=state.id)]
    return [*cancelled, DiscussionCompleted(at=now, discussion=state.id, failed=failed)]
