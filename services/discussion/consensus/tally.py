"""Who won, by rules that were fixed before anybody voted.

Nobody's vote counts for a draft of its own. Whoever beats every other draft in direct comparison
wins (Condorcet); if nobody does, the highest mean place (Borda, normalised to 0..1) wins; a tie is
broken by fewer blocking objections, then by the higher lowest score, then by a seeded order that is
on record. Pure, and independent of the order of the ballots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from services.discussion.consensus.agreement import kendalls_w
from services.discussion.consensus.ballots import Ballot

Rule = Literal["condorcet", "borda", "objections", "scores", "seed", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the ballots say."""

    ballots: int
    """Counted."""
    wins: Mapping[tuple[str, str], int]
    """(a, b) → ballots that put a before b."""
    borda: Mapping[str, float]
    """Mean place of each draft, 1 for the first and 0 for the last of every ballot."""
    condorcet: str
    """The draft that beats every other; empty if there is none."""
    winner: str
    """Empty only without drafts or without ballots."""
    rule: Rule
    """What decided."""
    runner_up: str
    margin: float
    """How far the winner's mean place is ahead of the next best one's; may be negative where
    Condorcet and Borda differ."""
    agreement: float | None
    """Kendall's W over the ballots that rank all drafts; None where it says nothing."""
    blocking: Mapping[str, int]
    """Draft → blocking objections."""


def tally(
    drafts: Sequence[str],
    ballots: Iterable[Ballot],
    *,
    authors: Mapping[str, str],
    seed: int,
) -> Tally:
    """Count. `authors`: draft → its author, who is a reviewer's name in the ballots."""
    counted = sorted(
        {ballot.reviewer: ballot for ballot in ballots}.values(), key=lambda each: each.reviewer
    )
    own = {author: draft for draft, author in authors.items()}
    orders = [
        [
            draft
            for draft in ballot.ranking
            if draft in authors and draft != own.get(ballot.reviewer)
        ]
        for ballot in counted
    ]
    wins = _wins(drafts, orders)
    borda = _borda(drafts, orders)
    blocking = {
        draft: sum(
            1
            for ballot in counted
            for objection in ballot.objections
            if objection.draft == draft and objection.severity == "blocking"
        )
        for draft in drafts
    }
    condorcet = _condorcet(drafts, wins) if counted else ""
    lowest = {
        draft: min(
            (
                ballot.scores[draft]
                for ballot in counted
                if draft in ballot.scores and draft != own.get(ballot.reviewer)
            ),
            default=0,
        )
        for draft in drafts
    }
    places = sorted(
        drafts,
        key=lambda draft: (-borda[draft], blocking[draft], -lowest[draft], _lot(draft, seed)),
    )
    winner = condorcet or (places[0] if places and counted else "")
    others = [draft for draft in places if draft != winner]
    second = others[0] if others else ""
    rule: Rule = "none"
    if winner:
        rule = "condorcet" if condorcet else _rule(winner, second, borda, blocking, lowest)
    return Tally(
        ballots=len(counted),
        wins=wins,
        borda=borda,
        condorcet=condorcet,
        winner=winner,
        rule=rule,
        runner_up=second,
        margin=borda[winner] - borda[second] if winner and second else 0.0,
        agreement=kendalls_w([ballot.ranking for ballot in counted], drafts),
        blocking=blocking,
    )


def unassailable(counted: Tally, drafts: Sequence[str], missing: int) -> bool:
    """However the `missing` ballots fall, the winner stays: it beats every other draft by more.

    Stricter than a lead in Borda's points, and sound: whoever beats all others wins whatever the
    mean places are.
    """
    if not counted.winner:
        return False
    return all(
        counted.wins[counted.winner, other] - counted.wins[other, counted.winner] > missing
        for other in drafts
        if other != counted.winner
    )


def _wins(drafts: Sequence[str], orders: Sequence[Sequence[str]]) -> dict[tuple[str, str], int]:
    wins = {(a, b): 0 for a in drafts for b in drafts if a != b}
    for order in orders:
        for better, worse in combinations(order, 2):
            wins[better, worse] += 1
    return wins


def _borda(drafts: Sequence[str], orders: Sequence[Sequence[str]]) -> dict[str, float]:
    places: dict[str, list[float]] = {draft: [] for draft in drafts}
    for order in orders:
        last = len(order) - 1
        for at, draft in enumerate(order):
            places[draft].append((last - at) / last if last else 1.0)
    # Rounded, so that the order in which fractions are summed up cannot break a tie.
    return {
        draft: round(sum(found) / len(found), 9) if found else 0.0
        for draft, found in places.items()
    }


def _condorcet(drafts: Sequence[str], wins: Mapping[tuple[str, str], int]) -> str:
    for one in drafts:
        if all(wins[one, other] > wins[other, one] for other in drafts if other != one):
            return one
    return ""


def _rule(
    winner: str,
    second: str,
    borda: Mapping[str, float],
    blocking: Mapping[str, int],
    lowest: Mapping[str, int],
) -> Rule:
    """What put the winner before the next one."""
    if not second or borda[winner] != borda[second]:
        return "borda"
    if blocking[winner] != blocking[second]:
        return "objections"
    return "scores" if lowest[winner] != lowest[second] else "seed"


def _lot(draft: str, seed: int) -> bytes:
    """Its place in the seeded order."""
    return hashlib.sha256(f"{seed}:{draft}".encode()).digest()
