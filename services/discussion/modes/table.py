"""What a mode sees of its discussion, and what it may answer. No mode sees anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, TypeVar

from contracts.attempts import Message, Parameters
from contracts.deliberation import DiscussionFact, MessagePosted, ModeFact
from contracts.discussion_events import DiscussionOpened
from contracts.modes import Purpose, Role

F = TypeVar("F", bound=DiscussionFact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One turn, as a mode sees it."""

    turn: str
    participant: int
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Letter → turn that is shown under it."""
    posts: int = 0
    """Messages of people that it has heard."""
    about: str = ""
    """The turn that it repairs or revises."""
    ended: bool = False
    completed: bool = False
    overdue: bool = False
    """It has been waited for long enough."""
    text: str = ""
    """What it said, once it is complete."""
    unaffordable: bool = False
    """It was not sent: its budget is used up."""
    requests: int = 0
    unsettled: int = 0
    """Of these, requests whose end is not known: still being answered, or given up."""
    tokens: int = 0
    """Of all its requests, as far as they are known."""
    cost: Decimal | None = Decimal(0)
    """The same in USD; None where a price is not known."""

    @property
    def awaited(self) -> bool:
        """It speaks, or will, and nobody has lost patience yet."""
        return not self.ended and not self.overdue

    @property
    def counts(self) -> bool:
        """It was complete in time."""
        return self.completed and not self.overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A discussion between two facts."""

    opened: DiscussionOpened
    seats: Sequence[Seat]
    """In the order in which they were scheduled."""
    facts: Sequence[ModeFact]
    """Everything that is not a turn's own, in order."""
    run: int
    now: datetime
    over: bool = False
    """Its run has ended."""

    @property
    def posts(self) -> Sequence[MessagePosted]:
        return self.of(MessagePosted)

    def of(self, kind: type[F]) -> list[F]:
        """The facts of one kind, in order."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def seat(self, turn: str) -> Seat:
        return next(seat for seat in self.seats if seat.turn == turn)

    def those(self, role: Role) -> list[int]:
        """Participants in that role, by their index."""
        found = enumerate(self.opened.participants)
        return [index for index, each in found if each.role is role]

    def name(self, participant: int) -> str:
        """How the others call a participant; one without a persona is called by its model."""
        who = self.opened.participants[participant]
        alike = [
            index
            for index, each in enumerate(self.opened.participants)
            if each.role is who.role and (each.name or each.model) == (who.name or who.model)
        ]
        name = who.name or who.model
        return name if len(alike) == 1 else f"{name} ({alike.index(participant) + 1})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Somebody is to speak."""

    participant: int
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    about: str = ""
    patience: timedelta | None = None
    """The others wait no longer; None: as long as it takes."""


@dataclass(frozen=True, slots=True)
class Speak:
    """These speak next, at the same time."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """These facts follow; the mode is asked again after them."""

    facts: tuple[ModeFact, ...]


@dataclass(frozen=True, slots=True)
class Dismiss:
    """These turns are no longer needed: they are cancelled; the mode is asked again."""

    turns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listen:
    """Somebody is still speaking, or waits to."""


@dataclass(frozen=True, slots=True)
class Finish:
    """It is over. Whether it failed or not, and who did, follows from the turns."""


Next = Speak | Tell | Dismiss | Listen | Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A turn that a mode will probably ask for: what an estimate is made of."""

    participant: int
    reads: int = 0
    """Answers of others that it reads, each as long as an answer may be at most."""


class Process(Protocol):
    """A mode: pure functions of the table."""

    def next(self, table: Table) -> Next:
        """What happens now."""
        ...

    def messages(self, table: Table, seat: Seat) -> list[Message]:
        """What the one who speaks is sent, without the persona's own prompt."""
        ...

    def parameters(self, table: Table, seat: Seat, usual: Parameters) -> Parameters:
        """How it is to answer."""
        ...

    def plan(self, opened: DiscussionOpened) -> list[list[Planned]]:
        """The turns to come, one list for each stage that begins when the one before has ended."""
        ...

    def hears(self, table: Table) -> bool:
        """Whether a person may say something now."""
        ...


def patience(opened: DiscussionOpened, usual: timedelta | None = None) -> timedelta | None:
    """How long the others wait for a turn."""
    wished = opened.options.patience
    return timedelta(seconds=wished) if wished else usual


def members(opened: DiscussionOpened) -> list[int]:
    """Those who speak for themselves, by their index."""
    return [at for at, each in enumerate(opened.participants) if each.role is Role.MEMBER]
