"""What happens in a discussion, as every service may read it, and what may be asked of one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal

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
from contracts.endpoints import CustomProvider
from contracts.event import Event, EventFamily
from contracts.failures import Balance, Evidence, Failure, FailureClass
from contracts.keeping import DiscussionDeleted, DiscussionRenamed, KeepingFact
from contracts.modes import Mode, Options, Purpose, Role
from contracts.prices import Cost, Price
from contracts.stream import Usage
from contracts.usage import UsageCorrected, UsageRecorded
from contracts.workflow_events import WORKFLOW_CLASSES


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


# --- Events ---------------------------------------------------------------------------------


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
    turn: str


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

# Facts of discussion that are not one discussion's.


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

# --- What may be asked: parley.cmd.discussion.<verb> ----------------------------------------


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


class ProbeKey(Struct, frozen=True, kw_only=True):
    """`probe` (key_vault): please look at this key; answers contracts.attempts.ProbeResult."""

    workspace: str
    provider: str
    endpoint: str
    key: str
    version: int
    balance: bool = False
    """Ask for the balance, too, where the provider tells it."""
    custom: CustomProvider | None = None
    """What is known of a provider that is not built in: this may come before the fact of it."""


class ListModels(Struct, frozen=True, kw_only=True):
    """`models`: what can be used now."""

    workspace: str


class ModelView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    """`provider/model`"""
    provider: str
    context_window: int | None = None
    price: Price | None = None
    thinks: bool = False
    sees: bool | None = None
    """Takes pictures; None: its list does not say."""
    calls_tools: bool | None = None
    default: bool = False
    """What is used when nobody chose."""
    retired: bool = False
    successor: str = ""
    note: str = ""


class ModelList(Struct, frozen=True):
    items: list[ModelView]


class RefreshModels(Struct, frozen=True, kw_only=True):
    """`refresh`: look at every list of models now; answers CatalogsRefreshed."""

    workspace: str


class CatalogRefreshed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one look at one list has brought."""

    provider: str
    endpoint: str
    key: str = ""
    """Its id; empty for a provider that takes none."""
    models: int | None = None
    """How many are on the list; None: it could not be seen."""
    reason: str = ""
    next_step: str = ""


class CatalogsRefreshed(Struct, frozen=True):
    items: list[CatalogRefreshed]


class ListProviders(Struct, frozen=True, kw_only=True):
    """`providers`: budgets, gates, what waits."""

    workspace: str


class GateView(Struct, frozen=True, kw_only=True):
    gate: str
    closed_at: datetime
    failure: Failure


class BreakerView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider that failed is left in peace until then; then one request goes to see."""

    state: Literal["open", "half-open"]
    until: datetime
    key: str = ""
    """`key:version`, empty for a provider without keys."""
    rests: int = 0
    """Times in a row that it was found to fail still, the first included."""


class AccountView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account at a provider: what it may use, and what it uses."""

    endpoint: str
    account: str
    limits: dict[str, int] = {}
    """In force: as declared, lowered by what was learnt."""
    learnt: dict[str, int] = {}
    """What the provider has named in its refusals."""
    in_flight: int = 0
    in_line: int = 0
    """Turns that wait for this account in line."""
    requests_in_minute: int = 0
    """Made in the last minute; a look at the list of models is one too."""
    tokens_in_minute: int = 0
    """Reserved in the last minute."""
    tokens_in_day: int = 0
    retries_left: float | None = None
    """What is left of the purse that retries are paid from; None: it is full."""
    not_before: datetime | None = None
    """The provider asked for silence until then."""
    breakers: list[BreakerView] = []


class ProviderView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    title: str
    available: bool
    reason: str = ""
    endpoint: str = ""
    models: int = 0
    refreshed_at: datetime | None = None
    limits: dict[str, int] = {}
    in_flight: int = 0
    waiting: int = 0
    parked: int = 0
    not_before: datetime | None = None
    gates: list[GateView] = []
    custom: CustomProvider | None = None
    """The endpoint that it is, if it is not built in."""
    declared: dict[str, int] = {}
    """Limits as declared: set here, by the environment, or assumed."""
    fallback: dict[str, int] = {}
    """What would be declared if nothing had been set here."""
    set_here: bool = False
    """An administrator has set them, and they come before those of the environment."""
    accounts: list[AccountView] = []


class ProviderList(Struct, frozen=True):
    items: list[ProviderView]


class SetLimits(Struct, frozen=True, kw_only=True):
    """`limits`: what an account at this provider may use, from the next request on. What was learnt
    of these limits is forgotten. Answers ProviderView.
    """

    workspace: str
    provider: str
    limits: dict[str, int] | None
    """`rpm`, `tpm`, `tpd`, `concurrency`, each from 1 and each may be left out: no limit. None: as
    declared in the environment, or assumed."""
    by: str = ""
