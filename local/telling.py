"""What there is to tell of a discussion, fact by fact: what each says, what people say into it, its
rounds, and of a consensus what follows.

Members are named here, for who watches; the members themselves never learn who wrote what.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
    MessagePosted,
    Outcome,
    PanelSealed,
    Point,
    PositionChanged,
    PositionKept,
    RoundTallied,
    StopDecided,
    TurnOverdue,
    WinnerPicked,
)
from contracts.discussion_events import (
    DISCUSSION_EVENTS,
    DiscussionOpened,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnScheduled,
)
from contracts.event import Event
from contracts.modes import Mode, Purpose
from local.api import Sent
from local.logbook import harmless
from local.viewing import Discussion

DOES = {
    Purpose.DRAFT: "drafts",
    Purpose.REVIEW: "reviews",
    Purpose.REPAIR: "votes once more",
    Purpose.REVISION: "revises",
    Purpose.SYNTHESIS: "writes the common answer",
    Purpose.ANSWER: "answers",
    Purpose.MODERATION: "moderates",
    Purpose.JUDGEMENT: "compares",
}

ASIDE = frozenset({Purpose.REVIEW, Purpose.REPAIR, Purpose.SYNTHESIS})
"""Told by the facts that follow from them, not word by word."""

RULES = {
    "S1": "nobody can catch up with the leader",
    "S2": "they agree",
    "S3": "nothing moves any more",
    "S4": "no revision is left",
    "S5": "time or budget is used up",
    "S6": "too few are left",
    "rounds": "that was the last one",
    "nothing new": "nobody has anything new to say",
    "posted": "the last message has been answered",
    "by hand": "somebody ended it",
}

STYLES = {
    Outcome.CONSENSUS: "green",
    Outcome.MAJORITY: "cyan",
    Outcome.SPLIT: "yellow",
    Outcome.INSUFFICIENT: "red",
}

_SHOWN = 160
"""Characters of an answer that is still being written."""
_NAMES = {cls.__name__ for cls in DISCUSSION_EVENTS.classes}


class Watching:
    """What there is to show, fact by fact."""

    def __init__(self, *, answers: bool = True) -> None:
        self.discussion = Discussion()
        self.concluded = False
        self._answers = answers
        """Whether to tell what each turn came to; whoever shows the answers already, need not."""
        self._mode = Mode.SINGLE
        self._round = 0
        self._called: dict[str, TurnScheduled] = {}
        self._who: list[str] = []

    def see(self, sent: Sent) -> Iterator[RenderableType]:
        """Take one event in; what is to be said of it for good."""
        self.discussion.see(sent)
        if sent.name in _NAMES:
            event = DISCUSSION_EVENTS.read(msgspec.json.decode(sent.data, type=dict[str, Any]))
            yield from self._happen(event)

    def running(self) -> RenderableType:
        """Who is at work just now."""
        lines: list[RenderableType] = []
        for turn in self.discussion.turns.values():
            if turn.settled or turn.id not in self._called:
                continue
            said = " ".join(harmless(turn.text).split())[-_SHOWN:] or turn.note or "…"
            lines.append(Text(f"{self._doing(turn.id)}: {said}", style="dim", overflow="ellipsis"))
        return Group(*lines)

    def _happen(self, event: Event) -> Iterator[RenderableType]:  # noqa: C901, PLR0912 - one each
        match event:
            case DiscussionOpened(mode=mode, participants=participants):
                self._mode = mode
                self._who = [each.name or each.persona or each.model for each in participants]
            case TurnScheduled(turn=turn, round=number):
                self._called[turn] = event
                if self._mode is Mode.DEBATE and number > self._round:
                    self._round = number
                    yield _line(f"Round {number}", "bold")
            case MessagePosted(text=text):
                yield _line(f"From the room: {text}", "blue")
            case WinnerPicked(turn=turn):
                yield _line(f"The answer of {self._name(turn)} was picked.", "bold")
            case TurnCompleted() | TurnFailed() | TurnCancelled() if not self._answers:
                pass
            case TurnCompleted(turn=turn, text=text):
                if self._called[turn].purpose not in ASIDE:
                    title = escape(self._doing(turn))
                    yield Panel(Text(harmless(text).strip()), title=title, border_style="dim")
            case TurnFailed(turn=turn, failure=failure):
                yield _line(f"{self._name(turn)} did not answer: {failure.title}.", "red")
            case TurnOverdue(turn=turn):
                yield _line(f"{self._name(turn)} is not waited for any longer.", "yellow")
            case TurnCancelled(turn=turn):
                yield _line(f"{self._name(turn)} is not needed any more.", "dim")
            case StopDecided(rule=rule):
                yield _line(f"No further round: {RULES.get(rule, rule)}.", "bold")
            case _:
                yield from self._vote(event)

    def _vote(self, event: Event) -> Iterator[RenderableType]:
        """Of a consensus."""
        match event:
            case PanelSealed(drafts=drafts):
                yield _line(f"{len(drafts)} drafts are sealed. Now each is read without a name.")
            case BallotSubmitted(turn=turn, ranking=ranking, objections=objections):
                order = ", ".join(self._name(draft) for draft in ranking)
                yield _line(f"{self._name(turn)} has voted: {order}.")
                for each in objections:
                    yield _line(f"  objects ({each.severity}) to {self._name(each.draft)}: "
                                f"{each.claim}", "dim")  # fmt: skip
            case BallotRejected(turn=turn, reason=reason, abstains=abstains):
                then = "It abstains." if abstains else "It is asked once more."
                told = f"The ballot of {self._name(turn)} cannot be counted. {reason} {then}"
                yield _line(told, "yellow")
            case PositionChanged(turn=turn, cites=cites):
                count = f"{len(cites)} objection{'s' if len(cites) > 1 else ''}"
                yield _line(f"{self._name(turn)} has changed its draft for {count}.")
            case PositionKept(turn=turn, reason=reason):
                yield _line(f"{self._name(turn)} keeps its draft. {reason}")
            case RoundTallied(ballots=ballots, winner=winner, rule=rule):
                ahead = f"ahead is {self._name(winner)} ({rule})" if winner else "nobody is ahead"
                yield _line(f"{ballots} counted; {ahead}.", "bold")
            case DissentRecorded(member=member, kind=kind, claim=claim):
                yield _line(f"On record ({kind}), {self._who[member]}: {claim}", "magenta")
            case ConsensusConcluded():
                self.concluded = True
                yield self._conclusion(event)
            case _:
                pass

    def _conclusion(self, told: ConsensusConcluded) -> RenderableType:
        parts: list[RenderableType] = [Text(harmless(told.text).strip() or "There is no answer.")]
        for heading, points in (
            ("Agreed", told.agreed),
            ("Contested", told.contested),
            ("Said by one, and worth knowing", told.unique),
        ):
            if points:
                parts += [Text(f"\n{heading}", style="bold"), *map(self._point, points)]
        parts += [Text(f"\n{harmless(note)}", style="italic") for note in told.notes]
        parts.append(Text(f"\n{self._measures(told)}", style="dim"))
        style = STYLES[told.outcome]
        return Panel(Group(*parts), title=f"Outcome: {told.outcome.value}", border_style=style)

    def _point(self, point: Point) -> Text:
        whose = ", ".join(self._name(draft) for draft in point.drafts)
        return Text(f"- {harmless(point.text)} ({whose})")

    def _measures(self, told: ConsensusConcluded) -> str:
        told_of = told.metrics
        parts = [f"{told_of.requests} requests", f"{told_of.tokens} tokens"]
        if told_of.cost:
            parts.append(f"${told_of.cost}")
        if told_of.agreement is not None:
            parts.append(f"agreement {told_of.agreement:.2f}")
        if told.agreed or told.unique or told.contested:
            parts.append(f"{told_of.kept} ideas kept, {told_of.dropped} dropped")
        return ", ".join(parts)

    def _doing(self, turn: str) -> str:
        return f"{self._name(turn)} {DOES.get(self._called[turn].purpose, 'speaks')}"

    def _name(self, turn: str) -> str:
        return self._who[self._called[turn].participant]


def _line(text: str, style: str = "") -> Text:
    return Text(harmless(text), style=style)
