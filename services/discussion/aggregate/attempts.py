"""What comes before a request to a provider: it begins, is held back, parked or refused."""

from __future__ import annotations

import hashlib
from datetime import datetime

from contracts.discussion_events import (
    AttemptStarted,
    DiscussionEvent,
    TurnFailed,
    TurnParked,
    TurnWaiting,
)
from contracts.failures import Failure, FailureClass
from services.discussion.aggregate.commands import HoldBack, ParkTurn, Refuse, StartAttempt
from services.discussion.aggregate.rejections import NotDue
from services.discussion.aggregate.states import Due, Going, Parked, Phase, Turn
from services.discussion.words import explain


def _due(state: Going, turn: str) -> Turn:
    found = state.turns.get(turn)
    if found is None or not isinstance(found.phase, Due | Parked):
        raise NotDue(turn)
    return found


def start(command: StartAttempt, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn = _due(state, command.turn)
    provider, _, model = turn.model.partition("/")
    return [
        AttemptStarted(
            at=now,
            discussion=state.id,
            turn=turn.id,
            attempt=command.attempt,
            number=turn.sent + 1,
            provider=provider,
            model=model,
            endpoint=command.endpoint,
            key=command.key,
            key_version=command.key_version,
            trial=command.trial,
            from_char=len(turn.prefix),
            prefix_sha256=_sha256(turn.prefix) if turn.prefix else "",
        )
    ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def hold_back(command: HoldBack, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn = _due(state, command.turn)
    if _was_told(turn.phase, command, now):
        return []
    return [
        TurnWaiting(
            at=now,
            discussion=state.id,
            turn=turn.id,
            reason=command.reason,
            not_before=command.not_before,
            failure=_why(command, turn),
        )
    ]


OWN_ORDER = frozenset({"rate", "tokens", "concurrency", "line", "budget"})
"""Waits that our own order asks for. Their times move all the time, and are no news."""


def _was_told(phase: Phase, held: HoldBack, now: datetime) -> bool:
    """People know of this wait already: neither its reason nor its time has changed."""
    if not isinstance(phase, Due) or phase.reason != held.reason:
        return False
    return held.reason in OWN_ORDER or phase.until is None or now < phase.until


def _why(held: HoldBack, turn: Turn) -> Failure | None:
    """What the provider asked for, perhaps of another turn; other waits are our own order."""
    match held.reason:
        case FailureClass.THROTTLED.value:
            return explain(FailureClass.THROTTLED, turn.model, not_before=held.not_before)
        case "daily":
            until = held.not_before
            return explain(FailureClass.THROTTLED, turn.model, hint="daily", not_before=until)
        case "breaker":
            until = held.not_before
            return explain(FailureClass.OVERLOADED, turn.model, hint="breaker", not_before=until)
        case _:
            return None


def refuse(command: Refuse, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn = _due(state, command.turn)
    return [TurnFailed(at=now, discussion=state.id, turn=turn.id, failure=command.failure)]


def park(command: ParkTurn, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn, gate = _due(state, command.turn), command.gate
    if turn.phase == Parked.behind(gate, command.failure):
        return []  # it was looked at again, and nothing has changed
    return [
        TurnParked(at=now, discussion=state.id, turn=turn.id, gate=gate, failure=command.failure)
    ]
