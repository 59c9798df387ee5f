"""Each command in each state, and all that follows from it."""

from __future__ import annotations

from datetime import datetime
from functools import reduce

from contracts.discussion_events import DiscussionEvent
from contracts.keeping import DiscussionDeleted, DiscussionRenamed
from services.discussion.aggregate import attempts, endings, wishes
from services.discussion.aggregate.commands import (
    Cancel,
    Command,
    Conclude,
    CutAttempt,
    Delete,
    Hear,
    HoldBack,
    LosePatience,
    Open,
    ParkTurn,
    Pick,
    Refuse,
    Rename,
    Retry,
    Say,
    StartAttempt,
)
from services.discussion.aggregate.course import NewId, follow_ups
from services.discussion.aggregate.evolution import evolve
from services.discussion.aggregate.rejections import AlreadyOpened, NoSuchTurn, NotDue
from services.discussion.aggregate.states import Deleted, Discussion, Going, NotOpened, Over
from services.discussion.backoff import Dice


def decide(
    command: Command, state: Discussion, *, now: datetime, dice: Dice, new_id: NewId
) -> list[DiscussionEvent]:
    """The facts that follow from `command`, to the last one; none if it is already so."""
    events = _first(command, state, now=now, dice=dice)
    if not events:
        return []
    after = reduce(evolve, events, state)
    return [*events, *follow_ups(after, now=now, new_id=new_id)]


def _first(  # noqa: C901, PLR0912 - one case for each command
    command: Command, state: Discussion, *, now: datetime, dice: Dice
) -> list[DiscussionEvent]:
    match command, state:
        case Open(opened), NotOpened():
            return [opened]
        case Open(), _:
            raise AlreadyOpened
        case StartAttempt(), Going():
            return attempts.start(command, state, now)
        case HoldBack(), Going():
            return attempts.hold_back(command, state, now)
        case ParkTurn(), Going():
            return attempts.park(command, state, now)
        case Refuse(), Going():
            return attempts.refuse(command, state, now)
        case Hear(), Going():
            return endings.heard(command, state, now=now, dice=dice)
        case CutAttempt(), Going():
            return endings.cut(command, state, now=now, dice=dice)
        case Cancel(by, heard), Going():
            return wishes.cancelled(by, state, now, heard)
        case Retry(), Going() | Over():
            return wishes.retried(command, state, now)
        case ((Retry(turn=turn) | Pick(turn=turn)), NotOpened() | Deleted()):
            raise NoSuchTurn(turn)
        case Say(), Going() | Over():
            return wishes.said(command, state, now)
        case Pick(), Going() | Over():
            return wishes.picked(command, state, now)
        case Conclude(), Going():
            return wishes.concluded(state, now)
        case LosePatience(turn=turn), Going():
            return wishes.waited_enough(turn, state, now)
        case Rename(title=title, by=by), Going() | Over():
            return [DiscussionRenamed(at=now, discussion=state.id, title=title, renamed_by=by)]
        case Delete(by=by), Going():
            deleted = DiscussionDeleted(at=now, discussion=state.id, deleted_by=by)
            return [*wishes.cancelled(by, state, now), deleted]
        case Delete(by=by), Over():
            return [DiscussionDeleted(at=now, discussion=state.id, deleted_by=by)]
        case (StartAttempt() | HoldBack() | ParkTurn() | Refuse()) as early, _:
            raise NotDue(early.turn)
        case ((Rename() | Delete()), _):
            return []
        case ((Hear() | CutAttempt() | Cancel() | Conclude() | LosePatience() | Say()), _):
            return []  # it is over: a late outcome changes nothing, and a wish to end it is granted
