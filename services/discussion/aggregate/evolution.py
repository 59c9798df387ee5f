"""The state after each fact; nothing that was stated is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import assert_never

from contracts.deliberation import ModeFact, TurnOverdue, WinnerPicked
from contracts.discussion_events import (
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
    DiscussionOpened,
    DiscussionReopened,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnParked,
    TurnReopened,
    TurnRestarted,
    TurnScheduled,
    TurnWaiting,
)
from contracts.failures import Evidence, FailureClass
from contracts.keeping import DiscussionDeleted, DiscussionRenamed
from services.discussion.aggregate.states import (
    Deleted,
    Discussion,
    Due,
    Ended,
    Going,
    NotOpened,
    Over,
    Parked,
    Running,
    Turn,
)
from services.discussion.modes.table import Seat
from services.discussion.remedies import OURS, SEEN_FOR_ALL


def evolve(  # noqa: C901, PLR0912 - one case for each fact
    state: Discussion, event: DiscussionEvent
) -> Discussion:
    """The state after one more fact."""
    if isinstance(event, DiscussionOpened):
        return Going(event)
    if isinstance(event, DiscussionReopened):
        assert isinstance(state, Over), f"{type(event).__name__} in {type(state).__name__}"
        return Going(state.opened, state.turns, event.run, state.facts)
    if isinstance(event, DiscussionRenamed):
        return state
    if isinstance(event, DiscussionDeleted):
        return Deleted()
    if isinstance(event, WinnerPicked) and isinstance(state, Over):
        return replace(state, facts=(*state.facts, event))
    assert isinstance(state, Going), f"{type(event).__name__} in {type(state).__name__}"
    if isinstance(event, ModeFact):
        told = replace(state, facts=(*state.facts, event))
        return _waited(told, state.turns[event.turn]) if isinstance(event, TurnOverdue) else told
    match event:
        case TurnScheduled(turn=id, participant=participant, model=model):
            turn = Turn(id, participant, model, seat=_seat(event))
            return replace(state, turns={**state.turns, id: turn})
        case TurnWaiting(turn=id, reason=reason, not_before=until):
            return _with(state, replace(state.turns[id], phase=Due(reason, until)))
        case TurnParked(turn=id, gate=gate, failure=failure):
            return _with(state, replace(state.turns[id], phase=Parked.behind(gate, failure)))
        case AttemptStarted(turn=id, attempt=attempt, trial=trial, from_char=from_char):
            turn = state.turns[id]
            running = Running(attempt, trial, resumed=from_char > 0)
            seat = replace(turn.seat, requests=turn.sent + 1, unsettled=turn.seat.unsettled + 1)
            return _with(state, replace(turn, phase=running, sent=turn.sent + 1, seat=seat))
        case AttemptFailed(turn=id) | AttemptCut(turn=id):
            return _with(state, _settled(after_failure(state.turns[id], event), event))
        case TurnRestarted(turn=id):
            return _with(state, replace(state.turns[id], prefix=""))
        case TurnCompleted(turn=id):
            return _with(state, _ended(_settled(state.turns[id], event), event))
        case TurnFailed(turn=id, failure=failure):
            turn = _ended(state.turns[id], None)
            # Who has no balance with a provider is parked: what fails so, no budget had room for.
            spent = failure.class_ is FailureClass.BILLING
            return _with(state, replace(turn, seat=replace(turn.seat, unaffordable=spent)))
        case TurnCancelled(turn=id):
            return _with(state, _ended(state.turns[id], None))
        case DiscussionCompleted() | DiscussionFailed() | DiscussionCancelled():
            return Over(state.opened, state.turns, state.run, state.facts)
        case TurnReopened(turn=id):
            turn = state.turns[id]
            seat = replace(turn.seat, ended=False, overdue=False, unaffordable=False)
            again = replace(turn, phase=Due(), failures=(), snoozes=0, prefix="", seat=seat)
            return _with(state, again)
        case _:
            assert_never(event)


def _waited(state: Going, turn: Turn) -> Going:
    return _with(state, replace(turn, seat=replace(turn.seat, overdue=True)))


def _seat(event: TurnScheduled) -> Seat:
    return Seat(
        turn=event.turn,
        participant=event.participant,
        purpose=event.purpose,
        round=event.round,
        labels=event.labels,
        posts=event.posts,
        about=event.about,
    )


def _ended(turn: Turn, answer: TurnCompleted | None) -> Turn:
    seat = replace(turn.seat, ended=True)
    if answer is not None:
        seat = replace(seat, completed=True, text=answer.text)
    return replace(turn, phase=Ended(completed=answer is not None), seat=seat)


def _settled(turn: Turn, end: TurnCompleted | AttemptFailed | AttemptCut) -> Turn:
    """A request has ended: what it took is known, or known not to be known."""
    seat, tokens = turn.seat, end.usage.input_tokens + end.usage.output_tokens
    sent = not isinstance(end, AttemptFailed) or end.sent
    cost = seat.cost
    if end.cost is not None and cost is not None:
        cost += end.cost.amount
    elif tokens or isinstance(end, TurnCompleted):
        cost = None
    seat = replace(
        seat,
        requests=seat.requests if sent else seat.requests - 1,
        unsettled=seat.unsettled - 1,
        tokens=seat.tokens + tokens,
        cost=cost,
    )
    return replace(turn, seat=seat)


def after_failure(turn: Turn, end: AttemptFailed | AttemptCut) -> Turn:
    class_, hint, _ = cause(end)
    sent = isinstance(end, AttemptCut) or end.sent
    after = replace(
        turn,
        phase=Due(),
        sent=turn.sent if sent else turn.sent - 1,
        prefix=end.text or turn.prefix,
    )
    ours = not sent and hint in OURS
    # Who goes to see whether a provider is back goes for everybody: its own tries stay its own.
    for_all = isinstance(turn.phase, Running) and turn.phase.trial and class_ in SEEN_FOR_ALL
    if ours or for_all:
        return replace(after, snoozes=turn.snoozes + 1)
    return replace(after, failures=(*turn.failures, class_))


def cause(end: AttemptFailed | AttemptCut) -> tuple[FailureClass, str, Evidence]:
    match end:
        case AttemptFailed(class_=class_, hint=hint, evidence=evidence):
            return class_, hint, evidence
        case AttemptCut(text=text, reasoning=reasoning):
            heard = bool(text or reasoning)
            return (FailureClass.MIDSTREAM if heard else FailureClass.AMBIGUOUS), "", Evidence()


def _with(state: Going, turn: Turn) -> Going:
    return replace(state, turns={**state.turns, turn.id: turn})


def replay(events: Iterable[DiscussionEvent]) -> Discussion:
    return reduce(evolve, events, NotOpened())
