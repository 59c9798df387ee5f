"""When a panel stops: nothing can change any more, or time, money or patience are over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.deliberation import (
    BallotSubmitted,
    DissentRecorded,
    Outcome,
    PositionChanged,
    PositionKept,
    RoundTallied,
)
from contracts.discussion_events import TurnCancelled
from contracts.modes import Options, Purpose
from services.discussion import aggregate
from services.discussion.aggregate import Conclude
from tests.sittings import FOUR, NOON, Sitting, fails, stopped


def test_a_leader_that_cannot_be_caught_up_with_ends_the_reviews() -> None:
    six = tuple(f"plain-{idea}-abcdef" for idea in "abcdef")
    sitting = Sitting(six, fault=fails("slow", 0, purpose=Purpose.REVIEW))

    end = sitting.play()

    assert (stopped(sitting), sitting.winner) == ("S1", "a")
    assert sitting.of(TurnCancelled), "who is not needed any more is called off"
    assert end.outcome is Outcome.CONSENSUS
    assert any("could not have changed the winner" in note for note in end.notes)


def test_nobody_is_called_off_who_is_needed_for_the_quorum() -> None:
    six = tuple(f"plain-{idea}-abcdef" for idea in "abcdef")
    sitting = Sitting(six, options=Options(quorum=6))

    assert sitting.play().outcome is Outcome.CONSENSUS
    assert stopped(sitting) == "S2"


def test_an_objection_that_can_be_answered_is_not_cut_off() -> None:
    """The leader of six is out of reach, but one objects; all are heard, and it is answered."""
    six = tuple(f"plain-{idea}-abcdef" for idea in "abcde")
    sitting = Sitting((*six, "plain-f-abcdef-a"), fault=fails("slow", 0, purpose=Purpose.REVIEW))

    sitting.play()

    assert [fact.member for fact in sitting.of(PositionChanged)] == [0]
    assert len(sitting.of(RoundTallied)) == 2


def test_an_objection_is_answered_and_then_they_agree() -> None:
    sitting = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd"))

    end = sitting.play()

    (change,) = sitting.of(PositionChanged)
    (objection,) = [each for ballot in sitting.of(BallotSubmitted) for each in ballot.objections]
    assert change.cites == [objection.id]
    assert [tally.outcome for tally in sitting.of(RoundTallied)] == ["majority", "consensus"]
    assert (end.outcome, stopped(sitting)) == (Outcome.CONSENSUS, "S2")
    assert not sitting.of(DissentRecorded), "it was resolved"
    again = [messages for seat, messages, _ in sitting.asked_for(Purpose.REVIEW) if seat.round == 2]
    assert len(again) == 4
    for messages in again:
        shown = str(messages[-1].content)
        assert "I hold with idea a, mended." in shown
        assert "cites" not in shown, "the draft, and not what it was changed for"
        assert objection.id not in shown
    ((_, messages, _),) = sitting.asked_for(Purpose.SYNTHESIS)
    assert "I hold with idea a, mended." in str(messages[-1].content)


def test_an_objection_stands_whose_member_has_not_read_the_answer_to_it() -> None:
    members = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd")
    gone = fails("dead", 2, purpose=Purpose.REVIEW, number=2)
    sitting = Sitting(members, fault=gone)

    end = sitting.play()

    assert len(sitting.of(PositionChanged)) == 1
    assert end.outcome is Outcome.MAJORITY
    (dissent,) = sitting.of(DissentRecorded)
    assert (dissent.kind, dissent.member) == ("objection", 2)
    assert dissent.answered_by == sitting.of(PositionChanged)[0].turn


def test_only_the_leading_two_and_who_is_objected_to_revise() -> None:
    sitting = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-ad", "plain-d-abcd"))

    sitting.play()

    revised = {seat.participant for seat, _, _ in sitting.asked_for(Purpose.REVISION)}
    assert revised == {0, 1, 3}
    for seat, messages, _ in sitting.asked_for(Purpose.REVISION):
        shown = str(messages[-1].content)
        assert "What it says of" in shown
        assert "It was tried." in shown, "with its evidence"
        assert ("of d is wrong" in shown) == (seat.participant == 3)


def test_if_nobody_changes_anything_nothing_moves_any_more() -> None:
    sitting = Sitting(("stubborn-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd"))

    end = sitting.play()

    assert stopped(sitting) == "S3"
    assert len(sitting.of(PositionKept)) == 2
    assert len(sitting.asked_for(Purpose.REVIEW)) == 4, "nobody reads the same again"
    assert end.outcome is Outcome.MAJORITY
    (dissent,) = sitting.of(DissentRecorded)
    assert dissent.kind == "objection"


def test_a_change_without_a_reason_is_no_change() -> None:
    sitting = Sitting(("hollow-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd"))

    sitting.play()

    assert not sitting.of(PositionChanged)
    reasons = {fact.member: fact.reason for fact in sitting.of(PositionKept)}
    assert "named no objection" in reasons[0]


def test_no_more_revisions_than_allowed() -> None:
    """c objects to a's draft however it is mended."""
    members = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-aA", "plain-d-abcd")
    ends: dict[int, tuple[str, int]] = {}
    for revisions in (0, 1, 2):
        sitting = Sitting(members, options=Options(revisions=revisions))
        sitting.play()
        ends[revisions] = (stopped(sitting), len(sitting.of(RoundTallied)))

    assert ends == {0: ("S4", 1), 1: ("S4", 2), 2: ("S4", 3)}


def test_a_flip_that_was_argued_stands() -> None:
    """b's draft is mended for a blocking objection, and is then the best."""
    order = "Bacdb"
    members = (
        f"stubborn-a-{order}", f"plain-b-{order}", f"plain-c-{order}-b", f"plain-d-{order}-a",
    )  # fmt: skip
    sitting = Sitting(members)

    end = sitting.play()

    first, second = sitting.of(RoundTallied)
    assert (sitting.idea(first.winner), sitting.idea(second.winner)) == ("a", "b")
    assert (sitting.winner, end.metrics.flips) == ("b", 1)


def test_a_flip_without_an_argument_is_dissent_and_the_sealed_drafts_decide() -> None:
    """The same, but what was objected was a trifle."""
    order = "Bacdb"
    members = (
        f"stubborn-a-{order}", f"plain-b-{order}", f"plain-c-{order}-B", f"plain-d-{order}-a",
    )  # fmt: skip
    sitting = Sitting(members)

    end = sitting.play()

    assert sitting.winner == "a"
    assert [dissent.kind for dissent in sitting.of(DissentRecorded)].count("flip") == 1
    assert any("the vote over the sealed drafts stands" in note for note in end.notes)


def test_a_mended_draft_that_does_not_stand_answers_no_objection() -> None:
    """a's draft was mended for the objection to it; but b flips the result for a trifle, and the
    sealed drafts decide. There the objection stands, and there is no consensus on that draft.
    """
    order = "Bacdb"
    members = (
        f"plain-a-{order}", f"plain-b-{order}", f"plain-c-{order}-B", f"plain-d-{order}-a",
    )  # fmt: skip
    sitting = Sitting(members)

    end = sitting.play()

    first, second = sitting.of(RoundTallied)
    assert (sitting.idea(first.winner), sitting.idea(second.winner)) == ("a", "b")
    assert (sitting.winner, end.outcome) == ("a", Outcome.MAJORITY)
    against = [each for each in sitting.of(DissentRecorded) if each.draft == end.winner]
    assert [(each.kind, each.member) for each in against] == [("objection", 3)]
    ((_, messages, _),) = sitting.asked_for(Purpose.SYNTHESIS)
    assert "What it says of a is wrong." in str(messages[-1].content)


def test_when_the_budget_ends_in_the_drafts_it_is_said() -> None:
    sitting = Sitting(FOUR, fault=fails("poor", 2, 3))

    end = sitting.play()

    assert (stopped(sitting), end.outcome) == ("S5", Outcome.INSUFFICIENT)
    assert any("time or budget was used up" in note for note in end.notes)


@pytest.mark.parametrize("why", ["slow", "poor"])
def test_when_time_or_budget_ends_in_the_revision_the_first_reviews_count(why: str) -> None:
    """Nobody was asked whether it changes its draft: that is not the same as nobody changing it."""
    members = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd")
    broken = fails(why, 0, 1, purpose=Purpose.REVISION, number=2)
    sitting = Sitting(members, fault=broken, deadline=NOON + timedelta(minutes=5))

    end = sitting.play()

    assert (stopped(sitting), end.outcome, sitting.winner) == ("S5", Outcome.MAJORITY, "a")
    assert any("time or budget was used up" in note for note in end.notes)


def test_when_the_budget_ends_in_the_reviews_what_is_there_is_told() -> None:
    sitting = Sitting(FOUR, fault=fails("poor", 2, 3, purpose=Purpose.REVIEW))

    end = sitting.play()

    assert (stopped(sitting), end.outcome) == ("S5", Outcome.INSUFFICIENT)
    assert any("time or budget was used up" in note for note in end.notes)


def test_when_the_budget_ends_in_the_second_reviews_the_first_ones_count() -> None:
    members = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd")
    poor = fails("poor", 0, 1, 2, purpose=Purpose.REVIEW, number=2)
    sitting = Sitting(members, fault=poor)

    end = sitting.play()

    assert (stopped(sitting), end.outcome, sitting.winner) == ("S5", Outcome.MAJORITY, "a")


def test_nobody_is_waited_for_past_the_deadline() -> None:
    late = NOON + timedelta(minutes=5)
    sitting = Sitting(FOUR, fault=fails("slow", 1, 2, purpose=Purpose.REVIEW), deadline=late)

    end = sitting.play()

    assert (sitting.now, stopped(sitting)) == (late, "S5")
    assert end.outcome is Outcome.INSUFFICIENT


def test_a_person_can_end_the_rounds() -> None:
    """What is being said is still heard; nothing is revised; the answer is written."""
    sitting = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-a", "plain-d-abcd"))
    sitting.tell(aggregate.Open(sitting.opened()))
    sitting.go_on(until=lambda: bool(sitting.of(BallotSubmitted)))

    sitting.tell(Conclude())
    sitting.go_on()

    assert stopped(sitting) == "by hand"
    assert len(sitting.of(BallotSubmitted)) == 4
    assert not sitting.asked_for(Purpose.REVISION)
    assert sitting.conclusion.outcome is Outcome.MAJORITY


def test_ended_before_anybody_has_reviewed_nothing_is_decided() -> None:
    sitting = Sitting(FOUR)
    sitting.tell(aggregate.Open(sitting.opened()))

    sitting.tell(Conclude())
    sitting.go_on()

    assert len(sitting.asked) == 4
    assert sitting.conclusion.outcome is Outcome.INSUFFICIENT
