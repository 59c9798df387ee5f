"""What comes next: sealed drafts, blind reviews, a count, perhaps a revision, then the end.

Each step follows from what is on record, so it comes out the same after any crash.
"""

from __future__ import annotations

import hashlib

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ModeFact,
    Objection,
    PanelSealed,
    PositionChanged,
    PositionKept,
    RoundTallied,
    StopDecided,
)
from contracts.modes import Purpose
from services.discussion.consensus import agreement, ballots, revisions
from services.discussion.consensus.labels import labels
from services.discussion.consensus.tally import unassailable
from services.discussion.modes.consensus.panel import Panel
from services.discussion.modes.consensus.verdict import answers, verdict, votes
from services.discussion.modes.table import Call, Dismiss, Listen, Next, Seat, Speak, Tell

CALLED_OFF = frozenset({"S1", "S6"})
"""Rules after which nobody who still reviews is needed any more."""


def drafting(panel: Panel) -> Next:
    """Everybody answers without seeing anything; then the drafts are sealed."""
    seats = panel.seats(1, Purpose.DRAFT)
    if not seats:
        wait = panel.patience
        return Speak(
            tuple(
                Call(participant=member, purpose=Purpose.DRAFT, patience=wait)
                for member in panel.members
            )
        )
    if waiting := _waiting(seats):
        return Dismiss(waiting) if panel.out_of_time else Listen()
    drafts = {seat.turn: _hash(seat.text) for seat in seats if seat.counts and seat.text.strip()}
    there = {seat.participant for seat in seats if seat.turn in drafts}
    return Tell(
        (
            PanelSealed(
                at=panel.table.now,
                discussion=panel.opened.discussion,
                drafts=drafts,
                absent=[member for member in panel.members if member not in there],
                seed=panel.seed,
            ),
        )
    )


def rounds(panel: Panel) -> Next | None:
    """The next step towards a decision; None: there is one."""
    if len(panel.drafts) < panel.quorum:
        return _stop(panel, _too_few(panel), 1)
    if panel.opened.options.closed:
        return _voting(panel)
    counted = panel.rounds
    if counted == 0:
        return _reviewing(panel, 1)
    if panel.seats(counted + 1, Purpose.REVISION):
        return _revising(panel, counted + 1)
    if panel.stop is not None:
        return None
    if rule := _rule(panel, counted):
        return _stop(panel, rule, counted)
    wait = panel.patience
    return Speak(
        tuple(
            Call(
                participant=panel.authors[draft],
                purpose=Purpose.REVISION,
                round=counted + 1,
                about=draft,
                patience=wait,
            )
            for draft in _to_revise(panel, counted)
        )
    )


def _stop(panel: Panel, rule: str, number: int) -> Next | None:
    if panel.stop is not None:
        return None
    return Tell(
        (
            StopDecided(
                at=panel.table.now, discussion=panel.opened.discussion, rule=rule, round=number
            ),
        )
    )


def _rule(panel: Panel, number: int) -> str:
    """Why no further round follows; empty if one does. The first that fires."""
    counted = panel.counted(number)
    if counted.ballots < panel.quorum:
        return _too_few(panel)
    if verdict(panel, number).outcome == "consensus":
        return "S2"
    moved = any(change.round == number for change in panel.changes)
    if number > 1 and counted.winner == panel.counted(number - 1).winner and not moved:
        return "S3"
    if number > panel.opened.options.revisions:
        return "S4"
    if panel.spent:
        return "S5"
    # Without an objection nobody has a reason to change, and the next round would be the same.
    return "" if _to_revise(panel, number) else "S3"


def _too_few(panel: Panel) -> str:
    """The rule by which a panel stops that has lost its quorum: for want of time or money, or of
    members.
    """
    return "S5" if panel.spent else "S6"


# --- Closed questions -----------------------------------------------------------------------


def _voting(panel: Panel) -> Next | None:
    """The sealed answers are the votes."""
    if panel.tallies:
        found = verdict(panel, 1)
        rule = {"consensus": "S2", "insufficient": "S6"}.get(found.outcome.value, "S4")
        return _stop(panel, rule, 1)
    given, most, found = answers(panel), votes(panel), verdict(panel, 1)
    return Tell(
        (
            RoundTallied(
                at=panel.table.now,
                discussion=panel.opened.discussion,
                round=1,
                ballots=len(given),
                answers={draft: answer.key for draft, answer in given.items()},
                winner=found.winner,
                rule="plurality" if found.winner else "none",
                margin=float(most.share),
                outcome=found.outcome.value,
            ),
        )
    )


# --- Reviews --------------------------------------------------------------------------------


def _reviewing(panel: Panel, number: int) -> Next | None:
    """Everybody whose draft counts reads all drafts, under letters of its own."""
    seats = panel.seats(number, Purpose.REVIEW, Purpose.REPAIR)
    if not seats:
        if panel.stop is not None:
            return None
        return _stop(panel, "S5", number) if panel.out_of_time else _reviews(panel, number)
    unread = [seat for seat in seats if seat.counts and seat.turn not in panel.read]
    if unread:
        return Tell(tuple(_read(panel, seat) for seat in unread))
    if panel.stop is None and (repairs := _repairs(panel, seats)):
        return Speak(repairs)
    if waiting := _waiting(seats):
        called_off = panel.stop is not None and panel.stop.rule in CALLED_OFF
        if panel.out_of_time or called_off:
            return Dismiss(waiting)
        rule = _early(panel, number, len(waiting))
        return (_stop(panel, rule, number) if rule else None) or Listen()
    return Tell((_tallied(panel, number),))


def _reviews(panel: Panel, number: int) -> Speak:
    shown = [panel.shown(draft, number) for draft in panel.drafts]
    wait = panel.patience
    return Speak(
        tuple(
            Call(
                participant=member,
                purpose=Purpose.REVIEW,
                round=number,
                labels=labels(shown, reviewer=reviewer, seed=panel.seed + number),
                patience=wait,
            )
            for reviewer, member in enumerate(sorted(panel.authors.values()))
        )
    )


def _repairs(panel: Panel, seats: list[Seat]) -> tuple[Call, ...]:
    """A ballot that could not be counted is asked for once more."""
    repaired = {seat.about for seat in seats}
    wait = panel.patience
    return tuple(
        Call(
            participant=seat.participant,
            purpose=Purpose.REPAIR,
            round=seat.round,
            labels=seat.labels,
            about=seat.turn,
            patience=wait,
        )
        for seat in seats
        if seat.turn in panel.rejected
        and not panel.rejected[seat.turn].abstains
        and seat.turn not in repaired
    )


def _read(panel: Panel, seat: Seat) -> ModeFact:
    """The ballot in a review, or why there is none."""
    drafts = {letter: panel.draft_of(turn) for letter, turn in seat.labels.items()}
    try:
        ballot = ballots.read(seat.text, str(seat.participant), drafts)
    except ballots.BadBallot as wrong:
        return BallotRejected(
            at=panel.table.now,
            discussion=panel.opened.discussion,
            turn=seat.turn,
            member=seat.participant,
            round=seat.round,
            reason=str(wrong),
            abstains=seat.purpose is Purpose.REPAIR or panel.stop is not None,
        )
    return BallotSubmitted(
        at=panel.table.now,
        discussion=panel.opened.discussion,
        turn=seat.turn,
        member=seat.participant,
        round=seat.round,
        ranking=list(ballot.ranking),
        scores=dict(ballot.scores),
        objections=[
            Objection(
                id=_objection(panel, seat, place),
                draft=each.draft,
                claim=each.claim,
                evidence=each.evidence,
                severity=each.severity,
            )
            for place, each in enumerate(ballot.objections)
        ],
    )


def _objection(panel: Panel, seat: Seat, place: int) -> str:
    """A name that does not tell whose it is: authors are shown it."""
    return "o" + _hash(f"{panel.seed}:{seat.turn}:{place}")[:8]


def _early(panel: Panel, number: int, waiting: int) -> str:
    """Why those who still review need not be waited for; empty: they must."""
    counted = panel.counted(number)
    if counted.ballots + waiting < panel.quorum:
        return "S5" if panel.out_of_money else "S6"
    # An objection to the leader that can still be answered may yet turn it: then it is no leader
    # that nobody can catch up with.
    answerable = number <= panel.opened.options.revisions and counted.blocking.get(counted.winner)
    sure = unassailable(counted, panel.drafts, waiting)
    return "S1" if counted.ballots >= panel.quorum and sure and not answerable else ""


def _tallied(panel: Panel, number: int) -> RoundTallied:
    counted = panel.counted(number)
    wins: dict[str, dict[str, int]] = {}
    for (one, other), count in counted.wins.items():
        wins.setdefault(one, {})[other] = count
    blocking: dict[str, list[str]] = {}
    for objection in panel.objections(number):
        if objection.severity == "blocking":
            blocking.setdefault(objection.draft, []).append(objection.id)
    return RoundTallied(
        at=panel.table.now,
        discussion=panel.opened.discussion,
        round=number,
        ballots=counted.ballots,
        winner=counted.winner,
        runner_up=counted.runner_up,
        rule=counted.rule,
        condorcet=counted.condorcet,
        borda=dict(counted.borda),
        wins=wins,
        margin=counted.margin,
        agreement=counted.agreement,
        needed=agreement.needed(counted.ballots, len(panel.drafts)),
        blocking=blocking,
        outcome=verdict(panel, number).outcome.value,
    )


# --- Revisions ------------------------------------------------------------------------------


def _to_revise(panel: Panel, number: int) -> list[str]:
    """The drafts whose authors may answer: the two that lead, and those that are objected to, where
    there is an objection to answer.
    """
    return [draft for draft in panel.drafts if panel.put_to(draft, number)]


def _revising(panel: Panel, number: int) -> Next | None:
    """Those asked say what they change and for which objection; then all are read again."""
    seats = panel.seats(number, Purpose.REVISION)
    if waiting := _waiting(seats):
        return Dismiss(waiting) if panel.out_of_time else Listen()
    untold = [seat for seat in seats if seat.turn not in panel.positions]
    if untold:
        return Tell(tuple(_position(panel, seat) for seat in untold))
    if not any(change.round == number for change in panel.changes):
        # Who was not heard has not said that it changes nothing.
        unheard = panel.spent and not all(seat.counts for seat in seats)
        return _stop(panel, "S5" if unheard else "S3", number - 1)
    return _reviewing(panel, number)


def _position(panel: Panel, seat: Seat) -> ModeFact:
    shown = {each.id for each in panel.put_to(seat.about, seat.round - 1)}
    read = revisions.read(seat.text, shown) if seat.counts else revisions.Kept(_absence(seat))
    if isinstance(read, revisions.Kept):
        return PositionKept(
            at=panel.table.now,
            discussion=panel.opened.discussion,
            turn=seat.turn,
            draft=seat.about,
            member=seat.participant,
            round=seat.round,
            reason=read.reason,
        )
    return PositionChanged(
        at=panel.table.now,
        discussion=panel.opened.discussion,
        turn=seat.turn,
        draft=seat.about,
        member=seat.participant,
        round=seat.round,
        cites=list(read.cites),
    )


def _absence(seat: Seat) -> str:
    return "It did not answer in time." if seat.overdue else "It did not answer."


def _waiting(seats: list[Seat]) -> tuple[str, ...]:
    return tuple(seat.turn for seat in seats if seat.awaited)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
