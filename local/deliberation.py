"""A discussion in the terminal as it happens: what each says, and of a consensus what follows.

Members are named here, for who watches; the members themselves never learn who wrote what.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
    Outcome,
    PanelSealed,
    Point,
    PositionChanged,
    PositionKept,
    RoundTallied,
    StopDecided,
    TurnOverdue,
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
from local.api import Api, Sent
from local.ask import in_words
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


_OTHERS = {Mode.DEBATE: "moderator", Mode.COMPARE: "judge", Mode.CONSENSUS: "chair"}
_USUAL = ("riley-engstrom", "morgan-castellano")


def wish(
    topic: str,
    mode: Mode,
    personas: tuple[str, ...],
    models: tuple[str, ...],
    *,
    rounds: int = 0,
    other: str = "",
) -> dict[str, Any]:
    """As `POST /api/v1/discussions` takes it. Models are dealt out to the personas in turn."""
    body: dict[str, Any] = {"topic": topic, "mode": mode.value}
    if mode is Mode.COMPARE and not personas:
        body["models"] = list(models)
    else:
        who = personas or _USUAL
        body["participants"] = [
            {"persona": slug} | ({"model": models[at % len(models)]} if models else {})
            for at, slug in enumerate(who)
        ]
    if rounds:
        body["options"] = {"rounds": rounds}
    if other:
        body[_OTHERS.get(mode, "moderator")] = {"persona": other}
    return body


async def deliberate(api: Api, body: dict[str, Any], console: Console) -> int:
    """Open it and watch until the end. The exit status is 0 once it has come to one: an outcome,
    whatever it is, or answers.
    """
    opened = await api.post("/api/v1/discussions", body)
    if words := in_words(opened.get("estimate")):
        console.print(escape(words), style="dim")
    watching = Watching(console)
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        async for sent in api.events(str(opened["id"])):
            for told in watching.see(sent):
                live.console.print(told)
            live.update(watching.running())
            if watching.discussion.parked:
                break
    if watching.concluded or watching.discussion.state == "completed":
        return 0
    state = "parked" if watching.discussion.parked else watching.discussion.state
    print(f"The discussion {opened['id']} is {state}.", file=sys.stderr)  # noqa: T201
    return 1


class Watching:
    """What there is to show, fact by fact."""

    def __init__(self, console: Console) -> None:
        self.discussion = Discussion()
        self.concluded = False
        self._console = console
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
            case DiscussionOpened(participants=participants):
                self._who = [each.name or each.persona or each.model for each in participants]
            case TurnScheduled(turn=turn):
                self._called[turn] = event
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
            case StopDecided(rule=rule):
                yield _line(f"No further round: {RULES.get(rule, rule)}.", "bold")
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
