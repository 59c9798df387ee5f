"""What a panel may truly say of itself: consensus, majority, split, or that it was too small.

A word like consensus is used only where the ballots carry it. With two models the most that can be
said is whether they agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from contracts.deliberation import Outcome
from services.discussion.consensus.agreement import needed
from services.discussion.consensus.tally import Tally

ROUNDING = 1e-6
"""Less than any two margins that differ are apart."""


def quorum(panel: int) -> int:
    """Members without whom nothing is decided: two thirds, and never fewer than two."""
    return max(2, ceil(Fraction(2 * panel, 3)))


def judged(counted: Tally, *, members: int, drafts: int, unresolved: int) -> Outcome:
    """Of an open question, by a panel of so many members, whether they all voted or not.
    `unresolved`: blocking objections to the winner that nobody answered.

    Members can order most drafts alike and still be divided about the first place: a winner that is
    not ahead of the next one is nobody's consensus.
    """
    if not counted.winner or drafts < 2:
        return Outcome.INSUFFICIENT
    enough = needed(counted.ballots, drafts)
    agreed = counted.agreement is not None and enough is not None and counted.agreement >= enough
    ahead = bool(counted.condorcet) or counted.margin > 0
    if agreed and ahead and not unresolved:
        return Outcome.CONSENSUS
    # Mean places are rounded; ahead by exactly one ballot must not fall on the wrong side of that.
    if counted.margin >= 1 / members - ROUNDING:
        return Outcome.MAJORITY
    return Outcome.SPLIT


# --- Questions with one answer --------------------------------------------------------------

STEPS = ((0.6, 0.1), (0.8, 0.3), (0.9, 0.5), (1.0, 0.8))
"""A model's own confidence says little below certainty (ReConcile's flattening,
github.com/dinobby/ReConcile): up to the first number it weighs the second."""


def flattened(confidence: float) -> float:
    """What a confidence weighs, where it must break a tie."""
    if confidence >= 1:
        return 1.0
    return next(weight for below, weight in STEPS if confidence <= below)


@dataclass(frozen=True, slots=True)
class Plurality:
    """What most members answered."""

    answer: str
    share: Fraction
    outcome: Outcome


def plurality(answers: Mapping[str, tuple[str, float]]) -> Plurality:
    """Of a closed question. `answers`: member → its answer, normalised, and its confidence."""
    if len(answers) < 2:
        return Plurality("", Fraction(0), Outcome.INSUFFICIENT)
    votes = Counter(answer for answer, _ in answers.values())
    weight = {
        answer: sum(flattened(sure) for given, sure in answers.values() if given == answer)
        for answer in votes
    }
    first, *others = sorted(votes, key=lambda each: (-votes[each], -weight[each], each))
    share = Fraction(votes[first], len(answers))
    tied = bool(others) and votes[others[0]] == votes[first]
    # Two can only agree or differ: that is no consensus.
    if share >= Fraction(2, 3) and len(answers) > 2:
        outcome = Outcome.CONSENSUS
    elif share > Fraction(1, 2):
        outcome = Outcome.MAJORITY
    else:
        outcome = Outcome.SPLIT
    even = tied and weight[others[0]] == weight[first]
    return Plurality("" if even else first, share, outcome)


# --- After a revision -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A member that changed its position, and the objection that made it do so."""

    member: str
    objection: str


def holds(baseline: str, revised: str, changes: Iterable[Change], blocking: frozenset[str]) -> bool:
    """Whether a revision may turn the result of the sealed drafts over.

    Only arguments may: each change must name a blocking objection. Otherwise the baseline stands,
    and the flip is recorded as dissent: panels that talk long enough agree on anything.
    """
    made = list(changes)
    return baseline == revised or (
        bool(made) and all(change.objection in blocking for change in made)
    )
