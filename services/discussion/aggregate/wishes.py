"""What people want of a discussion, and what comes of waiting for a turn too long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from contracts.deliberation import MessagePosted, StopDecided, TurnOverdue, WinnerPicked
from contracts.discussion_events import (
    DiscussionCancelled,
    DiscussionEvent,
    DiscussionReopened,
    TurnCancelled,
    TurnReopened,
)
from contracts.modes import Mode, Purpose
from services.discussion import modes
from services.discussion.aggregate.commands import Heard, Pick, Retry, Say
from services.discussion.aggregate.course import table
from services.discussion.aggregate.rejections import (
    CannotSay,
    NoSuchTurn,
    NothingToPick,
    NothingToRetry,
)
from services.discussion.aggregate.states import (
    Due,
    Ended,
    Going,
    Over,
    Parked,
    Running,
    Turn,
)

NOTHING: Mapping[str, Heard] = {}


def cancelled(
    by: str, state: Going, now: datetime, heard: Mapping[str, Heard] = NOTHING
) -> list[DiscussionEvent]:
    open_turns = (turn for turn in state.turns.values() if not isinstance(turn.phase, Ended))
    return [
        *(_cancelled(turn, state, now, heard) for turn in open_turns),
        DiscussionCancelled(at=now, discussion=state.id, cancelled_by=by),
    ]


def _cancelled(
    turn: Turn, state: Going, now: datetime, heard: Mapping[str, Heard]
) -> TurnCancelled:
    attempt = turn.phase.attempt if isinstance(turn.phase, Running) else ""
    kept = heard.get(attempt, Heard())
    return TurnCancelled(
        at=now, discussion=state.id, turn=turn.id, text=kept.text, reasoning=kept.reasoning
    )


def retried(command: Retry, state: Going | Over, now: datetime) -> list[DiscussionEvent]:
    turn = state.turns.get(command.turn)
    if turn is None:
        raise NoSuchTurn(command.turn)
    match turn.phase:
        case Parked() | Due():
            return []  # it is looked at again, which is no news
        case Running() | Ended(completed=True):
            raise NothingToRetry(turn.id, completed=isinstance(turn.phase, Ended))
        case Ended():
            again = TurnReopened(at=now, discussion=state.id, turn=turn.id, reopened_by=command.by)
            if isinstance(state, Going):
                return [again]
            run = DiscussionReopened(
                at=now, discussion=state.id, run=state.run + 1, reopened_by=command.by
            )
            return [run, again]


def said(command: Say, state: Going | Over, now: datetime) -> list[DiscussionEvent]:
    if not modes.PROCESSES[state.opened.mode].hears(table(state, now)):
        raise CannotSay
    post = MessagePosted(
        at=now,
        discussion=state.id,
        message=command.message,
        text=command.text,
        posted_by=command.by,
    )
    if isinstance(state, Going):
        return [post]
    run = DiscussionReopened(at=now, discussion=state.id, run=state.run + 1, reopened_by=command.by)
    return [run, post]


def picked(command: Pick, state: Going | Over, now: datetime) -> list[DiscussionEvent]:
    turn = state.turns.get(command.turn)
    if turn is None:
        raise NoSuchTurn(command.turn)
    if state.opened.mode is not Mode.COMPARE:
        raise NothingToPick(turn.id, "only the answers of a comparison can be picked")
    if turn.seat.purpose is not Purpose.ANSWER or turn.phase != Ended(completed=True):
        raise NothingToPick(turn.id, "this turn has no whole answer")
    last = next((f for f in reversed(state.facts) if isinstance(f, WinnerPicked)), None)
    if last is not None and last.turn == turn.id:
        return []
    return [
        WinnerPicked(
            at=now,
            discussion=state.id,
            turn=turn.id,
            picked_by=command.by,
            blind=state.opened.options.blind and last is None,
        )
    ]


def concluded(state: Going, now: datetime) -> list[DiscussionEvent]:
    last = max((turn.seat.round for turn in state.turns.values()), default=1)
    if any(isinstance(fact, StopDecided) and fact.round >= last for fact in state.facts):
        return []
    return [StopDecided(at=now, discussion=state.id, rule="by hand", round=last)]


def waited_enough(turn: str, state: Going, now: datetime) -> list[DiscussionEvent]:
    found = state.turns.get(turn)
    if found is None or isinstance(found.phase, Ended) or found.seat.overdue:
        return []
    overdue = TurnOverdue(at=now, discussion=state.id, turn=turn)
    if isinstance(found.phase, Running):
        return [overdue]
    return [overdue, TurnCancelled(at=now, discussion=state.id, turn=turn)]
