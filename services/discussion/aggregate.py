"""What may happen in a discussion: who speaks, what an attempt's end means, when it is over.

Pure: time, dice and ids come in as arguments. Each command that ends a turn also says what follows
from it, so that the log never shows a discussion whose last turn has ended and which goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from typing import assert_never

from contracts.deliberation import (
    MessagePosted,
    ModeFact,
    StopDecided,
    TurnOverdue,
    WinnerPicked,
)
from contracts.discussion import (
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    Cost,
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
from contracts.failures import Evidence, Failure, FailureClass
from contracts.keeping import DiscussionDeleted, DiscussionRenamed
from contracts.modes import Mode, Purpose
from contracts.stream import ProviderError, StreamCompleted, Usage
from services.discussion import modes, prompting
from services.discussion.backoff import Dice
from services.discussion.modes.table import Call, Dismiss, Finish, Listen, Seat, Speak, Table, Tell
from services.discussion.remedies import (
    OURS,
    SEEN_FOR_ALL,
    GiveUp,
    Park,
    Remedy,
    Trouble,
    Wait,
    remedy,
)
from services.discussion.words import explain

NewId = Callable[[], str]

# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    opened: DiscussionOpened


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """The permit is there: the request is about to be made."""

    turn: str
    attempt: str
    endpoint: str
    key: str = ""
    key_version: int = 0
    trial: bool = False
    """It goes to see whether a failing provider is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBack:
    """Admission said not now."""

    turn: str
    reason: str
    not_before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkTurn:
    """A gate is closed: nothing is sent until it opens."""

    turn: str
    gate: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It can never be attempted: nothing is sent, and the turn fails."""

    turn: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Hear:
    """The adapter says how an attempt ended."""

    outcome: StreamCompleted | ProviderError
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAttempt:
    """Nobody works on the attempt any more; `text` is what had been heard."""

    turn: str
    attempt: str
    reason: str
    text: str = ""
    reasoning: str = ""
    usage: Usage = Usage()
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A person wants the turn tried again."""

    turn: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """A person says something; what is over goes on."""

    message: str
    text: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """A person wants no further round: what is being said is still heard, then it ends."""

    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LosePatience:
    """The turn was waited for long enough."""

    turn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    title: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """What was said is to be gone; what runs is cancelled first."""

    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A person names the best answer."""

    turn: str
    by: str = ""


Command = (
    Open
    | StartAttempt
    | HoldBack
    | ParkTurn
    | Refuse
    | Hear
    | CutAttempt
    | Cancel
    | Retry
    | Say
    | Conclude
    | LosePatience
    | Pick
    | Rename
    | Delete
)

# --- State: only what a decision needs ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """May be attempted, now or once its wait is over."""

    reason: str = ""
    until: datetime | None = None
    """What people were told."""


@dataclass(frozen=True, slots=True)
class Running:
    attempt: str
    trial: bool = False
    resumed: bool = False
    """It goes on from what an earlier attempt had said."""


@dataclass(frozen=True, slots=True)
class Parked:
    gate: str
    told: str = ""
    """See `_told`."""


@dataclass(frozen=True, slots=True)
class Ended:
    completed: bool


Phase = Due | Running | Parked | Ended


@dataclass(frozen=True, slots=True)
class Turn:
    id: str
    participant: int
    model: str
    phase: Phase = Due()
    sent: int = 0
    """Requests that were made, or may have been."""
    failures: tuple[FailureClass, ...] = ()
    """Of this turn, snoozes not counted."""
    snoozes: int = 0
    prefix: str = ""
    """What was heard of its answer before it broke off, and stands: the next attempt goes on."""
    seat: Seat = Seat(turn="", participant=0)
    """What its mode knows of it, but for how it ended."""


@dataclass(frozen=True, slots=True)
class NotOpened: ...


@dataclass(frozen=True, slots=True)
class Going:
    opened: DiscussionOpened
    turns: Mapping[str, Turn] = field(default_factory=dict[str, Turn])
    run: int = 1
    facts: tuple[ModeFact, ...] = ()
    """What is not a turn's own; the mode makes of it what it will."""


@dataclass(frozen=True, slots=True)
class Over:
    opened: DiscussionOpened
    turns: Mapping[str, Turn] = field(default_factory=dict[str, Turn])
    run: int = 1
    facts: tuple[ModeFact, ...] = ()


@dataclass(frozen=True, slots=True)
class Deleted: ...


Discussion = NotOpened | Going | Over | Deleted

# --- Rejections -----------------------------------------------------------------------------


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyOpened(Rejected): ...


class NoSuchTurn(Rejected):
    def __init__(self, turn: str) -> None:
        super().__init__(f"there is no turn {turn}")
        self.turn = turn


class NothingToRetry(Rejected):
    """The turn has answered, or is about to."""

    def __init__(self, turn: str, *, completed: bool) -> None:
        super().__init__(f"turn {turn} needs no retry")
        self.turn = turn
        self.completed = completed


class CannotSay(Rejected):
    """Nothing can be said into it just now: its members must not hear anything yet."""


class NothingToPick(Rejected):
    """Only an answer of a comparison can be picked, once it is there."""

    def __init__(self, turn: str, why: str) -> None:
        super().__init__(why)
        self.turn = turn
        self.why = why


class NotDue(Rejected):
    """The turn is running, parked or over: there is nothing to start."""

    def __init__(self, turn: str) -> None:
        super().__init__(f"turn {turn} is not due")
        self.turn = turn


# --- Decide ---------------------------------------------------------------------------------


def decide(
    command: Command, state: Discussion, *, now: datetime, dice: Dice, new_id: NewId
) -> list[DiscussionEvent]:
    """The facts that follow from `command`, to the last one; none if it is already so."""
    events = _first(command, state, now=now, dice=dice)
    if not events:
        return []
    after = reduce(evolve, events, state)
    return [*events, *_follow_ups(after, now=now, new_id=new_id)]


def _first(  # noqa: C901, PLR0912 - one case for each command
    command: Command, state: Discussion, *, now: datetime, dice: Dice
) -> list[DiscussionEvent]:
    match command, state:
        case Open(opened), NotOpened():
            return [opened]
        case Open(), _:
            raise AlreadyOpened
        case StartAttempt(), Going():
            return _start(command, state, now)
        case HoldBack(), Going():
            return _hold_back(command, state, now)
        case ParkTurn(), Going():
            return _park(command, state, now)
        case Refuse(), Going():
            return _refused(command, state, now)
        case Hear(), Going():
            return _heard(command, state, now=now, dice=dice)
        case CutAttempt(), Going():
            return _cut(command, state, now=now, dice=dice)
        case Cancel(by), Going():
            return _cancelled(by, state, now)
        case Retry(), Going() | Over():
            return _retried(command, state, now)
        case ((Retry(turn=turn) | Pick(turn=turn)), NotOpened() | Deleted()):
            raise NoSuchTurn(turn)
        case Say(), Going() | Over():
            return _said(command, state, now)
        case Pick(), Going() | Over():
            return _picked(command, state, now)
        case Conclude(), Going():
            return _concluded(state, now)
        case LosePatience(turn=turn), Going():
            return _overdue(turn, state, now)
        case Rename(title=title, by=by), Going(opened) | Over(opened):
            id_ = opened.discussion
            return [DiscussionRenamed(at=now, discussion=id_, title=title, renamed_by=by)]
        case Delete(by=by), Going(opened):
            deleted = DiscussionDeleted(at=now, discussion=opened.discussion, deleted_by=by)
            return [*_cancelled(by, state, now), deleted]
        case Delete(by=by), Over(opened):
            return [DiscussionDeleted(at=now, discussion=opened.discussion, deleted_by=by)]
        case (StartAttempt() | HoldBack() | ParkTurn() | Refuse()) as early, _:
            raise NotDue(early.turn)
        case ((Rename() | Delete()), _):
            return []
        case ((Hear() | CutAttempt() | Cancel() | Conclude() | LosePatience() | Say()), _):
            return []  # it is over: a late outcome changes nothing, and a wish to end it is granted


def _id(state: Going) -> str:
    return state.opened.discussion


def _due(state: Going, turn: str) -> Turn:
    found = state.turns.get(turn)
    if found is None or not isinstance(found.phase, Due | Parked):
        raise NotDue(turn)
    return found


def _speaker(state: Going, turn: str, attempt: str) -> Turn | None:
    """The turn if this attempt is the one it waits for; a stale attempt has no say."""
    found = state.turns.get(turn)
    if found is None or not isinstance(found.phase, Running):
        return None
    return found if found.phase.attempt == attempt else None


def _start(command: StartAttempt, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn = _due(state, command.turn)
    provider, _, model = turn.model.partition("/")
    return [
        AttemptStarted(
            at=now,
            discussion=_id(state),
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


def _hold_back(command: HoldBack, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn = _due(state, command.turn)
    if _was_told(turn.phase, command, now):
        return []
    return [
        TurnWaiting(
            at=now,
            discussion=_id(state),
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


def _refused(command: Refuse, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn = _due(state, command.turn)
    return [TurnFailed(at=now, discussion=_id(state), turn=turn.id, failure=command.failure)]


def _told(failure: Failure) -> str:
    """What is told anew when it changes: how much an account has."""
    return failure.detail if failure.class_ is FailureClass.BILLING else ""


def _park(command: ParkTurn, state: Going, now: datetime) -> list[DiscussionEvent]:
    turn, gate = _due(state, command.turn), command.gate
    if turn.phase == Parked(gate, _told(command.failure)):
        return []  # it was looked at again, and nothing has changed
    return [
        TurnParked(at=now, discussion=_id(state), turn=turn.id, gate=gate, failure=command.failure)
    ]


def _heard(heard: Hear, state: Going, *, now: datetime, dice: Dice) -> list[DiscussionEvent]:
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
            discussion=_id(state),
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
        discussion=_id(state),
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


def _cut(command: CutAttempt, state: Going, *, now: datetime, dice: Dice) -> list[DiscussionEvent]:
    turn = _speaker(state, command.turn, command.attempt)
    if turn is None:
        return []
    cut = AttemptCut(
        at=now,
        discussion=_id(state),
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
    class_, hint, evidence = _cause(end)
    after = _after_failure(before, end)
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
            TurnRestarted(at=now, discussion=_id(state), turn=before.id, attempt=end.attempt)
        ]
    match verdict:
        case Wait(wait):
            at = now + wait
            failure = explain(class_, before.model, evidence=evidence, hint=hint, not_before=at)
            return [
                *restarted,
                TurnWaiting(
                    at=now,
                    discussion=_id(state),
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
                TurnParked(
                    at=now, discussion=_id(state), turn=before.id, gate=gate, failure=failure
                ),
            ]
        case GiveUp():
            failure = explain(class_, before.model, evidence=evidence, hint=hint, final=True)
            return [
                TurnFailed(
                    at=now,
                    discussion=_id(state),
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


def _cause(end: AttemptFailed | AttemptCut) -> tuple[FailureClass, str, Evidence]:
    match end:
        case AttemptFailed(class_=class_, hint=hint, evidence=evidence):
            return class_, hint, evidence
        case AttemptCut(text=text, reasoning=reasoning):
            heard = bool(text or reasoning)
            return (FailureClass.MIDSTREAM if heard else FailureClass.AMBIGUOUS), "", Evidence()


def _same(turn: Turn, class_: FailureClass) -> int:
    return sum(1 for failure in turn.failures if failure is class_)


def _cancelled(by: str, state: Going, now: datetime) -> list[DiscussionEvent]:
    open_turns = (turn for turn in state.turns.values() if not isinstance(turn.phase, Ended))
    return [
        *(TurnCancelled(at=now, discussion=_id(state), turn=turn.id) for turn in open_turns),
        DiscussionCancelled(at=now, discussion=_id(state), cancelled_by=by),
    ]


def _retried(command: Retry, state: Going | Over, now: datetime) -> list[DiscussionEvent]:
    turn = state.turns.get(command.turn)
    if turn is None:
        raise NoSuchTurn(command.turn)
    match turn.phase:
        case Parked() | Due():
            return []  # it is looked at again, which is no news
        case Running() | Ended(completed=True):
            raise NothingToRetry(turn.id, completed=isinstance(turn.phase, Ended))
        case Ended():
            id_ = state.opened.discussion
            again = TurnReopened(at=now, discussion=id_, turn=turn.id, reopened_by=command.by)
            if isinstance(state, Going):
                return [again]
            run = DiscussionReopened(
                at=now, discussion=id_, run=state.run + 1, reopened_by=command.by
            )
            return [run, again]


def _said(command: Say, state: Going | Over, now: datetime) -> list[DiscussionEvent]:
    if not modes.PROCESSES[state.opened.mode].hears(table(state, now)):
        raise CannotSay
    id_ = state.opened.discussion
    post = MessagePosted(
        at=now,
        discussion=id_,
        message=command.message,
        text=command.text,
        posted_by=command.by,
    )
    if isinstance(state, Going):
        return [post]
    run = DiscussionReopened(at=now, discussion=id_, run=state.run + 1, reopened_by=command.by)
    return [run, post]


def _picked(command: Pick, state: Going | Over, now: datetime) -> list[DiscussionEvent]:
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
            discussion=state.opened.discussion,
            turn=turn.id,
            picked_by=command.by,
            blind=state.opened.options.blind and last is None,
        )
    ]


def _concluded(state: Going, now: datetime) -> list[DiscussionEvent]:
    last = max((turn.seat.round for turn in state.turns.values()), default=1)
    if any(isinstance(fact, StopDecided) and fact.round >= last for fact in state.facts):
        return []
    return [StopDecided(at=now, discussion=_id(state), rule="by hand", round=last)]


def _overdue(turn: str, state: Going, now: datetime) -> list[DiscussionEvent]:
    found = state.turns.get(turn)
    if found is None or isinstance(found.phase, Ended) or found.seat.overdue:
        return []
    overdue = TurnOverdue(at=now, discussion=_id(state), turn=turn)
    if isinstance(found.phase, Running):
        return [overdue]
    return [overdue, TurnCancelled(at=now, discussion=_id(state), turn=turn)]


# --- What the mode says next ----------------------------------------------------------------


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


def _follow_ups(state: Discussion, *, now: datetime, new_id: NewId) -> list[DiscussionEvent]:
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
            return [TurnCancelled(at=now, discussion=_id(state), turn=turn) for turn in turns]
        case Listen():
            return []
        case Finish():
            return _finished(state, now)


def _called(call: Call, state: Going, now: datetime, turn: str) -> TurnScheduled:
    who = state.opened.participants[call.participant]
    return TurnScheduled(
        at=now,
        discussion=_id(state),
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
    cancelled = [TurnCancelled(at=now, discussion=_id(state), turn=turn) for turn in late]
    if len(failed) == len(state.turns):
        return [*cancelled, DiscussionFailed(at=now, discussion=_id(state))]
    return [*cancelled, DiscussionCompleted(at=now, discussion=_id(state), failed=failed)]


# --- Evolve ---------------------------------------------------------------------------------


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
            return _with(state, replace(state.turns[id], phase=Parked(gate, _told(failure))))
        case AttemptStarted(turn=id, attempt=attempt, trial=trial, from_char=from_char):
            turn = state.turns[id]
            running = Running(attempt, trial, resumed=from_char > 0)
            seat = replace(turn.seat, requests=turn.sent + 1, unsettled=turn.seat.unsettled + 1)
            return _with(state, replace(turn, phase=running, sent=turn.sent + 1, seat=seat))
        case AttemptFailed(turn=id) | AttemptCut(turn=id):
            return _with(state, _settled(_after_failure(state.turns[id], event), event))
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


def _after_failure(turn: Turn, end: AttemptFailed | AttemptCut) -> Turn:
    class_, hint, _ = _cause(end)
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


def _with(state: Going, turn: Turn) -> Going:
    return replace(state, turns={**state.turns, turn.id: turn})


def replay(events: Iterable[DiscussionEvent]) -> Discussion:
    return reduce(evolve, events, NotOpened())
