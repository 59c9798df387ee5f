"""What the log says of a panel so far: its drafts, its ballots, what was changed and why.

Everything here is read from facts and turns; nothing is decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cached_property

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
    Objection,
    PanelSealed,
    PositionChanged,
    PositionKept,
    RoundTallied,
    StopDecided,
)
from contracts.modes import Purpose, Role
from services.discussion.consensus import ballots, outcome, revisions
from services.discussion.consensus.tally import Tally, tally
from services.discussion.modes.table import Seat, Table, members, patience

PATIENCE = timedelta(minutes=15)
"""How long the others wait for a draft, a ballot, a revision or the synthesis, unless told."""


class Panel:
    """A consensus between two facts."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.opened = table.opened
        self.members = members(table.opened)

    @cached_property
    def seed(self) -> int:
        """Decides lots and orders; everybody can draw them again."""
        made = hashlib.sha256(self.opened.discussion.encode()).digest()[:4]
        return self.opened.options.seed or int.from_bytes(made)

    @property
    def quorum(self) -> int:
        """Drafts and ballots without which nothing is decided."""
        return self.opened.options.quorum or outcome.quorum(len(self.members))

    @property
    def patience(self) -> timedelta | None:
        """For a turn that begins now; nobody is waited for past the deadline."""
        usual = patience(self.opened, PATIENCE)
        if self.opened.deadline is None:
            return usual
        left = max(self.opened.deadline - self.table.now, timedelta())
        return left if usual is None else min(usual, left)

    @property
    def out_of_time(self) -> bool:
        deadline = self.opened.deadline
        return deadline is not None and self.table.now >= deadline

    @property
    def out_of_money(self) -> bool:
        return any(seat.unaffordable for seat in self.table.seats)

    @property
    def spent(self) -> bool:
        """Its time is up, or its budget is."""
        return self.out_of_time or self.out_of_money

    # --- What was said ----------------------------------------------------------------------

    @cached_property
    def sealed(self) -> PanelSealed | None:
        return next(iter(self.table.of(PanelSealed)), None)

    @cached_property
    def stop(self) -> StopDecided | None:
        return next(iter(self.table.of(StopDecided)), None)

    @cached_property
    def conclusion(self) -> ConsensusConcluded | None:
        return next(iter(self.table.of(ConsensusConcluded)), None)

    @cached_property
    def dissents(self) -> list[DissentRecorded]:
        return self.table.of(DissentRecorded)

    def seats(self, number: int, *purposes: Purpose) -> list[Seat]:
        """Turns of a round."""
        return [
            seat for seat in self.table.seats if seat.round == number and seat.purpose in purposes
        ]

    # --- Drafts -----------------------------------------------------------------------------

    @cached_property
    def drafts(self) -> list[str]:
        """Those that count, by the turns they were first given in."""
        return list(self.sealed.drafts) if self.sealed is not None else []

    @cached_property
    def authors(self) -> Mapping[str, int]:
        """Draft → member."""
        return {draft: self.table.seat(draft).participant for draft in self.drafts}

    @cached_property
    def changes(self) -> list[PositionChanged]:
        return self.table.of(PositionChanged)

    @cached_property
    def positions(self) -> set[str]:
        """Revisions whose end is told."""
        kept = self.table.of(PositionKept)
        return {fact.turn for fact in [*self.changes, *kept]}

    def shown(self, draft: str, number: int) -> str:
        """The turn whose words stand for a draft in a round: its own, or the last revision."""
        turns = [fact.turn for fact in self.changes if fact.draft == draft and fact.round <= number]
        return turns[-1] if turns else draft

    def draft_of(self, turn: str) -> str:
        """The draft that a shown turn stands for."""
        return next((fact.draft for fact in self.changes if fact.turn == turn), turn)

    def words(self, turn: str) -> str:
        """What a shown turn says: a draft, or the draft in a revision."""
        text = self.table.seat(turn).text
        change = next((fact for fact in self.changes if fact.turn == turn), None)
        if change is None:
            return text
        read = revisions.read(text, change.cites)
        return read.draft if isinstance(read, revisions.Changed) else text

    # --- Ballots ----------------------------------------------------------------------------

    @cached_property
    def _ballots(self) -> list[BallotSubmitted]:
        return self.table.of(BallotSubmitted)

    def ballots(self, number: int) -> list[BallotSubmitted]:
        return [ballot for ballot in self._ballots if ballot.round == number]

    @cached_property
    def rejected(self) -> Mapping[str, BallotRejected]:
        """By the turn."""
        return {fact.turn: fact for fact in self.table.of(BallotRejected)}

    @cached_property
    def read(self) -> set[str]:
        """Reviews that were counted or rejected."""
        return {ballot.turn for ballot in self._ballots} | set(self.rejected)

    @cached_property
    def tallies(self) -> list[RoundTallied]:
        return self.table.of(RoundTallied)

    @property
    def rounds(self) -> int:
        """How many are counted."""
        return len(self.tallies)

    def counted(self, number: int) -> Tally:
        """What the ballots of a round say, as of now."""
        return tally(
            self.drafts,
            [_ballot(fact) for fact in self.ballots(number)],
            authors={draft: str(member) for draft, member in self.authors.items()},
            seed=self.seed,
        )

    # --- Objections -------------------------------------------------------------------------

    def objections(self, number: int) -> list[Objection]:
        """Of a round; in an order that does not tell whose they are."""
        every = [each for ballot in self.ballots(number) for each in ballot.objections]
        return sorted(every, key=lambda each: each.id)

    def put_to(self, draft: str, number: int) -> list[Objection]:
        """What the author of a draft is shown after a round: the objections to it. Who wrote one of
        the two leading drafts is shown those to the other one, too.
        """
        counted = self.counted(number)
        leading = {counted.winner, counted.runner_up}
        about = leading if draft in leading else {draft}
        return [each for each in self.objections(number) if each.draft in about]

    def blocking(self) -> Iterable[tuple[BallotSubmitted, Objection]]:
        """All blocking objections, with the ballots that they stand in."""
        for ballot in self._ballots:
            for objection in ballot.objections:
                if objection.severity == "blocking":
                    yield ballot, objection

    def answer_to(self, objection: Objection) -> PositionChanged | None:
        """The change of its draft that names it."""
        return next(
            (
                fact
                for fact in self.changes
                if fact.draft == objection.draft and objection.id in fact.cites
            ),
            None,
        )

    def unresolved(self, number: int) -> list[tuple[BallotSubmitted, Objection]]:
        """Blocking objections that stand against the drafts as they were in a round. One is
        resolved once its draft was changed for it by then, and who raised it has read the change
        and objects to the draft no more.
        """
        return [each for each in self.blocking() if not self._resolved(*each, number)]

    def _resolved(self, ballot: BallotSubmitted, objection: Objection, number: int) -> bool:
        change = self.answer_to(objection)
        if change is None or change.round > number:
            return False
        again = [each for each in self.ballots(change.round) if each.member == ballot.member]
        return bool(again) and not any(
            each.draft == objection.draft and each.severity == "blocking"
            for each in again[0].objections
        )

    # --- People -----------------------------------------------------------------------------

    def chair(self, winner: str) -> int:
        """Who writes the synthesis: the chair, or else the winner's author."""
        chairs = self.table.those(Role.CHAIR)
        if chairs:
            return chairs[0]
        return self.authors.get(winner, self.members[0])

    def names(self) -> list[str]:
        """Everything that could tell who wrote a draft."""
        found = [
            name
            for who in self.opened.participants
            for name in (who.name, who.persona, who.model, who.model.partition("/")[2])
        ]
        return list(dict.fromkeys(filter(None, found)))


def _ballot(fact: BallotSubmitted) -> ballots.Ballot:
    return ballots.Ballot(
        reviewer=str(fact.member),
        ranking=tuple(fact.ranking),
        scores=fact.scores,
        objections=tuple(
            ballots.Objection(each.draft, each.claim, each.evidence, each.severity)
            for each in fact.objections
        ),
    )
