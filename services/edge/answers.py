"""What is sent back about discussions, field by field as promised: nothing that is known is left
out because it is empty, nothing that is unknown is made up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from contracts.deliberation import (
    ConsensusConcluded,
    DissentRecorded,
    Lineage,
    RoundTallied,
)
from contracts.discussion import (
    DiscussionState,
    DiscussionView,
    Estimate,
    Post,
    TurnState,
    TurnView,
)
from contracts.discussion_events import Participant
from contracts.failures import Evidence, Failure, FailureClass
from contracts.modes import Mode, Options, Purpose, Role
from contracts.prices import Cost, Price
from contracts.stream import Usage, UsageStatus
from services.edge.blind import blind, unnamed


class UsageAnswer(Struct, frozen=True, kw_only=True):
    """Tokens of a turn; `output_tokens` includes the reasoning."""

    input_tokens: int
    output_tokens: int
    status: UsageStatus
    reasoning_tokens: int | UnsetType = UNSET
    cached_tokens: int | UnsetType = UNSET


class FailureAnswer(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Why a turn waits, is parked or has failed, and what can be done about it."""

    class_: FailureClass
    title: str
    detail: str
    next_step: str
    retryable: bool
    not_before: datetime | UnsetType = UNSET
    evidence: Evidence | UnsetType = UNSET


class TurnAnswer(Struct, frozen=True, kw_only=True):
    """What one participant says."""

    id: str
    persona: str
    """Slug; empty where a bare model answers."""
    name: str
    model: str
    state: TurnState
    text: str
    attempts: int
    """Requests made to the provider."""
    usage: UsageAnswer
    notes: list[str]
    """What was asked for and left out, each a sentence that says why."""
    color: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET
    finish_reason: str | UnsetType = UNSET
    cost: Cost | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    """What the model cost when it was chosen."""
    failure: FailureAnswer | UnsetType = UNSET
    first_token_ms: int | UnsetType = UNSET
    duration_ms: int | UnsetType = UNSET
    attempt: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    """Why it waits: a failure class, or what stands against it here, e.g. `rate`."""
    not_before: datetime | UnsetType = UNSET
    """Nothing is sent until then."""
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    role: Role | UnsetType = UNSET
    """Of who speaks: moderator, judge, chair; left out for members."""
    participant: int = 0
    """Of who speaks, among the participants."""
    labels: dict[str, str] | UnsetType = UNSET
    """Letter → turn that it saw under that letter."""
    overdue: bool | UnsetType = UNSET
    """It came, or comes, too late to be counted."""
    tokens_per_second: float | UnsetType = UNSET
    """From the first token to the last."""


class DiscussionAnswer(Struct, frozen=True, kw_only=True):
    """A discussion as it stands."""

    id: str
    state: DiscussionState
    mode: Mode
    title: str
    topic: str
    created_at: datetime
    updated_at: datetime
    version: int
    """Of its last event; the id that a stream goes on from."""
    participants: list[Participant]
    turns: list[TurnAnswer]
    options: Options
    posts: list[Post]
    """What people said into it."""
    picked: str | UnsetType = UNSET
    """The turn that somebody picked as the best."""
    stopped_by: str | UnsetType = UNSET
    """The rule that ended the rounds."""
    tally: RoundTallied | UnsetType = UNSET
    """The last count of a consensus."""
    conclusion: ConsensusConcluded | UnsetType = UNSET
    dissents: list[DissentRecorded] | UnsetType = UNSET
    forked_from: Lineage | UnsetType = UNSET


class EstimateAnswer(Struct, frozen=True, kw_only=True):
    """What a discussion will take, as things stand."""

    tokens: int
    """At most: questions and longest answers together."""
    seconds: int | UnsetType = UNSET
    """Until the last answer, about; left out where something has to be mended before."""
    cost: Cost | UnsetType = UNSET
    """At most; left out where a price is not known."""


class OpenedAnswer(Struct, frozen=True, kw_only=True):
    """The run belongs to the server from here on."""

    id: str
    version: int
    estimate: EstimateAnswer | UnsetType = UNSET


def discussion(view: DiscussionView) -> DiscussionAnswer:
    """The discussion's view as it goes out."""
    if blind(view):
        view = unnamed(view)
    return DiscussionAnswer(
        id=view.id,
        state=view.state,
        mode=view.mode,
        title=view.title,
        topic=view.topic,
        created_at=view.created_at,
        updated_at=view.updated_at,
        version=view.version,
        participants=view.participants,
        turns=[turn(one) for one in view.turns],
        options=view.options,
        posts=view.posts,
        picked=view.picked or UNSET,
        stopped_by=view.stopped_by or UNSET,
        tally=UNSET if view.tally is None else view.tally,
        conclusion=UNSET if view.conclusion is None else view.conclusion,
        dissents=view.dissents or UNSET,
        forked_from=UNSET if view.forked_from is None else view.forked_from,
    )


def turn(view: TurnView) -> TurnAnswer:
    """The turn's view as it goes out."""
    waits = view.state is TurnState.WAITING
    return TurnAnswer(
        id=view.id,
        persona=view.persona,
        name=view.name,
        model=view.model,
        state=view.state,
        text=view.text,
        attempts=view.attempts,
        usage=usage(view.usage),
        notes=view.notes,
        color=view.color or UNSET,
        reasoning=view.reasoning or UNSET,
        tool_calls=view.tool_calls or UNSET,
        finish_reason=view.finish_reason or UNSET,
        cost=UNSET if view.cost is None else view.cost,
        price=UNSET if view.price is None else view.price,
        failure=UNSET if view.failure is None else failure(view.failure),
        first_token_ms=_known(view.first_token_ms),
        duration_ms=_known(view.duration_ms),
        attempt=view.attempt or UNSET,
        reason=(waits and view.reason) or UNSET,
        not_before=view.not_before if waits and view.not_before is not None else UNSET,
        purpose=view.purpose,
        round=view.round,
        role=view.role or UNSET,
        participant=view.participant,
        labels=view.labels or UNSET,
        overdue=view.overdue or UNSET,
        tokens_per_second=_pace(view),
    )


def _pace(view: TurnView) -> float | UnsetType:
    span = (view.duration_ms or 0) - (view.first_token_ms or 0)
    if view.first_token_ms is None or span <= 0 or view.usage.output_tokens < 2:
        return UNSET
    return round((view.usage.output_tokens - 1) * 1_000 / span, 1)


def estimate(told: Estimate) -> EstimateAnswer:
    """The estimate without what is not known."""
    return EstimateAnswer(
        tokens=told.tokens,
        seconds=_known(told.seconds),
        cost=UNSET if told.cost is None else told.cost,
    )


def usage(told: Usage) -> UsageAnswer:
    """The counts, with what kind of counts they are."""
    return UsageAnswer(
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        status=told.status,
        reasoning_tokens=_known(told.reasoning_tokens),
        cached_tokens=_known(told.cached_tokens),
    )


def failure(told: Failure) -> FailureAnswer:
    """The failure without what is not known of it."""
    return FailureAnswer(
        class_=told.class_,
        title=told.title,
        detail=told.detail,
        next_step=told.next_step,
        retryable=told.retryable,
        not_before=UNSET if told.not_before is None else told.not_before,
        evidence=UNSET if told.evidence is None else told.evidence,
    )


def _known(number: int | None) -> int | UnsetType:
    return UNSET if number is None else number
