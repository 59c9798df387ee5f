"""How an attempt ended, and what follows: the answer, another try, a rest, or giving up."""

from __future__ import annotations

from datetime import datetime

from contracts.discussion_events import (
    AttemptCut,
    AttemptFailed,
    DiscussionEvent,
    DiscussionOpened,
    TurnCompleted,
    TurnFailed,
    TurnParked,
    TurnRestarted,
    TurnWaiting,
)
from contracts.failures import FailureClass
from contracts.modes import Purpose
from contracts.prices import Cost
from contracts.stream import ProviderError, StreamCompleted
from services.discussion import prompting
from services.discussion.aggregate.commands import CutAttempt, Hear
from services.discussion.aggregate.evolution import after_failure, cause
from services.discussion.aggregate.states import Going, Running, Turn
from services.discussion.backoff import Dice
from services.discussion.remedies import OURS, GiveUp, Park, Remedy, Trouble, Wait, remedy
from services.discussion.words import explain


def _speaker(state: Going, turn: str, attempt: str) -> Turn | None:
    """The turn if this attempt is the one it waits for; a stale attempt has no say."""
    found = state.turns.get(turn)
    if found is None or not isinstance(found.phase, Running):
        return None
    return found if found.phase.attempt == attempt else None


def heard(heard: Hear, state: Going, *, now: datetime, dice: Dice) -> list[DiscussionEvent]:
    match heard.outcome:
        case StreamCompleted() as outcome:
            return _completed(outcome, heard.cost, state, now)
        case ProviderError() as error:
            return _failed(error, heard.cost, state, now=now, dice=dice)


def _completed(
    outcome: StreamCompleted, cost: Cost | None, state: Going, now: datetime
) -> list[DiscussionEvent]:
    turn = _speaker(state, outcome.turn, outcome.attempt)
    if turn is None:
        return []
    provider, _, asked = turn.model.partition("/")
    return [
        TurnCompleted(
            at=now,
            discussion=state.id,
            turn=turn.id,
            attempt=outcome.attempt,
            model=f"{provider}/{outcome.model or asked}",
            finish_reason=outcome.finish_reason,
            usage=outcome.usage,
            cost=cost,
            text=outcome.text,
            reasoning=outcome.reasoning,
            tool_calls=outcome.tool_calls,
            first_token_ms=outcome.first_token_ms,
            duration_ms=outcome.duration_ms,
            notes=outcome.notes,
        )
    ]


def _failed(
    error: ProviderError, cost: Cost | None, state: Going, *, now: datetime, dice: Dice
) -> list[DiscussionEvent]:
    turn = _speaker(state, error.turn, error.attempt)
    if turn is None:
        return []
    failed = AttemptFailed(
        at=now,
        discussion=state.id,
        turn=turn.id,
        attempt=error.attempt,
        class_=error.class_,
        evidence=error.evidence,
        hint=error.hint,
        sent=error.sent,
        text=error.text,
        reasoning=error.reasoning,
        usage=error.usage,
        cost=cost,
    )
    return [failed, *_remedied(failed, turn, state, now=now, dice=dice)]


def cut(command: CutAttempt, state: Going, *, now: datetime, dice: Dice) -> list[DiscussionEvent]:
    turn = _speaker(state, command.turn, command.attempt)
    if turn is None:
        return []
    cut = AttemptCut(
        at=now,
        discussion=state.id,
        turn=turn.id,
        attempt=command.attempt,
        reason=command.reason,
        text=command.text,
        reasoning=command.reasoning,
        usage=command.usage,
        cost=command.cost,
    )
    return [cut, *_remedied(cut, turn, state, now=now, dice=dice)]


def _remedied(
    end: AttemptFailed | AttemptCut, before: Turn, state: Going, *, now: datetime, dice: Dice
) -> list[DiscussionEvent]:
    """What follows from an attempt that did not make it."""
    class_, hint, evidence = cause(end)
    after = after_failure(before, end)
    trouble = Trouble(
        class_=class_,
        model=before.model,
        evidence=evidence,
        hint=hint,
        now=now,
        sent=isinstance(end, AttemptCut) or end.sent,
        failures=len(after.failures),
        requests=after.sent,
        same_class=after.snoozes if after.snoozes > before.snoozes else _same(after, class_),
        trial=isinstance(before.phase, Running) and before.phase.trial,
        goes_on=_goes_on(end, after, state.opened),
        resumed=isinstance(before.phase, Running) and before.phase.resumed,
        heard_more=len(end.text) > len(before.prefix),
    )
    verdict = remedy(trouble, dice=dice)
    restarted: list[DiscussionEvent] = []
    if (after.prefix or end.reasoning) and not _stands(verdict):
        # Never concatenate two attempts: what was shown is withdrawn before anything new comes.
        restarted = [
            TurnRestarted(at=now, discussion=state.id, turn=before.id, attempt=end.attempt)
        ]
    match verdict:
        case Wait(wait):
            at = now + wait
            failure = explain(class_, before.model, evidence=evidence, hint=hint, not_before=at)
            return [
                *restarted,
                TurnWaiting(
                    at=now,
                    discussion=state.id,
                    turn=before.id,
                    reason=class_.value if hint not in OURS else "adapter",
                    not_before=at,
                    failure=failure,
                ),
            ]
        case Park(gate, wait):
            opens = None if wait is None else now + wait
            failure = explain(class_, before.model, evidence=evidence, hint=hint, not_before=opens)
            return [
                *restarted,
                TurnParked(at=now, discussion=state.id, turn=before.id, gate=gate, failure=failure),
            ]
        case GiveUp():
            failure = explain(class_, before.model, evidence=evidence, hint=hint, final=True)
            return [
                TurnFailed(
                    at=now,
                    discussion=state.id,
                    turn=before.id,
                    failure=failure,
                    text=after.prefix,
                    reasoning=end.reasoning,
                    partial=bool(after.prefix),
                )
            ]


def _stands(verdict: Remedy) -> bool:
    """What was heard is not withdrawn."""
    return isinstance(verdict, GiveUp) or (isinstance(verdict, Wait) and verdict.keep)


FORMED = frozenset({Purpose.REVIEW, Purpose.REPAIR, Purpose.REVISION, Purpose.SYNTHESIS})
"""What is answered in a given form."""


ENOUGH = 64
"""Tokens, estimated as bytes / 3: with fewer to lose, beginning anew costs less."""


def _goes_on(end: AttemptFailed | AttemptCut, turn: Turn, opened: DiscussionOpened) -> bool:
    """The next attempt may go on from what was heard: plain text, long enough, of a model that can.

    Never with thinking, tools or a form of answer: half a thought is no beginning of one.
    """
    heard = turn.prefix.rstrip()
    plain = not end.reasoning and not opened.parameters.tools
    plain = plain and opened.parameters.response_format is None and turn.seat.purpose not in FORMED
    long = len(heard.encode("utf-8", "replace")) // 3 >= ENOUGH
    return plain and long and prompting.can_go_on(turn.model)


def _same(turn: Turn, class_: FailureClass) -> int:
    return sum(1 for failure in turn.failures if failure is class_)
