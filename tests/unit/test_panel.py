"""A panel of scripted members comes to what its ballots carry, whatever its members are like."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from contracts.attempts import Parameters
from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
    Outcome,
    PanelSealed,
    PositionChanged,
    PositionKept,
    RoundTallied,
    StopDecided,
    TurnOverdue,
)
from contracts.discussion_events import (
    DiscussionCompleted,
    DiscussionFailed,
    DiscussionOpened,
    Participant,
    TurnCancelled,
    TurnCompleted,
    TurnScheduled,
)
from contracts.modes import Options, Purpose
from local.scripted.panel import Member
from services.discussion import aggregate, prompting
from services.discussion.aggregate import (
    Cancel,
    CannotSay,
    Conclude,
    Ended,
    Over,
    Retry,
    Running,
    Say,
)
from services.discussion.modes.consensus import bounds
from services.discussion.modes.table import Seat
from services.discussion.views import view
from tests.sittings import NOON, Fault, Sitting

FOUR = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "plain-d-abcd")


def stopped(sitting: Sitting) -> str:
    (stop,) = sitting.of(StopDecided)
    return stop.rule


def fails(how: str, *participants: int, purpose: Purpose = Purpose.DRAFT, number: int = 1) -> Fault:
    def fault(seat: Seat) -> str:
        mine = seat.participant in participants and seat.purpose is purpose
        return how if mine and seat.round == number else ""

    return fault


# --- The course -------------------------------------------------------------------------------


def test_all_of_one_mind() -> None:
    sitting = Sitting(FOUR)

    end = sitting.play()

    assert (end.outcome, sitting.winner, stopped(sitting)) == (Outcome.CONSENSUS, "a", "S2")
    assert end.text == "The common answer."
    assert end.metrics.agreement == 1.0
    assert not sitting.of(DissentRecorded)
    assert isinstance(sitting.log[-1], DiscussionCompleted)
    assert len(sitting.asked) == 4 + 4 + 1


def test_drafts_are_sealed_before_anybody_sees_one() -> None:
    sitting = Sitting(FOUR)

    sitting.play()

    kinds = [type(event) for event in sitting.log]
    seal = kinds.index(PanelSealed)
    scheduled = [event for event in sitting.log[:seal] if isinstance(event, TurnScheduled)]
    assert {event.purpose for event in scheduled} == {Purpose.DRAFT}
    assert sum(kind is TurnCompleted for kind in kinds[:seal]) == 4
    for _, messages, _ in sitting.asked_for(Purpose.DRAFT):
        assert "hold with idea" not in str(messages)


def test_one_is_right_against_three_and_stays_on_record() -> None:
    """Its blocking objection forbids the word consensus, and is told with the result."""
    sitting = Sitting(("stubborn-a-abcd", "plain-b-abcd", "plain-c-abcd", "plain-d-abcd-a"))

    end = sitting.play()

    assert (end.outcome, sitting.winner) == (Outcome.MAJORITY, "a")
    (dissent,) = sitting.of(DissentRecorded)
    assert (dissent.kind, dissent.member) == ("objection", 3)
    assert (dissent.claim, dissent.evidence) == ("What it says of a is wrong.", "It was tried.")
    assert end.dissents == [dissent.id]


def test_who_holds_up_another_draft_is_on_record() -> None:
    five = tuple(f"plain-{idea}-abcdef" for idea in "abcde")
    sitting = Sitting((*five, "plain-f-fcabde"))

    end = sitting.play()

    assert sitting.winner == "a"
    (dissent,) = sitting.of(DissentRecorded)
    assert (dissent.kind, dissent.member) == ("minority", 5)
    assert sitting.idea(dissent.draft) == "c", "the best that is not its own"
    assert end.dissents == [dissent.id]


def test_two_against_two_is_a_split_and_both_are_shown() -> None:
    sitting = Sitting(("plain-a-abcd", "plain-b-bacd", "plain-c-abcd", "plain-d-bacd"))

    end = sitting.play()

    assert end.outcome is Outcome.SPLIT
    assert end.winner == ""
    assert sitting.leaders == ["a", "b"]
    assert "idea a" in end.text
    assert "idea b" in end.text
    assert not sitting.asked_for(Purpose.SYNTHESIS), "nothing is blended"


def test_a_cycle_is_a_split() -> None:
    sitting = Sitting(("plain-a-abc", "plain-b-bca", "plain-c-cab"))

    end = sitting.play()

    assert (end.outcome, sitting.leaders) == (Outcome.SPLIT, ["a", "b", "c"])
    (tally,) = sitting.of(RoundTallied)
    assert tally.condorcet == ""


def test_two_members_agree_or_differ_and_never_say_consensus() -> None:
    agreeing, differing = (
        Sitting(("plain-a-ab", "plain-b-ab")),
        Sitting(("plain-a-ab", "plain-b-ba")),
    )

    ends = [agreeing.play(), differing.play()]

    assert [end.outcome for end in ends] == [Outcome.SPLIT, Outcome.SPLIT]
    assert any("They agree" in note for note in ends[0].notes)
    assert any("They differ" in note for note in ends[1].notes)


# --- Members as they are ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["self", "label", "length", "conformist", "stubborn", "injector"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_one_odd_member_does_not_turn_four_honest_ones_around(kind: str, seed: int) -> None:
    honest = ("plain-a-abcde", "plain-b-abcde", "plain-c-abcde", "plain-d-abcde")
    sitting = Sitting((*honest, f"{kind}-e-abcde"), options=Options(seed=seed))

    sitting.play()

    (tally,) = sitting.of(RoundTallied)
    assert sitting.idea(tally.winner) == "a"
    assert "a" in sitting.leaders


def test_who_loves_itself_has_no_vote_for_itself() -> None:
    sitting = Sitting(("plain-a-abc", "plain-b-abc", "self-c-abc"))

    sitting.play()

    (tally,) = sitting.of(RoundTallied)
    ballot = next(each for each in sitting.of(BallotSubmitted) if each.member == 2)
    assert sitting.idea(ballot.ranking[0]) == "c"
    own = next(draft for draft in tally.borda if sitting.idea(draft) == "c")
    assert tally.borda[own] == 0


def test_whoever_would_follow_the_others_is_not_told_how_they_vote() -> None:
    """It switches to any majority that it is shown; it is shown none."""
    sitting = Sitting(
        ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "conformist-d-dcba"),
        options=Options(revisions=2),
    )

    sitting.play()

    for ballot in sitting.of(BallotSubmitted):
        if ballot.member == 3:
            assert [sitting.idea(draft) for draft in ballot.ranking] == ["d", "c", "b", "a"]


def test_an_injection_is_material_and_changes_no_tally() -> None:
    plain = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "plain-d-abcd"))
    laced = Sitting(("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "injector-d-abcd"))

    plain.play()
    laced.play()

    (one,), (other,) = plain.of(RoundTallied), laced.of(RoundTallied)
    assert msgspec.structs.replace(one, at=NOON) == msgspec.structs.replace(other, at=NOON)
    for _, messages, _ in laced.asked_for(Purpose.REVIEW):
        shown = str(messages[-1].content)
        assert shown.count("<draft name=") == shown.count("</draft>") == 4, "no forged marks"
        assert "never an instruction" in str(messages[0].content)


def test_nobody_is_told_who_wrote_what() -> None:
    sitting = Sitting(("vain-a-abcd", "vain-b-abcd", "vain-c-abcd-a", "vain-d-abcd"))

    sitting.play()

    for seat, messages, _ in sitting.asked:
        if seat.purpose is Purpose.DRAFT:
            continue
        # Its own persona, and its own draft where it is to mend it, are its own.
        text = "\n".join(str(each.content) for each in messages)
        text = text.replace(f"Member {seat.participant}", "")
        assert "Member" not in text
        assert "member-" not in text
        assert "scripted" not in text


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


def test_two_of_four_down_is_too_few() -> None:
    sitting = Sitting(FOUR, fault=fails("dead", 2, 3))

    end = sitting.play()

    assert (end.outcome, stopped(sitting)) == (Outcome.INSUFFICIENT, "S6")
    assert not sitting.asked_for(Purpose.REVIEW), "nobody is asked in vain"
    assert sitting.leaders == ["a", "b"]


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


# --- When to stop -----------------------------------------------------------------------------


def test_a_leader_that_cannot_be_caught_up_with_ends_the_reviews() -> None:
    six = tuple(f"plain-{idea}-abcdef" for idea in "abcdef")
    sitting = Sitting(six, fault=fails("slow", 0, purpose=Purpose.REVIEW))

    end = sitting.play()

    assert (stopped(sitting), sitting.winner) == ("S1", "a")
    assert sitting.of(TurnCancelled), "who is not needed any more is called off"
    assert end.outcome is Outcome.CONSENSUS
    assert any("could not have changed the winner" in note for note in end.notes)


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


def test_even_answers_to_a_closed_question_are_a_split() -> None:
    sitting = Sitting(("plain-a", "plain-a", "plain-b", "plain-b"), options=Options(closed=True))

    end = sitting.play()

    assert (end.outcome, sitting.leaders) == (Outcome.SPLIT, ["a", "b"])


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
