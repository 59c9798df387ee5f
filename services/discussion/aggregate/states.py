"""Where a discussion stands, as far as a decision needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contracts.deliberation import ModeFact
from contracts.discussion_events import DiscussionOpened
from contracts.failures import Failure, FailureClass
from services.discussion.modes.table import Seat


@dataclass(frozen=True, slots=True)
class Due:
    """May be attempted, now or once its wait is over."""

    reason: str = ""
    until: datetime | None = None
    """What people were told."""


@dataclass(frozen=True, slots=True)
class Running:
    attempt: str
    trial: bool = False
    resumed: bool = False
    """It goes on from what an earlier attempt had said."""


@dataclass(frozen=True, slots=True)
class Parked:
    gate: str
    told: str = ""
    """What is told anew when it changes: how much an account has."""

    @classmethod
    def behind(cls, gate: str, failure: Failure) -> Parked:
        billed = failure.class_ is FailureClass.BILLING
        return cls(gate, failure.detail if billed else "")


@dataclass(frozen=True, slots=True)
class Ended:
    completed: bool


Phase = Due | Running | Parked | Ended


@dataclass(frozen=True, slots=True)
class Turn:
    id: str
    participant: int
    model: str
    phase: Phase = Due()
    sent: int = 0
    """Requests that were made, or may have been."""
    failures: tuple[FailureClass, ...] = ()
    """Of this turn, snoozes not counted."""
    snoozes: int = 0
    prefix: str = ""
    """What was heard of its answer before it broke off, and stands: the next attempt goes on."""
    seat: Seat = Seat(turn="", participant=0)
    """What its mode knows of it, but for how it ended."""


@dataclass(frozen=True, slots=True)
class NotOpened: ...


@dataclass(frozen=True, slots=True)
class Going:
    opened: DiscussionOpened
    turns: Mapping[str, Turn] = field(default_factory=dict[str, Turn])
    run: int = 1
    facts: tuple[ModeFact, ...] = ()
    """What is not a turn's own; the mode makes of it what it will."""

    @property
    def id(self) -> str:
        return self.opened.discussion


@dataclass(frozen=True, slots=True)
class Over:
    opened: DiscussionOpened
    turns: Mapping[str, Turn] = field(default_factory=dict[str, Turn])
    run: int = 1
    facts: tuple[ModeFact, ...] = ()

    @property
    def id(self) -> str:
        return self.opened.discussion


@dataclass(frozen=True, slots=True)
class Deleted: ...


Discussion = NotOpened | Going | Over | Deleted
