"""A panel from sealed drafts to a common answer, and members as they are."""

from __future__ import annotations

import msgspec
import pytest

from contracts.deliberation import (
    BallotSubmitted,
    DissentRecorded,
    Outcome,
    PanelSealed,
    RoundTallied,
)
from contracts.discussion_events import DiscussionCompleted, TurnCompleted, TurnScheduled
from contracts.modes import Options, Purpose
from tests.sittings import FOUR, NOON, Sitting, stopped

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


def test_the_seed_can_be_wished_for_and_is_on_record() -> None:
    """It decides the letters, and with them nothing else."""
    sittings = [Sitting(FOUR, options=Options(seed=seed)) for seed in (5, 6)]

    ends = [sitting.play() for sitting in sittings]

    assert [sitting.of(PanelSealed)[0].seed for sitting in sittings] == [5, 6]
    shown = [[seat.labels for seat, _, _ in each.asked_for(Purpose.REVIEW)] for each in sittings]
    assert shown[0] != shown[1]
    assert ends[0].outcome is ends[1].outcome
    assert sittings[0].winner == sittings[1].winner == "a"


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
    """It switches to any majority that it is shown; it is shown none, in later rounds neither."""
    sitting = Sitting(
        ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd-aA", "conformist-d-dcba"),
        options=Options(revisions=2),
    )

    sitting.play()

    votes = [ballot for ballot in sitting.of(BallotSubmitted) if ballot.member == 3]
    assert [ballot.round for ballot in votes] == [1, 2, 3]
    for ballot in votes:
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
    members = ("vain-a-abcd", "vain-b-abcd", "vain-c-abcd-aA", "vain-d-abcd")
    sitting = Sitting(members, chair="plain-z")

    sitting.play()

    assert {seat.purpose for seat, _, _ in sitting.asked} == set(Purpose) - {
        Purpose.ANSWER, Purpose.MODERATION, Purpose.JUDGEMENT, Purpose.REPAIR,
    }  # fmt: skip
    for seat, messages, _ in sitting.asked:
        if seat.purpose is Purpose.DRAFT:
            continue
        # Its own persona, and its own draft where it is to mend it, are its own.
        text = "\n".join(str(each.content) for each in messages)
        text = text.replace(f"Member {seat.participant}", "")
        assert "Member" not in text
        assert "member-" not in text
        assert "scripted" not in text
