"""A discussion as people read it, made from its facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from msgspec.structs import replace

from contracts.deliberation import (
    BallotRejected,
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
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
from contracts.discussion import DiscussionView, Post, TurnState, TurnView
from contracts.discussion_events import (
    ASIDE,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
    DiscussionOpened,
    DiscussionReopened,
    TurnCancelled,
    TurnCompleted,
    TurnFact,
    TurnFailed,
    TurnParked,
    TurnReopened,
    TurnRestarted,
    TurnScheduled,
    TurnWaiting,
)
from contracts.keeping import DiscussionDeleted, DiscussionRenamed
from services.discussion.aggregate import replay
from services.discussion.overview import overview

TITLE = 80
"""Characters of the topic that make its title."""


def title_of(topic: str) -> str:
    """The first line of what was asked, cut at a word."""
    line = " ".join(topic.split())
    if len(line) <= TITLE:
        return line
    return line[: TITLE - 1].rsplit(" ", 1)[0] + "…"


def view(facts: Sequence[DiscussionEvent]) -> DiscussionView:
    """What `GET /api/v1/discussions/{id}` shows; `facts` begin with DiscussionOpened."""
    opened, *later = facts
    assert isinstance(opened, DiscussionOpened)
    turns: dict[str, TurnView] = {}
    told = _Told()
    for fact in later:
        if isinstance(fact, ModeFact):
            _tell(told, fact, turns)
        elif isinstance(fact, DiscussionRenamed):
            told.title = fact.title
        elif isinstance(fact, DiscussionDeleted):
            pass  # nobody is shown it any more
        else:
            _apply(turns, fact, opened)
    return DiscussionView(
        id=opened.discussion,
        state=overview(replay(facts), next(fact for fact in reversed(facts) if not _aside(fact))),
        mode=opened.mode,
        title=told.title or opened.title,
        topic=opened.topic,
        created_at=opened.at,
        updated_at=facts[-1].at,
        version=len(facts),
        participants=opened.participants,
        turns=list(turns.values()),
        options=opened.options,
        posts=told.posts,
        picked=told.picked,
        stopped_by=told.stopped_by,
        tally=told.tally,
        conclusion=told.conclusion,
        dissents=told.dissents,
        forked_from=opened.forked_from,
    )


def _aside(fact: DiscussionEvent) -> bool:
    return isinstance(fact, ASIDE)


@dataclass
class _Told:
    """What is not a turn's own."""

    title: str = ""
    """The one that it was given later."""
    posts: list[Post] = field(default_factory=list[Post])
    picked: str = ""
    stopped_by: str = ""
    tally: RoundTallied | None = None
    conclusion: ConsensusConcluded | None = None
    dissents: list[DissentRecorded] = field(default_factory=list[DissentRecorded])


def _tell(told: _Told, fact: ModeFact, turns: dict[str, TurnView]) -> None:
    match fact:
        case MessagePosted():
            last = next(reversed(turns), "")
            told.posts.append(
                Post(id=fact.message, at=fact.at, text=fact.text, by=fact.posted_by, after=last)
            )
        case TurnOverdue(turn=id):
            turns[id] = replace(turns[id], overdue=True)
        case WinnerPicked(turn=id):
            told.picked = id
        case StopDecided(rule=rule):
            told.stopped_by = rule
        case RoundTallied():
            told.tally = fact
        case DissentRecorded():
            told.dissents.append(fact)
        case ConsensusConcluded():
            told.conclusion = fact
        case (
            PanelSealed()
            | BallotSubmitted()
            | BallotRejected()
            | PositionChanged()
            | PositionKept()
        ):
            pass
        case _:
            assert_never(fact)


def _apply(  # noqa: C901, PLR0912 - one case for each fact
    turns: dict[str, TurnView], fact: TurnFact, opened: DiscussionOpened
) -> None:
    match fact:
        case TurnScheduled(turn=id, participant=index):
            who = opened.participants[index]
            turns[id] = TurnView(
                id=id,
                model=who.model,
                state=TurnState.SCHEDULED,
                attempts=0,
                persona=who.persona,
                name=who.name,
                color=who.color,
                price=who.price,
                purpose=fact.purpose,
                round=fact.round,
                role=who.role,
                participant=index,
                labels=fact.labels,
            )
        case TurnWaiting(turn=id):
            turns[id] = replace(
                turns[id],
                state=TurnState.WAITING,
                failure=fact.failure,
                reason=fact.reason,
                not_before=fact.not_before,
            )
        case TurnParked(turn=id, failure=failure):
            turns[id] = replace(turns[id], state=TurnState.PARKED, failure=failure)
        case AttemptStarted(turn=id, attempt=attempt):
            turns[id] = replace(
                turns[id],
                state=TurnState.RUNNING,
                attempts=turns[id].attempts + 1,
                attempt=attempt,
                failure=None,
                # What stands of the former attempt; without it, its text was withdrawn.
                text=turns[id].text[: fact.from_char],
            )
        case AttemptFailed(turn=id, sent=False):
            turns[id] = replace(turns[id], attempts=turns[id].attempts - 1)
        case AttemptFailed(turn=id) | AttemptCut(turn=id):
            turns[id] = replace(
                turns[id],
                text=fact.text,
                reasoning=fact.reasoning,
                usage=fact.usage,
                cost=fact.cost,
            )
        case TurnReopened(turn=id):
            turns[id] = replace(
                turns[id],
                state=TurnState.SCHEDULED,
                text="",
                reasoning="",
                failure=None,
                overdue=False,
            )
        case TurnRestarted(turn=id):
            turns[id] = replace(turns[id], text="", reasoning="")
        case TurnCompleted(turn=id):
            turns[id] = replace(
                turns[id],
                state=TurnState.COMPLETED,
                model=fact.model,
                text=fact.text,
                reasoning=fact.reasoning,
                tool_calls=fact.tool_calls,
                finish_reason=fact.finish_reason,
                usage=fact.usage,
                cost=fact.cost,
                first_token_ms=fact.first_token_ms,
                duration_ms=fact.duration_ms,
                notes=fact.notes,
                failure=None,
            )
        case TurnFailed(turn=id):
            turns[id] = replace(
                turns[id],
                state=TurnState.FAILED,
                failure=fact.failure,
                text=fact.text,
                reasoning=fact.reasoning,
            )
        case TurnCancelled(turn=id):
            turns[id] = replace(
                turns[id],
                state=TurnState.CANCELLED,
                failure=None,
                text=fact.text or turns[id].text,
                reasoning=fact.reasoning or turns[id].reasoning,
            )
        case (
            DiscussionOpened()
            | DiscussionReopened()
            | DiscussionCompleted()
            | DiscussionFailed()
            | DiscussionCancelled()
        ):
            pass
        case _:
            assert_never(fact)
