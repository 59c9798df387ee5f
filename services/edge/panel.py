"""A whole panel behind one model's name: `panel/consensus`, `panel/parallel`, `panel/debate`.

What the members say while they work is told as reasoning; what comes out of it is the answer.
Members may be named after a colon, by their personas: `panel/debate:riley-engstrom,ines-duarte`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
    PanelSealed,
    Point,
    RoundTallied,
    TurnOverdue,
)
from contracts.discussion import WantedParticipant
from contracts.discussion_events import (
    DISCUSSION_EVENTS,
    DiscussionCompleted,
    DiscussionFailed,
    DiscussionOpened,
    Participant,
    TurnCompleted,
    TurnFailed,
    TurnParked,
    TurnScheduled,
    TurnWaiting,
)
from contracts.failures import Failure, Invalid, NotFound
from contracts.modes import Mode, Purpose, Role, passes
from contracts.stream import ChunkKind, Usage, UsageStatus
from services.edge.completion import NOTHING, Completing
from services.edge.feed import Fact, Output
from services.edge.openai_words import DONE, failure_of, usage_of

PANEL = "panel/"
MODES = (Mode.CONSENSUS, Mode.PARALLEL, Mode.DEBATE)
NAMES = tuple(f"{PANEL}{mode.value}" for mode in MODES)

USUAL = ("riley-engstrom", "morgan-castellano", "ines-duarte", "tomas-lindqvist")
"""Who is asked where nobody is named."""

PATIENCE = 600
"""Seconds that the others wait for one member: a client does not wait for ever."""

DOES: dict[Purpose, str] = {
    Purpose.ANSWER: "says",
    Purpose.DRAFT: "drafts",
    Purpose.REVISION: "revises",
    Purpose.MODERATION: "moderates",
}
"""What is told of a turn while it is no part of the answer; ballots tell themselves."""


def lineup(name: str) -> tuple[Mode, list[WantedParticipant]]:
    """The mode and the members that `panel/<mode>[:slug,slug]` stands for."""
    mode, _, told = name.removeprefix(PANEL).partition(":")
    if mode not in {each.value for each in MODES}:
        raise NotFound(
            f"There is no panel called {name[:100]!r}.",
            slug="unknown-model",
            nearest=list(NAMES),
            next_step=f"There are {', '.join(NAMES)}.",
        )
    slugs = [slug.strip() for slug in told.split(",")] if told else list(USUAL)
    if not all(slugs):
        raise Invalid(
            "A panel's members are named by their personas, with commas between them.",
            errors=[{"field": "model", "message": "e.g. panel/debate:riley-engstrom,ines-duarte"}],
            next_step="GET /api/v1/personas lists them.",
        )
    members = [WantedParticipant(persona=slug) for slug in slugs]
    if mode == Mode.DEBATE:
        # Somebody has to say what came out of it.
        members.append(WantedParticipant(role=Role.MODERATOR))
    return Mode(mode), members


class Panel(Completing):
    """Follows a discussion of many turns; see Completing."""

    def __init__(self, id: str, created: int, model: str, *, with_usage: bool) -> None:
        super().__init__(id, created, model, with_usage=with_usage)
        self._model = model
        self._who: list[Participant] = []
        self._mode = Mode.PARALLEL
        self._turns: dict[str, TurnScheduled] = {}
        self._missing: dict[int, str] = {}
        """Participant → why."""
        self._told_to_wait: set[str] = set()
        self._answer: list[str] = []
        self._process: list[str] = []
        self._dissents: list[str] = []
        self._moderated = ""
        self._contributions: dict[int, str] = {}
        """Participant of a debate → what it said last."""
        self._failure: Failure | None = None
        self._used = Usage(status=UsageStatus.MEASURED)

    def _tell(self, item: Output) -> Iterator[bytes]:
        if self.result.done() or not isinstance(item, Fact):
            return
        yield from self._happen(DISCUSSION_EVENTS.decode(item.data))

    def _happen(self, event: object) -> Iterator[bytes]:
        match event:
            case DiscussionOpened(mode=mode, participants=participants):
                self._mode, self._who = mode, participants
            case TurnScheduled(turn=turn):
                self._turns[turn] = event
                if event.purpose is Purpose.MODERATION:
                    self._moderated = ""
            case TurnWaiting(turn=turn) | TurnParked(turn=turn):
                yield from self._waits(turn, event.failure)
            case TurnFailed(turn=turn, failure=failure):
                self._failure = failure
                self._missing[self._turns[turn].participant] = failure.title
            case TurnOverdue(turn=turn):
                self._missing[self._turns[turn].participant] = "It took too long."
            case TurnCompleted():
                yield from self._said_by(event)
            case DiscussionCompleted():
                yield from self._complete_panel()
            case DiscussionFailed():
                yield self._fail(NOTHING if self._failure is None else failure_of(self._failure))
            case _:
                yield from self._counted(event)

    def _said_by(self, turn: TurnCompleted) -> Iterator[bytes]:
        self._used = _sum(self._used, turn.usage)
        called = self._turns[turn.turn]
        name = self._name(turn.turn)
        self._missing.pop(called.participant, None)
        if self._mode is Mode.PARALLEL:
            heading = f"## {name}\n\n{turn.text.strip()}\n\n"
            self._answer.append(heading)
            yield from self._say(ChunkKind.TEXT, heading)
            return
        if called.purpose is Purpose.MODERATION:
            self._moderated = turn.text
        elif self._mode is Mode.DEBATE and not passes(turn.text):
            self._contributions[called.participant] = turn.text
        if (does := DOES.get(called.purpose)) is not None:
            yield from self._aside(f"**{name}** {does}:\n\n{turn.text.strip()}")

    def _counted(self, event: object) -> Iterator[bytes]:
        match event:
            case PanelSealed(drafts=drafts):
                yield from self._aside(f"{len(drafts)} drafts are sealed; now they are reviewed.")
            case BallotSubmitted(turn=turn):
                yield from self._aside(f"**{self._name(turn)}** has voted.")
            case BallotRejected(turn=turn, reason=reason, abstains=abstains):
                then = "It abstains." if abstains else "It is asked once more."
                told = f"The ballot of **{self._name(turn)}** cannot be counted: {reason} {then}"
                yield from self._aside(told)
            case RoundTallied(winner=winner, ballots=ballots, rule=rule) if winner:
                told = (
                    f"{ballots} ballots; ahead is the draft of **{self._name(winner)}** ({rule})."
                )
                yield from self._aside(told)
            case ConsensusConcluded():
                self._answer.append(conclusion(event, self._name, self._dissents))
            case DissentRecorded(member=member, claim=claim) if claim:
                self._dissents.append(f"- {' '.join(claim.split())} ({self._called(member)})")
                yield from self._aside(f"**{self._called(member)}** dissents: {claim}")
            case _:
                pass

    def _complete_panel(self) -> Iterator[bytes]:
        if self._mode is Mode.DEBATE:
            self._answer.append(self._moderated or self._unmoderated())
        if self._missing:
            left = "; ".join(f"{self._called(at)}: {why}" for at, why in self._missing.items())
            self._answer.append(f"\n\n_Without {left}_")
        whole = "".join(self._answer)
        yield from self._rest(ChunkKind.TEXT, whole)
        yield self._pieces.last("stop")
        if self._with_usage:
            yield self._pieces.usage(usage_of(self._used))
        yield DONE
        self.result.set_result(
            TurnCompleted(
                at=datetime.now(UTC),
                discussion=self._id.removeprefix("chatcmpl-"),
                turn="",
                attempt="",
                model=self._model,
                finish_reason="stop",
                usage=self._used,
                text=whole,
                reasoning="".join(self._process),
            )
        )

    def _unmoderated(self) -> str:
        """What everybody said last, where nobody has summed it up."""
        said = [
            f"## {self._called(at)}\n\n{text.strip()}" for at, text in self._contributions.items()
        ]
        return "\n\n".join(said) or "They had nothing to say."

    def _waits(self, turn: str, failure: Failure | None) -> Iterator[bytes]:
        """Told once for each turn: a countdown is no part of an answer."""
        if failure is not None and turn not in self._told_to_wait:
            self._told_to_wait.add(turn)
            yield from self._aside(f"**{self._name(turn)}** waits: {failure.title}.")

    def _aside(self, told: str) -> Iterator[bytes]:
        text = f"{told}\n\n"
        self._process.append(text)
        yield from self._say(ChunkKind.REASONING, text)

    def _name(self, turn: str) -> str:
        return self._called(self._turns[turn].participant)

    def _called(self, participant: int) -> str:
        who = self._who[participant]
        return who.name or who.model


def conclusion(
    told: ConsensusConcluded, name: Callable[[str], str], dissents: Sequence[str]
) -> str:
    """The outcome in Markdown: what it is called, the synthesis, and what stands against it."""
    lines = [f"**Outcome: {told.outcome.value}.**", told.text.strip()]
    for heading, points in (
        ("Agreed", told.agreed),
        ("Contested", told.contested),
        ("Worth knowing, said by one", told.unique),
    ):
        if points:
            lines.append("\n".join([f"### {heading}", *(_bullet(each, name) for each in points)]))
    if dissents:
        lines.append("\n".join(["### Dissent", *dissents]))
    lines += [f"_{note}_" for note in told.notes]
    return "\n\n".join(filter(None, lines))


def _bullet(point: Point, name: Callable[[str], str]) -> str:
    whose = ", ".join(name(draft) for draft in point.drafts)
    return f"- {point.text}" + (f" ({whose})" if whose else "")


def _sum(one: Usage, other: Usage) -> Usage:
    measured = {one.status, other.status} == {UsageStatus.MEASURED}
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        status=UsageStatus.MEASURED if measured else UsageStatus.ESTIMATED,
    )
