"""What may be asked of discussions, `parley.cmd.discussion.<verb>`, and what is answered."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from contracts.attempts import Message, Parameters
from contracts.deliberation import ConsensusConcluded, DissentRecorded, Lineage, RoundTallied
from contracts.discussion_events import Participant
from contracts.failures import Failure
from contracts.modes import Mode, Options, Purpose, Role
from contracts.prices import Cost, Price
from contracts.stream import Usage


class DiscussionState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    """Nothing runs, something will by itself at a known time."""
    PARKED = "parked"
    """Nothing runs until somebody mends something."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TurnState(StrEnum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    WAITING = "waiting"
    PARKED = "parked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WantedParticipant(Struct, frozen=True, kw_only=True):
    persona: str | None = None
    model: str | None = None
    role: Role = Role.MEMBER


class OpenDiscussion(Struct, frozen=True, kw_only=True):
    """`open`: answers Opened; the run belongs to the server from then on."""

    workspace: str
    mode: Mode
    participants: list[WantedParticipant]
    topic: str = ""
    messages: list[Message] = []
    parameters: Parameters | None = None
    """None: the defaults of each model."""
    options: Options = Options()
    """Wishes of the mode."""
    keep_words: bool = True
    """False: nothing of what was said is kept after the answer."""
    by: str = ""
    idempotency_key: str = ""
    body_hmac: bytes = b""
    run: str = ""
    """The run of a workflow that it is a step of."""
    budget: Decimal | None = None
    """USD that all of its requests together may cost."""


class Estimate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a discussion will take, as things stand; `estimate` (of an OpenDiscussion) answers it
    and opens nothing.
    """

    tokens: int
    """At most: questions and longest answers together."""
    seconds: int | None = None
    """Until the last answer, about; None where something has to be mended before."""
    cost: Cost | None = None
    """At most; None where a price is not known."""


class Opened(Struct, frozen=True, kw_only=True):
    discussion: str
    version: int
    estimate: Estimate | None = None


class CancelDiscussion(Struct, frozen=True, kw_only=True):
    """`cancel`: cancelling twice, or after the end, changes nothing and is no error."""

    workspace: str
    discussion: str
    by: str = ""


class PostMessage(Struct, frozen=True, kw_only=True):
    """`post`: say something into a discussion; one that is over goes on. Answers Done."""

    workspace: str
    discussion: str
    text: str
    by: str = ""
    idempotency_key: str = ""
    body_hmac: bytes = b""


class ConcludeDiscussion(Struct, frozen=True, kw_only=True):
    """`conclude`: no further round; what is being said is still heard. Answers Done."""

    workspace: str
    discussion: str
    by: str = ""


class PickWinner(Struct, frozen=True, kw_only=True):
    """`pick`: the best answer of a comparison. Answers Done."""

    workspace: str
    discussion: str
    turn: str
    by: str = ""


class ForkDiscussion(Struct, frozen=True, kw_only=True):
    """`fork`: ask again what a turn was asked, of another persona or model; answers Opened."""

    workspace: str
    discussion: str
    turn: str
    persona: str | None = None
    """None: the turn's own."""
    model: str | None = None
    """None: the turn's own, or the persona's default where another one is named."""
    text: str = ""
    """Go on from the turn's answer with these words, instead of asking for it anew."""
    by: str = ""
    idempotency_key: str = ""
    body_hmac: bytes = b""


class RetryTurn(Struct, frozen=True, kw_only=True):
    """`retry`: try a turn again that failed or was cancelled, or look at once whether one that is
    parked can go on.
    """

    workspace: str
    discussion: str
    turn: str
    by: str = ""


class GetDiscussion(Struct, frozen=True, kw_only=True):
    """`get`"""

    workspace: str
    discussion: str


class TurnView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    model: str
    state: TurnState
    attempts: int
    """Requests made to the provider."""
    persona: str = ""
    name: str = ""
    color: str = ""
    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = []
    finish_reason: str = ""
    usage: Usage = Usage()
    cost: Cost | None = None
    failure: Failure | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    attempt: str = ""
    """The one that runs now or spoke last."""
    notes: list[str] = []
    """What was asked for and left out, each a sentence that says why."""
    price: Price | None = None
    """What the model cost when it was chosen."""
    reason: str = ""
    """Why it waits, or waited last, as TurnWaiting has it."""
    not_before: datetime | None = None
    """Nothing is, or was, sent until then."""
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    role: Role = Role.MEMBER
    participant: int = 0
    labels: dict[str, str] = {}
    """Letter → turn that it saw under that letter."""
    overdue: bool = False
    """It came, or comes, too late to be counted."""


class Post(Struct, frozen=True, kw_only=True):
    """What a person said into a discussion."""

    id: str
    at: datetime
    text: str
    by: str = ""
    after: str = ""
    """The last turn that had begun before it; empty if none had."""


class DiscussionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    state: DiscussionState
    mode: Mode
    title: str
    topic: str
    created_at: datetime
    updated_at: datetime
    version: int
    participants: list[Participant]
    turns: list[TurnView]
    options: Options = Options()
    posts: list[Post] = []
    picked: str = ""
    """The turn that somebody picked as the best."""
    stopped_by: str = ""
    """The rule that ended the rounds, as StopDecided has it."""
    tally: RoundTallied | None = None
    """The last count of a consensus."""
    conclusion: ConsensusConcluded | None = None
    dissents: list[DissentRecorded] = []
    forked_from: Lineage | None = None


class ListDiscussions(Struct, frozen=True, kw_only=True):
    """`list`: newest first; `cursor` is the id of the last one seen."""

    workspace: str
    state: DiscussionState | None = None
    q: str = ""
    cursor: str = ""
    limit: int = 50


class DiscussionLine(Struct, frozen=True, kw_only=True):
    id: str
    title: str
    state: DiscussionState
    mode: Mode
    created_at: datetime
    updated_at: datetime


class DiscussionList(Struct, frozen=True, kw_only=True):
    items: list[DiscussionLine]
    next_cursor: str = ""


class GetHistory(Struct, frozen=True, kw_only=True):
    """`history`: the discussion's own events after a version, at most `limit`."""

    workspace: str
    discussion: str
    after: int = 0
    limit: int = 500


class HistoryEntry(Struct, frozen=True, kw_only=True):
    version: int
    event: dict[str, Any]
    """The event as it is in the log, words included; its `type` is the tag."""
    name: str


class History(Struct, frozen=True, kw_only=True):
    items: list[HistoryEntry]
    version: int
    """The discussion's newest version."""
    state: DiscussionState
