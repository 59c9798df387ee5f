"""What a discussion may be told to do: by the service, by the adapter's answers and by people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contracts.discussion_events import DiscussionOpened
from contracts.failures import Failure
from contracts.prices import Cost
from contracts.stream import ProviderError, StreamCompleted, Usage


@dataclass(frozen=True, slots=True)
class Open:
    opened: DiscussionOpened


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """The permit is there: the request is about to be made."""

    turn: str
    attempt: str
    endpoint: str
    key: str = ""
    key_version: int = 0
    trial: bool = False
    """It goes to see whether a failing provider is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBack:
    """Admission said not now."""

    turn: str
    reason: str
    not_before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkTurn:
    """A gate is closed: nothing is sent until it opens."""

    turn: str
    gate: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It can never be attempted: nothing is sent, and the turn fails."""

    turn: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Hear:
    """The adapter says how an attempt ended."""

    outcome: StreamCompleted | ProviderError
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAttempt:
    """Nobody works on the attempt any more; `text` is what had been heard."""

    turn: str
    attempt: str
    reason: str
    text: str = ""
    reasoning: str = ""
    usage: Usage = Usage()
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What an attempt has said so far."""

    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    by: str = ""
    heard: Mapping[str, Heard] = field(default_factory=dict[str, Heard])
    """Attempt → what is kept of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A person wants the turn tried again."""

    turn: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """A person says something; what is over goes on."""

    message: str
    text: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """A person wants no further round: what is being said is still heard, then it ends."""

    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LosePatience:
    """The turn was waited for long enough."""

    turn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    title: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """What was said is to be gone; what runs is cancelled first."""

    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A person names the best answer."""

    turn: str
    by: str = ""


Command = (
    Open
    | StartAttempt
    | HoldBack
    | ParkTurn
    | Refuse
    | Hear
    | CutAttempt
    | Cancel
    | Retry
    | Say
    | Conclude
    | LosePatience
    | Pick
    | Rename
    | Delete
)
