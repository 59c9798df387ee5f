"""A fork: what a turn was asked is asked again, of another persona or model, in a discussion of its
own. Or it goes on from the turn's answer with other words.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.attempts import Message
from contracts.deliberation import WinnerPicked
from contracts.discussion import ForkDiscussion, OpenDiscussion, WantedParticipant
from contracts.discussion_events import (
    DiscussionEvent,
    DiscussionFailed,
    DiscussionOpened,
    DiscussionReopened,
    Participant,
    TurnScheduled,
)
from contracts.failures import Conflict, NotFound
from contracts.modes import Mode, Role
from services.discussion.aggregate import Going, replay, table
from services.discussion.modes import PROCESSES


def wish(facts: Sequence[DiscussionEvent], command: ForkDiscussion) -> OpenDiscussion:
    """The discussion that the fork would be."""
    begun = next(
        (
            at
            for at, fact in enumerate(facts)
            if isinstance(fact, TurnScheduled) and fact.turn == command.turn
        ),
        None,
    )
    if begun is None:
        raise NotFound(
            "There is no such turn in this discussion.",
            next_step="GET /api/v1/discussions/{id} lists its turns.",
        )
    state = replay(facts[: begun + 1])
    assert isinstance(state, Going)
    seen = table(state, facts[begun].at)
    seat = seen.seat(command.turn)
    messages = PROCESSES[seen.opened.mode].messages(seen, seat)
    if command.text.strip():
        messages = [*messages, *_on(facts, command)]
    who = seen.opened.participants[seat.participant]
    keeps = command.persona is None
    if keeps and not command.model and _hidden(facts, seen.opened, who):
        raise Conflict(
            "Names are hidden until the best answer is picked, and a fork would tell this one.",
            next_step="Pick first: POST /api/v1/discussions/{id}/pick. Or name the model that is "
            "to be asked.",
        )
    return OpenDiscussion(
        workspace=command.workspace,
        mode=Mode.SINGLE,
        participants=[
            WantedParticipant(
                persona=(who.persona or None) if keeps else command.persona,
                model=command.model or (who.model if keeps else None),
            )
        ],
        messages=messages,
        parameters=seen.opened.parameters,
        by=command.by,
        idempotency_key=command.idempotency_key,
        body_hmac=command.body_hmac,
    )


def _hidden(facts: Sequence[DiscussionEvent], opened: DiscussionOpened, who: Participant) -> bool:
    """Nobody is told yet who this is: a blind comparison waits for its pick. One that has failed
    has nothing to pick from, and hides nothing.
    """
    blind = opened.mode is Mode.COMPARE and opened.options.blind and who.role is Role.MEMBER
    picked = any(isinstance(fact, WinnerPicked) for fact in facts)
    ends = [fact for fact in facts if isinstance(fact, DiscussionFailed | DiscussionReopened)]
    return blind and not picked and not (ends and isinstance(ends[-1], DiscussionFailed))


def _on(facts: Sequence[DiscussionEvent], command: ForkDiscussion) -> list[Message]:
    """The turn's answer, and what is said to it."""
    whole = replay(facts)
    turn = getattr(whole, "turns", {})[command.turn]
    if not turn.seat.completed:
        raise Conflict(
            "The turn has no whole answer to go on from.",
            next_step="Leave text out: then the turn is asked anew. Or wait until it is complete.",
        )
    return [
        Message(role="assistant", content=turn.seat.text),
        Message(role="user", content=command.text),
    ]
