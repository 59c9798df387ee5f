"""What a panel has come to: which draft, by what right, and who stands against it.

The vote over the sealed drafts is the baseline. A later round turns it over only where the change
was argued with a blocking objection; otherwise the baseline stands and the flip is on record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from contracts.deliberation import DissentRecorded, Outcome
from services.discussion.consensus import closed, outcome
from services.discussion.consensus.outcome import Change
from services.discussion.modes.consensus.panel import Panel

OPENING = 300
"""Characters of a draft by which a minority is told."""

CUT_SHORT = frozenset({"S5", "by hand"})
"""Rules after which what was decided before stands, as far as it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How it would end, were this the end."""

    outcome: Outcome
    winner: str = ""
    """The draft."""
    leaders: tuple[str, ...] = ()
    round: int = 0
    """Whose ballots decided; 0: none did."""
    flipped: str = ""
    """The draft that a later round put first without an argument for it."""
    flips: int = 0
    """Rounds that put another draft first than the sealed drafts' own round."""


def verdict(panel: Panel, upto: int) -> Verdict:
    """By the ballots of the rounds up to that one."""
    nothing = Verdict(outcome=Outcome.INSUFFICIENT, leaders=tuple(panel.drafts))
    if len(panel.drafts) < panel.quorum:
        return nothing
    if panel.opened.options.closed:
        return _of_closed(panel) if upto else nothing
    if upto and len(panel.ballots(upto)) < panel.quorum:
        if panel.stop is None or panel.stop.rule not in CUT_SHORT:
            return nothing
        upto -= 1  # cut short: the best so far is that of the round before
    return _of_open(panel, upto) if upto else nothing


def _of_open(panel: Panel, upto: int) -> Verdict:
    winners = [panel.counted(number).winner for number in range(1, upto + 1)]
    standing, flipped = upto, ""
    if not _argued(panel, winners[0], winners[-1], upto):
        standing, flipped = 1, winners[-1]
    counted = panel.counted(standing)
    against = [each for _, each in panel.unresolved(standing) if each.draft == counted.winner]
    result = outcome.judged(
        counted, members=len(panel.members), drafts=len(panel.drafts), unresolved=len(against)
    )
    found = Verdict(
        outcome=result,
        winner=counted.winner,
        leaders=(counted.winner,),
        round=standing,
        flipped=flipped,
        flips=sum(1 for winner in winners if winner != winners[0]),
    )
    if result is not Outcome.SPLIT:
        return found
    # Who is level with the second is no worse than it: all of them are shown.
    behind = counted.borda.get(counted.runner_up, 0.0)
    level = [
        draft
        for draft in panel.drafts
        if draft not in {counted.winner, counted.runner_up} and counted.borda[draft] == behind
    ]
    leaders = tuple(filter(None, (counted.winner, counted.runner_up, *level)))
    return replace(found, winner="", leaders=leaders)


def _argued(panel: Panel, baseline: str, winner: str, upto: int) -> bool:
    blocking = frozenset(objection.id for _, objection in panel.blocking())
    made = [change for change in panel.changes if change.round <= upto]
    changes = [
        Change(
            str(change.member), next((id for id in change.cites if id in blocking), change.cites[0])
        )
        for change in made
    ]
    return outcome.holds(baseline, winner, changes, blocking)


# --- Closed questions -----------------------------------------------------------------------


def answers(panel: Panel) -> Mapping[str, closed.Answer]:
    """Draft → its answer, of those that come to one."""
    read = {draft: closed.read(panel.table.seat(draft).text) for draft in panel.drafts}
    return {draft: answer for draft, answer in read.items() if answer is not None}


def votes(panel: Panel) -> outcome.Plurality:
    """What most members answered."""
    return outcome.plurality(
        {draft: (answer.key, answer.confidence) for draft, answer in answers(panel).items()}
    )


def _of_closed(panel: Panel) -> Verdict:
    given = answers(panel)
    if len(given) < panel.quorum:
        return Verdict(outcome=Outcome.INSUFFICIENT, leaders=tuple(panel.drafts))
    most = votes(panel)
    keys = [answer.key for answer in given.values()]
    ranked = sorted(set(keys), key=lambda key: (key != most.answer, -keys.count(key), key))
    best = {key: _spokesman(panel, given, key) for key in ranked}
    if most.outcome is Outcome.SPLIT:
        second = keys.count(ranked[min(1, len(ranked) - 1)])
        leaders = [best[key] for key in ranked if keys.count(key) >= second]
        return Verdict(outcome=most.outcome, leaders=tuple(leaders), round=1)
    winner = best[most.answer]
    return Verdict(outcome=most.outcome, winner=winner, leaders=(winner,), round=1)


def _spokesman(panel: Panel, given: Mapping[str, closed.Answer], key: str) -> str:
    """Of the drafts with the same answer the surest one; lots decide between equals."""
    same = [draft for draft in given if given[draft].key == key]
    return min(same, key=lambda draft: (-given[draft].confidence, _name(panel, "lot", draft)))


# --- Dissent --------------------------------------------------------------------------------


def dissents(panel: Panel, found: Verdict) -> list[DissentRecorded]:
    """Everything that stands against the result and was not answered."""
    return [*_objections(panel, found), *_minorities(panel, found), *_flip(panel, found)]


def _objections(panel: Panel, found: Verdict) -> list[DissentRecorded]:
    recorded: list[DissentRecorded] = []
    for ballot, objection in panel.unresolved(found.round):
        change = panel.answer_to(objection)
        recorded.append(
            DissentRecorded(
                at=panel.table.now,
                discussion=panel.opened.discussion,
                id=objection.id,
                member=ballot.member,
                draft=objection.draft,
                kind="objection",
                claim=objection.claim,
                evidence=objection.evidence,
                round=ballot.round,
                answered_by=change.turn if change is not None else "",
            )
        )
    return recorded


def _minorities(panel: Panel, found: Verdict) -> list[DissentRecorded]:
    """Members who hold up another draft than those that came out on top."""
    if found.outcome is Outcome.INSUFFICIENT:
        return []
    held = _favourites(panel, found)
    return [
        DissentRecorded(
            at=panel.table.now,
            discussion=panel.opened.discussion,
            id=_name(panel, "minority", str(member)),
            member=member,
            draft=draft,
            kind="minority",
            claim=_opening(panel.words(panel.shown(draft, found.round))),
            round=found.round,
        )
        for member, draft in held
        if draft not in found.leaders
    ]


def _favourites(panel: Panel, found: Verdict) -> list[tuple[int, str]]:
    """Member → the draft it puts first, of those that are not its own."""
    if panel.opened.options.closed:
        given = answers(panel)
        leading = {given[leader].key: leader for leader in found.leaders}
        return [
            (panel.authors[draft], leading.get(answer.key, draft))
            for draft, answer in given.items()
        ]
    own = {member: draft for draft, member in panel.authors.items()}
    favourites = [
        (
            ballot.member,
            next((draft for draft in ballot.ranking if draft != own[ballot.member]), ""),
        )
        for ballot in panel.ballots(found.round)
        if own[ballot.member] not in found.leaders
    ]
    return [(member, draft) for member, draft in favourites if draft]


def _flip(panel: Panel, found: Verdict) -> list[DissentRecorded]:
    if not found.flipped:
        return []
    return [
        DissentRecorded(
            at=panel.table.now,
            discussion=panel.opened.discussion,
            id=_name(panel, "flip", found.flipped),
            member=panel.authors[found.flipped],
            draft=found.flipped,
            kind="flip",
            claim=_opening(panel.words(panel.shown(found.flipped, panel.rounds))),
            round=panel.rounds,
        )
    ]


def _opening(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= OPENING else plain[:OPENING].rsplit(" ", 1)[0] + " …"


def _name(panel: Panel, kind: str, what: str) -> str:
    """The same whenever it is made again."""
    made = f"{panel.opened.discussion}:{panel.seed}:{kind}:{what}"
    return kind[0] + hashlib.sha256(made.encode()).hexdigest()[:8]
