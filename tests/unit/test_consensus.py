"""A panel's result follows from its ballots, and from nothing else."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.discussion.consensus.agreement import kendalls_w, needed
from services.discussion.consensus.ballots import Ballot, Objection
from services.discussion.consensus.labels import labels
from services.discussion.consensus.outcome import (
    Change,
    Outcome,
    flattened,
    holds,
    judged,
    plurality,
    quorum,
)
from services.discussion.consensus.tally import Tally, tally, unassailable

DRAFTS = ["ada", "bob", "cyd", "dan"]
AUTHORS = {draft: draft for draft in DRAFTS}
"""Each draft bears its author's name."""


def count(ballots: list[Ballot], *, seed: int = 7, drafts: list[str] | None = None) -> Tally:
    names = DRAFTS if drafts is None else drafts
    return tally(names, ballots, authors={draft: draft for draft in names}, seed=seed)


def ballot(reviewer: str, ranking: str, **more: object) -> Ballot:
    """`ranking`: first letters of the drafts, the best first."""
    by_letter = {draft[0]: draft for draft in DRAFTS}
    return Ballot(reviewer, tuple(by_letter[letter] for letter in ranking), **more)  # type: ignore[arg-type]


@st.composite
def panels(draw: st.DrawFn, most: int = 5) -> list[Ballot]:
    reviewers = draw(st.lists(st.sampled_from([*DRAFTS, "eve"]), unique=True, max_size=most))
    return [
        Ballot(
            reviewer,
            tuple(draw(st.permutations(DRAFTS))),
            draw(st.dictionaries(st.sampled_from(DRAFTS), st.integers(1, 10))),
            tuple(
                Objection(draft, "No.", severity="blocking")
                for draft in draw(st.lists(st.sampled_from(DRAFTS), max_size=2))
            ),
        )
        for reviewer in reviewers
    ]


# --- The tally --------------------------------------------------------------------------------


def test_all_for_one() -> None:
    counted = count([ballot(who, "bacd") for who in DRAFTS])

    assert (counted.winner, counted.rule, counted.agreement) == ("bob", "condorcet", 1.0)
    assert judged(counted, members=4, drafts=4, unresolved=0) is Outcome.CONSENSUS


def test_a_blocking_objection_that_nobody_answered_forbids_the_word_consensus() -> None:
    counted = count([ballot(who, "bacd") for who in DRAFTS])

    assert judged(counted, members=4, drafts=4, unresolved=1) is Outcome.MAJORITY


def test_nobody_votes_for_itself() -> None:
    in_love = [ballot("ada", "abcd"), ballot("bob", "cdba"), ballot("cyd", "bdca")]

    counted = count(in_love)

    assert counted.wins["ada", "bob"] == 0
    assert counted.borda["ada"] == 0


def test_a_cycle_is_decided_by_the_mean_places_and_called_a_split() -> None:
    counted = count(
        [ballot("eve", "abcd"), ballot("fay", "bcad"), ballot("gus", "cabd")],
        drafts=["ada", "bob", "cyd", "dan"],
    )

    assert counted.condorcet == ""
    assert counted.rule == "seed"
    assert counted.winner in {"ada", "bob", "cyd"}
    assert judged(counted, members=4, drafts=4, unresolved=0) is Outcome.SPLIT


def test_a_tie_goes_to_whom_less_is_held_against() -> None:
    objection = Objection("ada", "It is wrong.", severity="blocking")
    counted = count([ballot("eve", "abcd", objections=(objection,)), ballot("fay", "bacd")])

    assert (counted.winner, counted.rule) == ("bob", "objections")


def test_an_objection_weighs_more_than_a_score() -> None:
    objection = Objection("ada", "It is wrong.", severity="blocking")
    scores = {"ada": 9, "bob": 3}
    eve = ballot("eve", "abcd", scores=scores, objections=(objection,))

    counted = count([eve, ballot("fay", "bacd")])

    assert (counted.winner, counted.rule) == ("bob", "objections")


def test_then_to_the_higher_lowest_score() -> None:
    scores = {"ada": 9, "bob": 3}
    counted = count([ballot("eve", "abcd", scores=scores), ballot("fay", "bacd")])

    assert (counted.winner, counted.rule) == ("ada", "scores")


def test_what_somebody_gives_itself_breaks_no_tie() -> None:
    """bob and dan are level, and lots decide; dan gives itself ten of ten."""
    orders = {"ada": "dacb", "bob": "adcb", "cyd": "bdca", "dan": "bcda"}
    fair = count([ballot(who, order) for who, order in orders.items()])
    vain = count(
        [
            ballot(who, order, scores={"dan": 10} if who == "dan" else {})
            for who, order in orders.items()
        ]
    )

    assert (fair.winner, fair.runner_up, fair.rule) == ("bob", "dan", "seed")
    assert (vain.winner, vain.rule) == ("bob", "seed")


def test_ahead_by_exactly_one_ballot_is_ahead() -> None:
    """dan does not vote; a third is no finite decimal fraction."""
    counted = count([ballot("ada", "cadb"), ballot("bob", "cdba"), ballot("cyd", "dbac")])

    assert (counted.winner, round(counted.margin, 6)) == ("cyd", 0.333333)
    assert judged(counted, members=3, drafts=4, unresolved=1) is Outcome.MAJORITY


@pytest.mark.parametrize(("members", "abstains"), [(4, 1), (5, 1), (6, 2), (8, 2)])
def test_where_all_who_vote_are_of_one_mind_it_is_no_split(members: int, abstains: int) -> None:
    """Nobody ranks its own draft, so the second one is close behind in the mean."""
    drafts = [f"draft-{at}" for at in range(members)]
    counted = count([Ballot(who, tuple(drafts)) for who in drafts[:-abstains]], drafts=drafts)

    assert judged(counted, members=members, drafts=members, unresolved=1) is Outcome.MAJORITY


def test_without_ballots_there_is_no_winner() -> None:
    counted = count([])

    assert (counted.winner, counted.rule) == ("", "none")
    assert judged(counted, members=4, drafts=4, unresolved=0) is Outcome.INSUFFICIENT


@given(panels(), st.randoms())
def test_the_order_of_the_ballots_is_nothing(ballots: list[Ballot], dice: random.Random) -> None:
    shuffled = dice.sample(ballots, len(ballots))

    assert count(shuffled) == count(ballots)
    assert count([*ballots, *ballots]) == count(ballots), "a ballot counts once"


@given(panels(), st.permutations(DRAFTS))
def test_names_are_nothing(ballots: list[Ballot], renamed: list[str]) -> None:
    """Under other names of the drafts the same one wins, unless lots were drawn."""
    counted = count(ballots)
    assume(counted.rule != "seed")
    new = dict(zip(DRAFTS, renamed, strict=True)) | {"eve": "eve"}
    again = count(
        [
            Ballot(
                new[each.reviewer],
                tuple(new[draft] for draft in each.ranking),
                {new[draft]: score for draft, score in each.scores.items()},
                tuple(
                    Objection(new[one.draft], one.claim, severity=one.severity)
                    for one in each.objections
                ),
            )
            for each in ballots
        ]
    )

    assume(again.rule != "seed")
    assert again.winner == (new[counted.winner] if counted.winner else "")


@given(panels(), st.integers(0, 4), st.integers(0, 2))
def test_who_is_ranked_higher_never_falls_in_the_mean(
    ballots: list[Ballot], which: int, at: int
) -> None:
    assume(ballots)
    chosen = ballots[which % len(ballots)]
    ranking = list(chosen.ranking)
    ranking[at], ranking[at + 1] = ranking[at + 1], ranking[at]
    raised = ranking[at]
    after = [
        each if each is not chosen else Ballot(each.reviewer, tuple(ranking)) for each in ballots
    ]

    assert count(after).borda[raised] >= count(ballots).borda[raised]


VOTERS = ["ada", "bob", "cyd", "eve", "fay", "gus"]
"""The first three have drafts of their own."""


@st.composite
def led(draw: st.DrawFn) -> tuple[list[Ballot], list[str]]:
    """Ballots of which most put ada's draft first, and those who have not voted yet."""
    voters = draw(st.permutations(VOTERS))
    here = draw(st.integers(2, 5))
    missing = draw(st.integers(1, min(2, 6 - here)))
    orders = st.one_of(*[st.permutations(DRAFTS[1:3]).map(_ada_first)] * 4, _ORDERS)
    ballots = [Ballot(voter, tuple(draw(orders))) for voter in voters[:here]]
    return ballots, voters[here : here + missing]


def _ada_first(others: list[str]) -> list[str]:
    return ["ada", *others]


_ORDERS = st.permutations(DRAFTS[:3])


@settings(max_examples=200, deadline=None)
@given(led())
def test_an_unassailable_winner_wins_however_the_others_vote(
    voting: tuple[list[Ballot], list[str]],
) -> None:
    ballots, missing = voting
    drafts = DRAFTS[:3]
    counted = count(ballots, drafts=drafts)
    if not unassailable(counted, drafts, len(missing)):
        return  # every other time

    for votes in itertools.product(itertools.permutations(drafts), repeat=len(missing)):
        more = [Ballot(who, vote) for who, vote in zip(missing, votes, strict=True)]
        assert count([*ballots, *more], drafts=drafts).winner == counted.winner


def test_a_lead_must_be_larger_than_what_is_missing() -> None:
    two = count([ballot(who, "abcd") for who in ("eve", "fay")])

    assert unassailable(two, DRAFTS, 1)
    assert not unassailable(two, DRAFTS, 2), "both could put another draft first"


# --- Letters ----------------------------------------------------------------------------------


@given(st.integers(1, 8), st.integers(1, 12), st.integers())
def test_every_draft_bears_every_letter_equally_often(size: int, reviewers: int, seed: int) -> None:
    drafts = [f"draft-{number}" for number in range(size)]
    seen: Counter[tuple[str, str]] = Counter()
    for reviewer in range(reviewers):
        shown = labels(drafts, reviewer=reviewer, seed=seed)
        assert sorted(shown.values()) == sorted(drafts), "one letter each"
        seen.update(shown.items())

    times = [
        seen[letter, draft] for letter in labels(drafts, reviewer=0, seed=seed) for draft in drafts
    ]
    assert max(times) - min(times) <= 1


def test_whoever_loves_the_letter_a_moves_nobody_on_average() -> None:
    """Over all reviewers each draft is the favourite once."""
    favourites = Counter(labels(DRAFTS, reviewer=n, seed=3)["A"] for n in range(len(DRAFTS)))

    assert favourites == Counter(DRAFTS)


# --- What may be said -------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "drafts"), [(3, 3), (3, 4), (4, 3)])
def test_what_is_needed_is_more_than_chance_and_not_more_than_that(
    members: int, drafts: int
) -> None:
    """Counted over all panels there are."""
    names = [str(number) for number in range(drafts)]
    orders = list(itertools.permutations(names))
    least = needed(members, drafts)
    assert least is not None
    reached: list[float] = []
    for panel in itertools.product(orders, repeat=members - 1):
        w = kendalls_w([orders[0], *panel], names)
        assert w is not None
        reached.append(w)
    share = Fraction(sum(1 for w in reached if w >= least), len(reached))
    next_below = max((w for w in reached if w < least), default=0.0)
    share_below = Fraction(sum(1 for w in reached if w >= next_below), len(reached))

    assert share <= Fraction(1, 20) < share_below


def test_two_members_never_agree_by_more_than_chance() -> None:
    assert needed(2, 8) is None
    counted = count([ballot("ada", "cdab"), ballot("bob", "cdab")])
    assert judged(counted, members=4, drafts=4, unresolved=0) is not Outcome.CONSENSUS


@pytest.mark.parametrize(("panel", "least"), [(2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (8, 6)])
def test_a_quorum_is_two_thirds(panel: int, least: int) -> None:
    assert quorum(panel) == least


def test_a_closed_question_is_decided_by_how_many_say_it() -> None:
    three = plurality({"a": ("42", 0.5), "b": ("42", 0.6), "c": ("7", 1.0)})
    two = plurality({"a": ("42", 0.95), "b": ("7", 0.6)})
    even = plurality({"a": ("42", 0.6), "b": ("7", 0.6)})

    assert (three.answer, three.outcome) == ("42", Outcome.CONSENSUS)
    assert (two.answer, two.outcome) == ("42", Outcome.SPLIT)
    assert (even.answer, even.outcome) == ("", Outcome.SPLIT)
    assert plurality({"a": ("42", 1.0)}).outcome is Outcome.INSUFFICIENT


def test_a_models_own_confidence_weighs_little_below_certainty() -> None:
    assert [flattened(sure) for sure in (0.2, 0.6, 0.7, 0.85, 0.95, 1.0)] == [
        0.1, 0.1, 0.3, 0.5, 0.8, 1.0,
    ]  # fmt: skip


def test_only_arguments_turn_the_result_of_sealed_drafts_over() -> None:
    blocking = frozenset({"o1"})

    assert holds("ada", "ada", [], blocking)
    assert holds("ada", "bob", [Change("cyd", "o1")], blocking)
    assert not holds("ada", "bob", [Change("cyd", "o1"), Change("dan", "minor")], blocking)
    assert not holds("ada", "bob", [], blocking)
