"""A consensus: sealed drafts, blind reviews, a count, at most one or two revisions, a synthesis.

Independent drafts and votes keep the unusual idea alive; talking until everybody agrees does not.
So nobody sees a draft before all are sealed, nobody learns whose it is or how others have voted,
only an argument changes a draft, and whoever stands against the result is on record.
"""

from __future__ import annotations

from contracts.attempts import Message, Parameters
from contracts.discussion_events import DiscussionOpened
from contracts.modes import Purpose, Role
from services.discussion.modes.consensus import bounds, course, prompts
from services.discussion.modes.consensus.ending import ending
from services.discussion.modes.consensus.panel import Panel
from services.discussion.modes.table import (
    Call,
    Finish,
    Listen,
    Next,
    Planned,
    Seat,
    Speak,
    Table,
    members,
)


class Consensus:
    """One protocol, once; what people say after its end is answered by one voice."""

    def next(self, table: Table) -> Next:
        panel = Panel(table)
        if panel.conclusion is not None:
            return _afterwards(panel)
        if panel.sealed is None:
            return course.drafting(panel)
        return course.rounds(panel) or ending(panel)

    def messages(self, table: Table, seat: Seat) -> list[Message]:
        return prompts.messages(Panel(table), seat)

    def parameters(self, table: Table, seat: Seat, usual: Parameters) -> Parameters:
        return bounds.parameters(table.opened, seat, usual)

    def plan(self, opened: DiscussionOpened) -> list[list[Planned]]:
        """At most: each revision asks everybody, and everybody reads all drafts again."""
        who = members(opened)
        alone = [Planned(participant=at) for at in who]
        if opened.options.closed:
            return [alone, [_chair(opened)]]
        again = [Planned(participant=at, reads=1) for at in who]
        reviews = [Planned(participant=at, reads=len(who)) for at in who]
        revisions = [again, reviews] * opened.options.revisions
        return [alone, reviews, *revisions, [_chair(opened)]]

    def hears(self, table: Table) -> bool:
        """Not while the members work apart from each other."""
        return table.over or Panel(table).conclusion is not None


def _chair(opened: DiscussionOpened) -> Planned:
    who = members(opened)
    chairs = [at for at, each in enumerate(opened.participants) if each.role is Role.CHAIR]
    return Planned(participant=[*chairs, *who][0], reads=len(who))


def _afterwards(panel: Panel) -> Next:
    """A turn tried again is kept and changes nothing; a message is answered by the chair."""
    assert panel.conclusion is not None
    if panel.conclusion.run == panel.table.run:
        return Finish()
    seats, posts = panel.table.seats, len(panel.table.posts)
    answering = any(seat.awaited and seat.purpose is Purpose.ANSWER for seat in seats)
    if not answering and posts > max(seat.posts for seat in seats):
        leader = next(iter(panel.conclusion.leaders), "")
        return Speak((Call(participant=panel.chair(leader), patience=panel.patience),))
    return Listen() if any(seat.awaited for seat in seats) else Finish()
