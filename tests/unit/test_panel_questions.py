"""What a panel asks: closed questions, forms for ballots, and people before and after."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from contracts.attempts import Parameters
from contracts.deliberation import (
    ConsensusConcluded,
    DissentRecorded,
    Outcome,
    PanelSealed,
    RoundTallied,
    TurnOverdue,
)
from contracts.discussion_events import DiscussionCompleted, DiscussionOpened, Participant
from contracts.modes import Options, Purpose
from services.discussion import aggregate, prompting
from services.discussion.aggregate import Cancel, CannotSay, Ended, Over, Retry, Say
from services.discussion.modes.consensus import bounds
from services.discussion.modes.table import Seat
from services.discussion.views import view
from tests.sittings import FOUR, NOON, Sitting, fails, stopped

# --- Closed questions -------------------------------------------------------------------------


def test_a_closed_question_is_voted_on_with_the_sealed_answers() -> None:
    sitting = Sitting(("plain-a", "plain-a", "plain-a", "plain-b"), options=Options(closed=True))

    end = sitting.play()

    assert (end.outcome, sitting.winner, stopped(sitting)) == (Outcome.CONSENSUS, "a", "S2")
    (tally,) = sitting.of(RoundTallied)
    assert sorted(tally.answers.values()) == ["a", "a", "a", "b"]
    assert not sitting.asked_for(Purpose.REVIEW)
    (dissent,) = sitting.of(DissentRecorded)
    assert (dissent.kind, dissent.member) == ("minority", 3)


def test_two_that_give_the_same_answer_agree_and_are_no_consensus() -> None:
    agreeing, differing = (
        Sitting(members, options=Options(closed=True)).play()
        for members in (("plain-a", "plain-a"), ("plain-a", "plain-b"))
    )

    assert (agreeing.outcome, differing.outcome) == (Outcome.MAJORITY, Outcome.SPLIT)
    assert any("They agree" in note for note in agreeing.notes)
    assert any("They differ" in note for note in differing.notes)


def test_even_answers_to_a_closed_question_are_a_split() -> None:
    sitting = Sitting(("plain-a", "plain-a", "plain-b", "plain-b"), options=Options(closed=True))

    end = sitting.play()

    assert (end.outcome, sitting.leaders) == (Outcome.SPLIT, ["a", "b"])


def test_of_the_same_answers_the_surest_one_speaks() -> None:
    """One who is stubborn is surer than who is not."""
    members = ("plain-a", "stubborn-a", "plain-a", "plain-b")
    sitting = Sitting(members, options=Options(closed=True))

    end = sitting.play()

    assert sitting.turns[end.winner].participant == 1


def test_who_does_not_come_to_an_answer_is_not_counted() -> None:
    members = ("plain-a", "plain-a", "unparsable-c", "unparsable-d")
    sitting = Sitting(members, options=Options(closed=True))

    assert sitting.play().outcome is Outcome.INSUFFICIENT


# --- People, before and after -----------------------------------------------------------------


def test_nothing_can_be_said_into_a_panel_that_works() -> None:
    sitting = Sitting(FOUR)
    sitting.tell(aggregate.Open(sitting.opened()))

    with pytest.raises(CannotSay):
        sitting.tell(Say(message="m", text="And?"))


def test_what_is_said_after_the_end_is_answered_by_one_and_makes_no_second_result() -> None:
    sitting = Sitting(FOUR, chair="plain-z")
    sitting.play()

    sitting.tell(Say(message="m", text="And on Sundays?"))
    sitting.go_on()

    seat, messages, _ = sitting.asked[-1]
    assert (seat.participant, seat.purpose) == (4, Purpose.ANSWER)
    assert "The common answer." in str(messages[1].content)
    assert "And on Sundays?" in str(messages[-1].content)
    assert len(sitting.of(ConsensusConcluded)) == 1
    assert isinstance(sitting.log[-1], DiscussionCompleted)


def test_who_is_asked_after_the_deadline_is_waited_for_all_the_same() -> None:
    late = NOON + timedelta(minutes=5)
    sitting = Sitting(FOUR, deadline=late)
    sitting.play()
    sitting.later(timedelta(hours=1))

    sitting.tell(Say(message="m", text="And what of tea?", by="eve"))
    sitting.go_on()

    assert sitting.asked[-1][0].purpose is Purpose.ANSWER
    assert not sitting.of(TurnOverdue)
    assert isinstance(sitting.log[-1], DiscussionCompleted)


def test_a_turn_that_is_tried_again_after_the_end_is_kept_and_not_counted() -> None:
    dead = fails("dead", 3)
    sitting = Sitting(FOUR, fault=dead)
    sitting.play()
    failed = next(turn.id for turn in sitting.turns.values() if turn.participant == 3)

    sitting.fault = lambda _: ""
    sitting.tell(Retry(turn=failed))
    sitting.go_on()

    assert sitting.turns[failed].phase == Ended(completed=True)
    assert len(sitting.of(ConsensusConcluded)) == len(sitting.of(PanelSealed)) == 1
    assert isinstance(sitting.state, Over)


def test_what_was_cancelled_can_be_taken_up_again_and_ends_once() -> None:
    sitting = Sitting(FOUR)
    sitting.tell(aggregate.Open(sitting.opened()))
    sitting.turn(next(iter(sitting.turns.values())))
    sitting.tell(Cancel())

    for turn in list(sitting.turns.values())[1:]:
        sitting.tell(Retry(turn=turn.id))
    sitting.go_on()

    assert sitting.conclusion.run == 2
    assert sitting.conclusion.outcome is Outcome.CONSENSUS


def test_people_read_how_it_stands() -> None:
    sitting = Sitting(FOUR)
    end = sitting.play()

    seen = view(sitting.log)

    assert seen.conclusion == end
    assert seen.tally is not None
    assert seen.stopped_by == "S2"


# --- What is asked ----------------------------------------------------------------------------


def test_ballots_are_asked_for_in_a_form_only_where_it_is_kept() -> None:
    sitting = Sitting(FOUR)
    sitting.play()

    for _, _, parameters in sitting.asked:
        assert parameters.response_format is None, "the scripted provider has no row"
    for _, messages, _ in sitting.asked_for(Purpose.REVIEW):
        assert '"ranking"' in str(messages[0].content)


def test_the_letters_are_in_the_log_and_whose_they_are_is_in_no_prompt() -> None:
    sitting = Sitting(FOUR)
    sitting.play()

    for seat, messages, _ in sitting.asked_for(Purpose.REVIEW):
        assert sorted(seat.labels) == ["A", "B", "C", "D"]
        text = json.dumps([str(each.content) for each in messages])
        assert not any(turn in text for turn in seat.labels.values())


def of_models(*models: str, **more: object) -> DiscussionOpened:
    opened = Sitting(FOUR).opened()
    who = [Participant(model=model, name=f"M{at}") for at, model in enumerate(models)]
    return msgspec.structs.replace(opened, participants=who, **more)


def asked_with(opened: DiscussionOpened, purpose: Purpose) -> Parameters:
    at = Seat(turn="t", participant=0, purpose=purpose, labels={"A": "x", "B": "y"})
    usual = prompting.bounded(opened, 0)
    return bounds.parameters(opened, at, usual)


def test_the_small_models_drafts_fit_together_before_it() -> None:
    local = of_models(*["local/smollm2-135m-instruct"] * 4, parameters=UNBOUNDED)

    draft = asked_with(local, Purpose.DRAFT).max_completion_tokens
    ballot = asked_with(local, Purpose.REVIEW)

    assert draft == 160
    assert 4 * draft + ballot.max_completion_tokens < 8192 // 2
    assert ballot.response_format is not None, "its row says that it keeps to a schema"


def test_whoever_wishes_for_short_answers_gets_whole_ballots_all_the_same() -> None:
    short = of_models("kimi/kimi-k2.6", "kimi/kimi-k3", parameters=SHORT)

    assert asked_with(short, Purpose.DRAFT).max_completion_tokens == 50
    ballot = asked_with(short, Purpose.REVIEW)
    assert ballot.max_completion_tokens == 1024
    assert (ballot.stop, ballot.response_format) == (None, None)


UNBOUNDED = Parameters(max_completion_tokens=0)
SHORT = Parameters(max_completion_tokens=50, stop=["}"])
