"""A panel whose ballots cannot be counted, or whose members are late or down."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    Outcome,
    PanelSealed,
    PositionChanged,
    PositionKept,
    RoundTallied,
    TurnOverdue,
)
from contracts.discussion_events import DiscussionFailed, TurnCancelled
from contracts.modes import Options, Purpose
from local.scripted.panel import Member
from services.discussion import aggregate
from services.discussion.aggregate import Ended, Running
from tests.sittings import FOUR, NOON, Sitting, fails, stopped

# --- Ballots that cannot be counted -----------------------------------------------------------


def test_who_cannot_write_a_ballot_is_asked_once_more_and_then_abstains() -> None:
    sitting = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "unparsable-d-abcd"))

    end = sitting.play()

    rejected = sitting.of(BallotRejected)
    assert [each.abstains for each in rejected] == [False, True]
    ((_, messages, _),) = sitting.asked_for(Purpose.REPAIR)
    assert "There is no JSON object in it." in str(messages[-1].content)
    assert sitting.of(RoundTallied)[0].ballots == 3
    assert (end.outcome, sitting.winner) == (Outcome.CONSENSUS, "a")
    assert "Member 3 has no vote in the count: its ballot could not be read." in end.notes


def test_a_repaired_ballot_counts() -> None:
    sitting = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "clumsy-d-abcd"))

    sitting.play()

    assert sitting.of(RoundTallied)[0].ballots == 4


def test_a_panel_that_cannot_write_ballots_decides_nothing_and_says_so() -> None:
    sitting = Sitting(tuple(f"unparsable-{idea}-abcd" for idea in "abcd"))

    end = sitting.play()

    assert (end.outcome, stopped(sitting)) == (Outcome.INSUFFICIENT, "S6")
    assert end.text.count("idea") == 4, "the drafts are shown as they are"
    assert any(note.startswith("Nothing was decided") for note in end.notes)


def test_a_synthesis_that_cannot_be_read_leaves_the_winning_draft_word_for_word() -> None:
    sitting = Sitting(FOUR, chair="unparsable")

    end = sitting.play()

    assert end.outcome is Outcome.CONSENSUS
    assert end.text == Member.named("panel-plain-a").draft()
    assert any("word for word" in note for note in end.notes)


@pytest.mark.parametrize("why", ["dead", "slow", "poor"])
def test_a_synthesis_that_does_not_come_leaves_it_too(why: str) -> None:
    sitting = Sitting(FOUR, chair="plain-z", fault=fails(why, 4, purpose=Purpose.SYNTHESIS))

    end = sitting.play()

    assert (end.outcome, sitting.winner) == (Outcome.CONSENSUS, "a")
    assert end.text == Member.named("panel-plain-a").draft()
    assert any("word for word" in note for note in end.notes)


def test_statements_without_a_source_are_left_out_and_counted() -> None:
    end = Sitting(FOUR).play()

    assert [point.text for point in end.unique] == ["One has a thought of its own."]
    assert "1 statement of the synthesis named no draft as source: left out." in end.notes
    assert (end.metrics.kept, end.metrics.dropped) == (2, 0)


# --- Who is late, and who is down -------------------------------------------------------------


def test_a_draft_that_comes_too_late_is_kept_and_not_counted() -> None:
    sitting = Sitting(FOUR, fault=fails("slow", 3))

    end = sitting.play()

    (sealed,) = sitting.of(PanelSealed)
    assert sealed.absent == [3]
    assert sealed.at == NOON + timedelta(minutes=15)
    assert (end.outcome, sitting.winner) == (Outcome.CONSENSUS, "a")
    assert "Member 3 took no part: no draft of it came in time." in end.notes


def test_a_draft_after_the_seal_changes_nothing() -> None:
    sitting = Sitting(FOUR, fault=fails("slow", 3))
    sitting.tell(aggregate.Open(sitting.opened()))
    sitting.go_on(until=lambda: bool(sitting.of(PanelSealed)))
    late = next(turn for turn in sitting.turns.values() if turn.participant == 3)
    assert isinstance(late.phase, Running)

    sitting.tell(aggregate.Hear(sitting.answer(late, late.phase.attempt, [])))
    sitting.go_on()

    assert sitting.turns[late.id].phase == Ended(completed=True)
    assert late.id not in sitting.of(PanelSealed)[0].drafts
    assert sitting.conclusion.outcome is Outcome.CONSENSUS


def test_a_ballot_that_comes_too_late_is_kept_and_not_counted() -> None:
    sitting = Sitting(
        ("plain-a-abcd", "plain-b-bacd", "plain-c-abcd", "plain-d-bacd"),
        fault=fails("slow", 3, purpose=Purpose.REVIEW),
    )

    sitting.play()

    assert [ballot.member for ballot in sitting.of(BallotSubmitted)] != [0, 1, 2, 3]
    assert sitting.of(RoundTallied)[0].ballots == 3


@pytest.mark.parametrize("purpose", [Purpose.DRAFT, Purpose.REVIEW])
def test_who_comes_late_is_kept_and_not_counted_though_others_are_waited_for(
    purpose: Purpose,
) -> None:
    """Two are slow; one of them answers when it is waited for no more, the other one still is."""
    members = (*FOUR[:2], "plain-c-bacd", "plain-d-bacd")
    sitting = Sitting(members, fault=fails("slow", 2, 3, purpose=purpose))
    sitting.tell(aggregate.Open(sitting.opened()))
    sitting.go_on(until=lambda: bool(sitting.of(TurnOverdue)))
    (overdue,) = sitting.of(TurnOverdue)
    late = sitting.turns[overdue.turn]
    (_, messages, _) = next(each for each in sitting.asked if each[0].turn == late.id)
    assert isinstance(late.phase, Running)

    sitting.tell(aggregate.Hear(sitting.answer(late, late.phase.attempt, messages)))
    sitting.go_on()

    assert sitting.turns[late.id].phase == Ended(completed=True), "it is kept"
    assert late.id not in sitting.of(PanelSealed)[0].drafts
    assert late.id not in {ballot.turn for ballot in sitting.of(BallotSubmitted)}
    assert sitting.conclusion.outcome is Outcome.INSUFFICIENT, "two of four are too few"


def test_a_revision_that_comes_late_changes_nothing() -> None:
    """Both who may revise are slow; one answers when only the other one is still waited for."""
    members = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-ab", "plain-d-abcd")
    slow = fails("slow", 0, 1, purpose=Purpose.REVISION, number=2)
    sitting = Sitting(members, fault=slow)
    sitting.tell(aggregate.Open(sitting.opened()))
    sitting.go_on(until=lambda: bool(sitting.of(TurnOverdue)))
    late = sitting.turns[sitting.of(TurnOverdue)[0].turn]
    (_, messages, _) = next(each for each in sitting.asked if each[0].turn == late.id)
    assert isinstance(late.phase, Running)

    sitting.tell(aggregate.Hear(sitting.answer(late, late.phase.attempt, messages)))
    sitting.go_on()

    assert sitting.turns[late.id].phase == Ended(completed=True), "it is kept"
    assert not sitting.of(PositionChanged)
    reasons = {fact.reason for fact in sitting.of(PositionKept)}
    assert reasons == {"It did not answer in time."}
    assert stopped(sitting) == "S3"


def test_two_of_four_down_is_too_few() -> None:
    sitting = Sitting(FOUR, fault=fails("dead", 2, 3))

    end = sitting.play()

    assert (end.outcome, stopped(sitting)) == (Outcome.INSUFFICIENT, "S6")
    assert not sitting.asked_for(Purpose.REVIEW), "nobody is asked in vain"
    assert sitting.leaders == ["a", "b"]


@pytest.mark.parametrize(
    ("quorum", "dead", "outcome"),
    [(4, (3,), Outcome.INSUFFICIENT), (3, (3,), Outcome.CONSENSUS), (2, (2, 3), Outcome.SPLIT)],
)
def test_the_quorum_can_be_wished_for(quorum: int, dead: tuple[int, ...], outcome: Outcome) -> None:
    sitting = Sitting(FOUR, options=Options(quorum=quorum), fault=fails("dead", *dead))

    assert sitting.play().outcome is outcome


def test_a_panel_that_is_down_has_failed_and_still_says_how_it_ended() -> None:
    sitting = Sitting(FOUR, fault=fails("dead", 0, 1, 2, 3))

    end = sitting.play()

    assert end.outcome is Outcome.INSUFFICIENT
    assert isinstance(sitting.log[-1], DiscussionFailed)


def test_when_the_quorum_is_out_of_reach_nobody_else_is_waited_for() -> None:
    sitting = Sitting(FOUR, fault=fails("dead", 0, 1, purpose=Purpose.REVIEW))
    sitting.dice.choice = lambda turns: turns[0]  # type: ignore[method-assign]

    sitting.play()

    assert stopped(sitting) == "S6"
    assert len([each for each in sitting.log if isinstance(each, TurnCancelled)]) == 2
