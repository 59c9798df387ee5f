"""What happens in a discussion, as every service may read it; and to the providers it needs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from msgspec import Struct

from contracts.attempts import Message, Parameters
from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DiscussionFact,
    DissentRecorded,
    Lineage,
    MessagePosted,
    ModeFact,
    PanelSealed,
    PositionChanged,
    PositionKept,
    RoundTallied,
    StopDecided,
    TurnOverdue,
    WinnerPicked,
)
from contracts.event import Event, EventFamily
from contracts.failures import Balance, Evidence, Failure, FailureClass
from contracts.keeping import DiscussionDeleted, DiscussionRenamed, KeepingFact
from contracts.modes import Mode, Options, Purpose, Role
from contracts.prices import Cost, Price
from contracts.stream import Usage
from contracts.usage import UsageCorrected, UsageRecorded
from contracts.workflow_events import WORKFLOW_CLASSES


class Participant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who speaks, in the version that this discussion keeps to, and on which model."""

    model: str
    """`provider/model`, resolved."""
    persona: str = ""
    """Slug; empty where a bare model answers."""
    name: str = ""
    version: int = 0
    color: str = ""
    thinks: bool = False
    """The model thinks before it speaks, as the list said that it was chosen from."""
    price: Price | None = None
    """What it cost when it was chosen."""
    role: Role = Role.MEMBER


class DiscussionOpened(DiscussionFact, frozen=True, kw_only=True, tag="discussion.opened.v1"):
    WORDS: ClassVar[tuple[str, ...]] = ("title", "topic", "messages", "instructions")

    workspace: str
    mode: Mode
    participants: list[Participant]
    parameters: Parameters
    title: str = ""
    topic: str = ""
    messages: list[Message] = []
    """Exactly these are sent when given (the OpenAI door); otherwise the topic is."""
    instructions: dict[str, str] = {}
    """Prompt of each persona by slug, as of the version kept to."""
    opened_by: str = ""
    deadline: datetime | None = None
    options: Options = Options()
    forked_from: Lineage | None = None
    run: str = ""
    """The run of a workflow that it is a step of: it spends from that run's budget, too."""
    budget: Decimal | None = None
    """USD that all of its requests together may cost."""
    keep_words: bool = True
    """False: they are deleted once the answer was delivered."""


class TurnScheduled(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_scheduled.v1"):
    turn: str
    participant: int
    """Index into the participants."""
    persona: str
    model: str
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    labels: dict[str, str] = {}
    """Letter → turn whose words it sees under that letter, and not by its speaker's name."""
    posts: int = 0
    """Messages of people that it has heard."""
    about: str = ""
    """The turn that it repairs or revises."""
    overdue_at: datetime | None = None
    """The others wait no longer than that."""


class TurnWaiting(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_waiting.v1"):
    """Nothing is sent until `not_before`; stated when the reason changes."""

    turn: str
    reason: str
    """A failure class (throttled, overloaded, transient, ambiguous, midstream, unknown), or what
    stands against it here: rate, tokens, daily, concurrency, line, breaker, retries, suspect,
    adapter.
    """
    not_before: datetime
    failure: Failure | None = None


class TurnParked(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_parked.v1"):
    """Nothing is sent until something is mended; there is no timer, unless the provider named the
    time itself: `failure.not_before`.
    """

    turn: str
    failure: Failure
    gate: str
    """What must open: `key:<provider>`, `model:<provider>/<model>`, `billing:<provider>`."""


class AttemptStarted(
    DiscussionFact, frozen=True, kw_only=True, tag="discussion.attempt_started.v1"
):
    """The permit is spent and the request is being made: counted, whatever comes of it."""

    turn: str
    attempt: str
    number: int
    provider: str
    model: str
    endpoint: str
    key: str = ""
    key_version: int = 0
    trial: bool = False
    """It goes to see whether a failing provider is back."""
    from_char: int = 0
    """It goes on where the turn's former attempt broke off: so many of its characters stand."""
    prefix_sha256: str = ""
    """Of those characters in UTF-8, hexadecimal."""


class AttemptFailed(
    DiscussionFact,
    frozen=True,
    kw_only=True,
    tag="discussion.attempt_failed.v1",
    rename={"class_": "class"},
):
    """The provider answered with an error, or not at all."""

    WORDS: ClassVar[tuple[str, ...]] = ("text", "reasoning")

    turn: str
    attempt: str
    class_: FailureClass
    evidence: Evidence = Evidence()
    hint: str = ""
    sent: bool = True
    """False: proven that no request was made; it does not count as an attempt."""
    text: str = ""
    reasoning: str = ""
    usage: Usage = Usage()
    cost: Cost | None = None


class AttemptCut(DiscussionFact, frozen=True, kw_only=True, tag="discussion.attempt_cut.v1"):
    """Whoever made the request is gone; what had been heard of the answer is kept."""

    WORDS: ClassVar[tuple[str, ...]] = ("text", "reasoning")

    turn: str
    attempt: str
    reason: str
    text: str = ""
    reasoning: str = ""
    usage: Usage = Usage()
    cost: Cost | None = None


class TurnRestarted(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_restarted.v1"):
    """The text of `attempt` is withdrawn; the turn begins anew."""

    turn: str
    attempt: str


class TurnCompleted(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_completed.v1"):
    """The truth of a turn; what was streamed before was its preview."""

    WORDS: ClassVar[tuple[str, ...]] = ("text", "reasoning", "tool_calls")

    turn: str
    attempt: str
    model: str
    """`provider/model` that really answered."""
    finish_reason: str
    usage: Usage
    cost: Cost | None = None
    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = []
    first_token_ms: int | None = None
    duration_ms: int = 0
    notes: list[str] = []
    """What was asked for and left out, each a sentence that says why."""


class TurnFailed(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_failed.v1"):
    WORDS: ClassVar[tuple[str, ...]] = ("text", "reasoning")

    turn: str
    failure: Failure
    text: str = ""
    """The partial answer, kept."""
    reasoning: str = ""
    partial: bool = False


class TurnCancelled(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_cancelled.v1"):
    WORDS: ClassVar[tuple[str, ...]] = ("text", "reasoning")

    turn: str
    text: str = ""
    """What it had said by then, where somebody cancelled the discussion."""
    reasoning: str = ""


class DiscussionCompleted(DiscussionFact, frozen=True, kw_only=True, tag="discussion.completed.v1"):
    failed: list[str] = []
    """Turns that did not make it; the others did."""


class DiscussionFailed(DiscussionFact, frozen=True, kw_only=True, tag="discussion.failed.v1"):
    """No turn completed."""


class DiscussionCancelled(DiscussionFact, frozen=True, kw_only=True, tag="discussion.cancelled.v1"):
    cancelled_by: str = ""


class TurnReopened(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_reopened.v1"):
    """Somebody wants it tried again: it begins anew, with all its tries."""

    turn: str
    reopened_by: str = ""


class DiscussionReopened(DiscussionFact, frozen=True, kw_only=True, tag="discussion.reopened.v1"):
    """It was over and goes on: there is one end to each run."""

    run: int
    """From 2."""
    reopened_by: str = ""


TurnFact = (
    DiscussionOpened
    | TurnScheduled
    | TurnWaiting
    | TurnParked
    | AttemptStarted
    | AttemptFailed
    | AttemptCut
    | TurnRestarted
    | TurnCompleted
    | TurnFailed
    | TurnCancelled
    | DiscussionCompleted
    | DiscussionFailed
    | DiscussionCancelled
    | TurnReopened
    | DiscussionReopened
)
"""Facts of a discussion and its turns, which are alike in every mode."""

DiscussionEvent = TurnFact | ModeFact | KeepingFact

TERMINAL = (DiscussionCompleted, DiscussionFailed, DiscussionCancelled)
"""Exactly one of these ends a run of a discussion."""

ASIDE = (WinnerPicked, DiscussionRenamed, DiscussionDeleted)
"""These may come after that, and change nothing of how it ended."""

# --- Facts that are not one discussion's ------------------------------------------------------


class ModelCatalogRefreshed(
    Event, frozen=True, kw_only=True, tag="discussion.catalog_refreshed.v1"
):
    workspace: str
    provider: str
    endpoint: str
    models: list[str]


class GateClosed(Event, frozen=True, kw_only=True, tag="discussion.gate_closed.v1"):
    workspace: str
    provider: str
    gate: str
    failure: Failure


class GateOpened(Event, frozen=True, kw_only=True, tag="discussion.gate_opened.v1"):
    workspace: str
    provider: str
    gate: str
    cause: str


class QuotaRestored(Event, frozen=True, kw_only=True, tag="discussion.quota_restored.v1"):
    """An account that had no balance or quota may be asked again: its gate is open."""

    workspace: str
    provider: str
    endpoint: str
    account: str
    cause: str = ""
    balance: Balance | None = None
    """What is left, where the provider tells."""


DISCUSSION_EVENTS: EventFamily[Event] = EventFamily(
    service="discussion",
    classes=(
        DiscussionOpened,
        TurnScheduled,
        TurnWaiting,
        TurnParked,
        AttemptStarted,
        AttemptFailed,
        AttemptCut,
        TurnRestarted,
        TurnCompleted,
        TurnFailed,
        TurnCancelled,
        DiscussionCompleted,
        DiscussionFailed,
        DiscussionCancelled,
        TurnReopened,
        DiscussionReopened,
        MessagePosted,
        TurnOverdue,
        StopDecided,
        WinnerPicked,
        PanelSealed,
        BallotSubmitted,
        BallotRejected,
        RoundTallied,
        PositionChanged,
        PositionKept,
        DissentRecorded,
        ConsensusConcluded,
        DiscussionRenamed,
        DiscussionDeleted,
        ModelCatalogRefreshed,
        GateClosed,
        GateOpened,
        QuotaRestored,
        UsageRecorded,
        UsageCorrected,
        *WORKFLOW_CLASSES,
    ),
)
