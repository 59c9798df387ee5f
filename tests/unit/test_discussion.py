"""Personas answer, each in its own time, until the last has ended."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from contracts.attempts import Parameters
from contracts.discussion import DiscussionState, TurnState
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
    Participant,
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
from contracts.modes import Mode
from contracts.prices import Cost
from contracts.stream import ProviderError, StreamCompleted, Usage, UsageStatus
from services.discussion import aggregate
from services.discussion.aggregate import (
    AlreadyOpened,
    Cancel,
    Command,
    CutAttempt,
    Discussion,
    Hear,
    Heard,
    HoldBack,
    NoSuchTurn,
    NotDue,
    NothingToRetry,
    NotOpened,
    Open,
    ParkTurn,
    Refuse,
    Retry,
    StartAttempt,
)
from services.discussion.views import view
from services.discussion.words import explain
from tests.spec import Specification

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KIMI = "kimi/kimi-k2.6"


def decide(command: Command, state: Discussion) -> list[DiscussionEvent]:
    names = (f"new-{number}" for number in itertools.count(1))
    return aggregate.decide(command, state, now=NOON, dice=lambda: 0.5, new_id=lambda: next(names))


discussion = Specification(decide, aggregate.evolve, NotOpened())


def opened(*personas: str) -> DiscussionOpened:
    return DiscussionOpened(
        at=NOON,
        discussion="d",
        workspace="default",
        mode=Mode.PARALLEL if len(personas) > 1 else Mode.SINGLE,
        participants=[Participant(model=KIMI, persona=persona) for persona in personas],
        parameters=Parameters(max_completion_tokens=64),
        title="Tea",
        topic="Tea?",
    )


def scheduled(turn: str, participant: int = 0, persona: str = "riley") -> TurnScheduled:
    return TurnScheduled(
        at=NOON, discussion="d", turn=turn, participant=participant, persona=persona, model=KIMI
    )


def started(turn: str, attempt: str, number: int = 1) -> AttemptStarted:
    return AttemptStarted(
        at=NOON,
        discussion="d",
        turn=turn,
        attempt=attempt,
        number=number,
        provider="kimi",
        model="kimi-k2.6",
        endpoint="https://api.test/v1",
        key="k",
        key_version=1,
    )


def answer(turn: str, attempt: str, text: str = "Yes.") -> StreamCompleted:
    return StreamCompleted(
        at=NOON,
        workspace="default",
        discussion="d",
        turn=turn,
        attempt=attempt,
        text=text,
        finish_reason="stop",
        model="kimi-k2.6",
    )


def error(turn: str, attempt: str, class_: FailureClass, **more: object) -> ProviderError:
    plain = ProviderError(
        at=NOON, workspace="default", discussion="d", turn=turn, attempt=attempt, class_=class_
    )
    return msgspec.structs.replace(plain, **more)


def completed(turn: str, attempt: str, text: str = "Yes.") -> TurnCompleted:
    return TurnCompleted(
        at=NOON,
        discussion="d",
        turn=turn,
        attempt=attempt,
        model=KIMI,
        finish_reason="stop",
        usage=Usage(),
        text=text,
    )


def failed(turn: str, attempt: str, class_: FailureClass, **more: object) -> AttemptFailed:
    plain = AttemptFailed(at=NOON, discussion="d", turn=turn, attempt=attempt, class_=class_)
    return msgspec.structs.replace(plain, **more)


def start(turn: str, attempt: str) -> StartAttempt:
    return StartAttempt(
        turn=turn, attempt=attempt, endpoint="https://api.test/v1", key="k", key_version=1
    )


def kinds(events: list[DiscussionEvent]) -> list[type]:
    return [type(event) for event in events]


ALONE = (opened("riley"), scheduled("t1"))
RUNNING = (*ALONE, started("t1", "a1"))


def test_everybody_is_asked_at_once() -> None:
    both = opened("riley", "morgan")

    discussion.given().when(Open(both)).then(
        both, scheduled("new-1", 0, "riley"), scheduled("new-2", 1, "morgan")
    )


def test_a_discussion_opens_once() -> None:
    discussion.given(*ALONE).when(Open(opened("riley"))).then_rejected(AlreadyOpened)


def test_an_attempt_is_counted_when_it_begins() -> None:
    discussion.given(*ALONE).when(start("t1", "a1")).then(started("t1", "a1"))


def test_a_turn_has_one_attempt_at_a_time() -> None:
    discussion.given(*RUNNING).when(start("t1", "a2")).then_rejected(NotDue, turn="t1")


def test_the_last_answer_ends_it() -> None:
    discussion.given(*RUNNING).when(Hear(answer("t1", "a1"))).then(
        completed("t1", "a1"), DiscussionCompleted(at=NOON, discussion="d")
    )


def test_the_others_are_waited_for() -> None:
    discussion.given(
        opened("riley", "morgan"),
        scheduled("t1"),
        scheduled("t2", 1, "morgan"),
        started("t1", "a1"),
    ).when(Hear(answer("t1", "a1"))).then(completed("t1", "a1"))


def test_a_stale_attempt_has_no_say() -> None:
    cut = AttemptCut(at=NOON, discussion="d", turn="t1", attempt="a1", reason="silence")

    discussion.given(*RUNNING, cut).when(Hear(answer("t1", "a1"))).then_nothing()


def test_what_comes_after_the_end_changes_nothing() -> None:
    over = (*RUNNING, completed("t1", "a1"), DiscussionCompleted(at=NOON, discussion="d"))

    discussion.given(*over).when(Hear(answer("t1", "a1"))).then_nothing()
    discussion.given(*over).when(Cancel("me")).then_nothing()


def test_a_passing_failure_waits() -> None:
    wait = NOON + timedelta(seconds=0.5)

    discussion.given(*RUNNING).when(Hear(error("t1", "a1", FailureClass.TRANSIENT))).then(
        failed("t1", "a1", FailureClass.TRANSIENT),
        TurnWaiting(
            at=NOON,
            discussion="d",
            turn="t1",
            reason="transient",
            not_before=wait,
            failure=explain(FailureClass.TRANSIENT, KIMI, not_before=wait),
        ),
    )


def test_after_three_failures_it_is_given_up() -> None:
    history: list[DiscussionEvent] = [*RUNNING]
    for number in (1, 2):
        events = decide(
            Hear(error("t1", f"a{number}", FailureClass.OVERLOADED)), aggregate.replay(history)
        )
        assert kinds(events) == [AttemptFailed, TurnWaiting]
        history += [*events, started("t1", f"a{number + 1}", number + 1)]

    last = decide(Hear(error("t1", "a3", FailureClass.OVERLOADED)), aggregate.replay(history))

    assert kinds(last) == [AttemptFailed, TurnFailed, DiscussionFailed]


@pytest.mark.parametrize(
    ("class_", "gate"),
    [
        (FailureClass.AUTH, "key:kimi"),
        (FailureClass.BILLING, "billing:kimi"),
        (FailureClass.MODEL, "model:kimi"),
    ],
)
def test_what_a_person_must_mend_is_parked_and_has_no_timer(
    class_: FailureClass, gate: str
) -> None:
    events = decide(Hear(error("t1", "a1", class_)), aggregate.replay(RUNNING))

    assert kinds(events) == [AttemptFailed, TurnParked]
    assert isinstance(events[1], TurnParked)
    assert events[1].gate == gate
    assert events[1].failure.not_before is None
    assert events[1].failure.next_step


def test_a_faulty_request_is_never_sent_again() -> None:
    events = decide(Hear(error("t1", "a1", FailureClass.REQUEST)), aggregate.replay(RUNNING))

    assert kinds(events) == [AttemptFailed, TurnFailed, DiscussionFailed]


def test_what_was_never_sent_costs_the_turn_nothing() -> None:
    history: list[DiscussionEvent] = [*RUNNING]
    for number in range(1, 8):
        unsent = error("t1", f"a{number}", FailureClass.TRANSIENT, sent=False, hint="unreachable")
        events = decide(Hear(unsent), aggregate.replay(history))
        assert kinds(events) == [AttemptFailed, TurnWaiting]
        history += [*events, started("t1", f"a{number + 1}")]

    assert view(history).turns[0].attempts == 1


def test_text_that_broke_off_is_withdrawn_before_it_begins_anew() -> None:
    broken = error("t1", "a1", FailureClass.MIDSTREAM, text="Ye")

    events = decide(Hear(broken), aggregate.replay(RUNNING))

    assert kinds(events) == [AttemptFailed, TurnRestarted, TurnWaiting]


def test_text_that_broke_off_twice_is_kept_as_it_is() -> None:
    once = decide(
        Hear(error("t1", "a1", FailureClass.MIDSTREAM, text="Ye")), aggregate.replay(RUNNING)
    )
    again = [*RUNNING, *once, started("t1", "a2", 2)]

    events = decide(
        Hear(error("t1", "a2", FailureClass.MIDSTREAM, text="Yes, b")), aggregate.replay(again)
    )

    assert kinds(events) == [AttemptFailed, TurnFailed, DiscussionFailed]
    assert isinstance(events[1], TurnFailed)
    assert (events[1].text, events[1].partial) == ("Yes, b", True)


LONG = "It was a dark and stormy night; the rain fell in torrents. " * 5


def resumed(turn: str, attempt: str, from_char: int, number: int = 2) -> AttemptStarted:
    return msgspec.structs.replace(started(turn, attempt, number), from_char=from_char)


def test_a_long_text_that_broke_off_is_gone_on_with() -> None:
    broken = error("t1", "a1", FailureClass.MIDSTREAM, text=LONG)

    events = decide(Hear(broken), aggregate.replay(RUNNING))
    assert kinds(events) == [AttemptFailed, TurnWaiting], "what was heard stands"
    after = aggregate.replay([*RUNNING, *events])
    [begun] = decide(start("t1", "a2"), after)

    assert isinstance(begun, AttemptStarted)
    assert begun.from_char == len(LONG)
    assert begun.prefix_sha256 == hashlib.sha256(LONG.encode()).hexdigest()
    assert view([*RUNNING, *events, begun]).turns[0].text == LONG


@pytest.mark.parametrize(
    "heard",
    [{"text": "Too little."}, {"text": LONG, "reasoning": "Hm."}, {"reasoning": LONG}],
)
def test_what_is_short_or_was_thought_is_begun_anew(heard: dict[str, str]) -> None:
    broken = error("t1", "a1", FailureClass.MIDSTREAM, **heard)

    events = decide(Hear(broken), aggregate.replay(RUNNING))

    assert kinds(events) == [AttemptFailed, TurnRestarted, TurnWaiting]


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(max_completion_tokens=64, tools=[{"type": "function"}]),
        Parameters(max_completion_tokens=64, response_format={"type": "json_object"}),
    ],
)
def test_a_form_or_a_tool_call_is_begun_anew(parameters: Parameters) -> None:
    first, *others = RUNNING
    assert isinstance(first, DiscussionOpened)
    strict = msgspec.structs.replace(first, parameters=parameters)
    broken = error("t1", "a1", FailureClass.MIDSTREAM, text=LONG)

    events = decide(Hear(broken), aggregate.replay([strict, *others]))

    assert kinds(events) == [AttemptFailed, TurnRestarted, TurnWaiting]


def test_an_answer_is_gone_on_with_once() -> None:
    broken = decide(
        Hear(error("t1", "a1", FailureClass.MIDSTREAM, text=LONG)), aggregate.replay(RUNNING)
    )
    again = [*RUNNING, *broken, resumed("t1", "a2", len(LONG))]

    events = decide(
        Hear(error("t1", "a2", FailureClass.MIDSTREAM, text=LONG + "And so")),
        aggregate.replay(again),
    )

    assert kinds(events) == [AttemptFailed, TurnFailed, DiscussionFailed]
    assert isinstance(events[1], TurnFailed)
    assert events[1].text == LONG + "And so"


def test_what_stands_still_stands_if_going_on_came_to_nothing() -> None:
    broken = decide(
        Hear(error("t1", "a1", FailureClass.MIDSTREAM, text=LONG)), aggregate.replay(RUNNING)
    )
    again = [*RUNNING, *broken, resumed("t1", "a2", len(LONG))]

    events = decide(
        Hear(error("t1", "a2", FailureClass.OVERLOADED, text=LONG)), aggregate.replay(again)
    )

    assert kinds(events) == [AttemptFailed, TurnWaiting]
    [begun] = decide(start("t1", "a3"), aggregate.replay([*again, *events]))
    assert isinstance(begun, AttemptStarted)
    assert begun.from_char == len(LONG)


def test_a_provider_that_cannot_go_on_after_all_begins_anew() -> None:
    broken = decide(
        Hear(error("t1", "a1", FailureClass.MIDSTREAM, text=LONG)), aggregate.replay(RUNNING)
    )
    again = [*RUNNING, *broken, resumed("t1", "a2", len(LONG))]

    events = decide(
        Hear(error("t1", "a2", FailureClass.REQUEST, text=LONG)), aggregate.replay(again)
    )

    assert kinds(events) == [AttemptFailed, TurnRestarted, TurnWaiting]


def test_who_goes_to_see_whether_a_provider_is_back_loses_no_try() -> None:
    history = [*RUNNING[:-1], msgspec.structs.replace(started("t1", "a1"), trial=True)]
    for number in range(2, 9):
        events = decide(
            Hear(error("t1", f"a{number - 1}", FailureClass.OVERLOADED)), aggregate.replay(history)
        )
        assert kinds(events) == [AttemptFailed, TurnWaiting]
        looks = msgspec.structs.replace(started("t1", f"a{number}", number), trial=True)
        history += [*events, looks]

    assert view(history).turns[0].attempts == 8


def test_a_turn_that_can_never_be_attempted_fails_at_once() -> None:
    due = aggregate.replay(RUNNING[:-1])
    failure = explain(FailureClass.REQUEST, KIMI, hint="cannot_fit", final=True)

    events = decide(Refuse(turn="t1", failure=failure), due)

    assert kinds(events) == [TurnFailed, DiscussionFailed]


def test_a_wait_is_stated_again_when_the_time_that_was_told_has_passed() -> None:
    due = aggregate.replay(RUNNING[:-1])
    held = HoldBack(turn="t1", reason="breaker", not_before=NOON + timedelta(seconds=10))
    [waiting] = decide(held, due)
    known = aggregate.evolve(due, waiting)

    assert decide(held, known) == []
    later = aggregate.decide(
        HoldBack(turn="t1", reason="breaker", not_before=NOON + timedelta(seconds=40)),
        known,
        now=NOON + timedelta(seconds=11),
        dice=lambda: 0.5,
        new_id=lambda: "new",
    )
    assert kinds(later) == [TurnWaiting]


def test_a_discussion_that_is_over_goes_on_when_a_turn_is_tried_again() -> None:
    refused = decide(Hear(error("t1", "a1", FailureClass.REQUEST)), aggregate.replay(RUNNING))
    over = aggregate.replay([*RUNNING, *refused])

    events = decide(Retry(turn="t1", by="somebody"), over)

    assert kinds(events) == [DiscussionReopened, TurnReopened]
    assert isinstance(events[0], DiscussionReopened)
    assert events[0].run == 2
    again = aggregate.replay([*RUNNING, *refused, *events, started("t1", "a2", 2)])
    assert kinds(decide(Hear(answer("t1", "a2")), again)) == [TurnCompleted, DiscussionCompleted]


def test_only_what_failed_can_be_tried_again() -> None:
    done = decide(Hear(answer("t1", "a1")), aggregate.replay(RUNNING))

    with pytest.raises(NothingToRetry):
        decide(Retry(turn="t1"), aggregate.replay([*RUNNING, *done]))
    with pytest.raises(NothingToRetry):
        decide(Retry(turn="t1"), aggregate.replay(RUNNING))
    with pytest.raises(NoSuchTurn):
        decide(Retry(turn="t9"), aggregate.replay(RUNNING))
    assert decide(Retry(turn="t1"), aggregate.replay(RUNNING[:-1])) == []


def test_an_attempt_without_a_pulse_that_said_nothing_is_tried_once_more() -> None:
    first = decide(CutAttempt(turn="t1", attempt="a1", reason="silence"), aggregate.replay(RUNNING))
    assert kinds(first) == [AttemptCut, TurnWaiting]
    again = [*RUNNING, *first, started("t1", "a2", 2)]

    second = decide(CutAttempt(turn="t1", attempt="a2", reason="silence"), aggregate.replay(again))

    assert kinds(second) == [AttemptCut, TurnFailed, DiscussionFailed]


def test_a_member_that_failed_does_not_fail_the_others() -> None:
    history = (
        opened("riley", "morgan"),
        scheduled("t1"),
        scheduled("t2", 1, "morgan"),
        started("t1", "a1"),
        started("t2", "a2"),
        completed("t1", "a1"),
    )

    events = decide(Hear(error("t2", "a2", FailureClass.REQUEST)), aggregate.replay(history))

    assert events[-1] == DiscussionCompleted(at=NOON, discussion="d", failed=["t2"])


def test_waiting_is_stated_when_its_reason_changes() -> None:
    held = HoldBack(turn="t1", reason="rate", not_before=NOON + timedelta(seconds=9))
    said = TurnWaiting(
        at=NOON, discussion="d", turn="t1", reason="rate", not_before=held.not_before
    )

    discussion.given(*ALONE).when(held).then(said)
    discussion.given(*ALONE, said).when(held).then_nothing()


def test_cancelling_ends_every_open_turn() -> None:
    discussion.given(*RUNNING).when(Cancel("me")).then(
        TurnCancelled(at=NOON, discussion="d", turn="t1"),
        DiscussionCancelled(at=NOON, discussion="d", cancelled_by="me"),
    )


def test_what_was_being_said_when_it_was_cancelled_is_kept() -> None:
    heard = {"a1": Heard("Well, as to", "Hm.")}
    cancelled = TurnCancelled(
        at=NOON, discussion="d", turn="t1", text="Well, as to", reasoning="Hm."
    )
    discussion.given(*RUNNING).when(Cancel("me", heard)).then(
        cancelled, DiscussionCancelled(at=NOON, discussion="d", cancelled_by="me")
    )

    (turn,) = view([*RUNNING, cancelled]).turns
    assert (turn.state, turn.text, turn.reasoning) == (TurnState.CANCELLED, "Well, as to", "Hm.")


def test_the_view_tells_what_the_facts_say() -> None:
    shown = view([*RUNNING, completed("t1", "a1"), DiscussionCompleted(at=NOON, discussion="d")])

    assert shown.state is DiscussionState.COMPLETED
    (turn,) = shown.turns
    assert (turn.state, turn.text, turn.attempts) == (TurnState.COMPLETED, "Yes.", 1)


def test_a_cancelled_turn_does_not_say_that_it_is_tried_again() -> None:
    waiting = [
        *RUNNING,
        *decide(Hear(error("t1", "a1", FailureClass.THROTTLED)), aggregate.replay(RUNNING)),
    ]
    assert view(waiting).turns[0].failure is not None

    shown = view([*waiting, *decide(Cancel("me"), aggregate.replay(waiting))])

    assert shown.turns[0].state is TurnState.CANCELLED
    assert shown.turns[0].failure is None


def test_a_failed_turn_shows_what_it_has_used() -> None:
    used = Usage(input_tokens=3, output_tokens=5, status=UsageStatus.ESTIMATED)
    cost = Cost(amount=Decimal("0.01"))
    refused = Hear(error("t1", "a1", FailureClass.REQUEST, text="Ye", usage=used), cost)

    shown = view([*RUNNING, *decide(refused, aggregate.replay(RUNNING))])

    assert (shown.turns[0].state, shown.turns[0].text) == (TurnState.FAILED, "Ye")
    assert (shown.turns[0].usage, shown.turns[0].cost) == (used, cost)


def test_a_turn_that_is_parked_still_is_not_parked_anew() -> None:
    refused = Hear(error("t1", "a1", FailureClass.AUTH))
    parked = aggregate.replay([*RUNNING, *decide(refused, aggregate.replay(RUNNING))])
    again = ParkTurn(turn="t1", gate="key:kimi", failure=explain(FailureClass.AUTH, KIMI))

    assert decide(again, parked) == []


@pytest.mark.parametrize("class_", FailureClass)
def test_every_failed_turn_says_what_can_be_done(class_: FailureClass) -> None:
    told = explain(class_, KIMI, final=True)

    assert told.next_step.removeprefix("It was tried as often as is sensible.").strip()


def test_a_parked_discussion_says_so_and_why() -> None:
    refused = error("t1", "a1", FailureClass.AUTH, evidence=Evidence(status=401))

    shown = view([*RUNNING, *decide(Hear(refused), aggregate.replay(RUNNING))])

    assert shown.state is DiscussionState.PARKED
    assert shown.turns[0].failure is not None
    assert "parley keys add kimi" in shown.turns[0].failure.next_step
