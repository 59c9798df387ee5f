"""The state of a discussion in one word, as people see it."""

from __future__ import annotations

from contracts.discussion import DiscussionState
from contracts.discussion_events import (
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
)
from services.discussion.aggregate import Discussion, Due, Going, Parked, Running


def overview(state: Discussion, last: DiscussionEvent) -> DiscussionState:
    """Running if anything runs, else waiting if anything will by itself, else parked."""
    match last:
        case DiscussionCompleted():
            return DiscussionState.COMPLETED
        case DiscussionFailed():
            return DiscussionState.FAILED
        case DiscussionCancelled():
            return DiscussionState.CANCELLED
        case _:
            pass
    phases = [turn.phase for turn in state.turns.values()] if isinstance(state, Going) else []
    if any(isinstance(phase, Running) or phase == Due() for phase in phases):
        return DiscussionState.RUNNING
    if any(isinstance(phase, Due) for phase in phases):
        return DiscussionState.WAITING
    if any(isinstance(phase, Parked) for phase in phases):
        return DiscussionState.PARKED
    return DiscussionState.RUNNING
