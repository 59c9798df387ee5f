"""What a discussion came to, for the run that it is a step of: its text, its end, its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from contracts.discussion import DiscussionState, DiscussionView, TurnState, TurnView
from contracts.discussion_events import AttemptCut, AttemptFailed, DiscussionEvent, TurnCompleted
from contracts.keeping import DiscussionDeleted
from contracts.modes import Purpose
from services.discussion.views import view
from services.discussion.workflows.budgets import Spent

CANCELLED = "It was cancelled before it had ended."
DELETED = "Its discussion has been deleted."


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A discussion, as far as the steps after it can see it."""

    state: DiscussionState
    text: str
    outcome: str
    turns: tuple[dict[str, Any], ...]
    model: str
    failed: tuple[str, ...]
    spent: Spent
    seconds: float
    problem: str = ""
    next_step: str = ""

    @property
    def deleted(self) -> bool:
        return self.outcome == GONE.outcome


GONE = Result(
    state=DiscussionState.CANCELLED,
    text="",
    outcome="deleted",
    turns=(),
    model="",
    failed=(),
    spent=Spent(),
    seconds=0.0,
    problem=DELETED,
    next_step="Fork the run at this step to do it again.",
)

BALLOTS = frozenset({Purpose.REVIEW, Purpose.REPAIR})
"""Turns that are for counting, not for reading."""

ENDED = frozenset({DiscussionState.COMPLETED, DiscussionState.FAILED, DiscussionState.CANCELLED})


def result(facts: Sequence[DiscussionEvent]) -> Result:
    """What the discussion with these facts has come to; of one that was deleted, what it cost."""
    if not facts or isinstance(facts[-1], DiscussionDeleted):
        return replace(GONE, spent=spent(facts))
    seen = view(facts)
    answered = [
        turn
        for turn in seen.turns
        if turn.state is TurnState.COMPLETED and turn.purpose not in BALLOTS
    ]
    lost = [turn for turn in seen.turns if turn.state in {TurnState.FAILED, TurnState.CANCELLED}]
    problem, next_step = _problem(seen, lost)
    return Result(
        state=seen.state,
        text=_text(seen, answered),
        outcome=seen.conclusion.outcome if seen.conclusion else seen.state.value,
        turns=tuple(
            {
                "name": turn.name or turn.model,
                "persona": turn.persona,
                "model": turn.model,
                "text": turn.text,
            }
            for turn in answered
        ),
        model=answered[-1].model if answered else "",
        failed=tuple(turn.name or turn.model for turn in lost),
        spent=spent(facts),
        seconds=(seen.updated_at - seen.created_at).total_seconds(),
        problem=problem,
        next_step=next_step,
    )


def _text(seen: DiscussionView, answered: Sequence[TurnView]) -> str:
    """What was concluded or picked; else one voice by itself; else all of them under their names,
    in the order in which they spoke.
    """
    if seen.conclusion is not None and seen.conclusion.text:
        return seen.conclusion.text
    if picked := [turn for turn in answered if turn.id == seen.picked]:
        return picked[0].text
    if len(seen.turns) == 1 and answered:
        return answered[0].text
    return "\n\n".join(f"## {turn.name or turn.model}\n\n{turn.text}" for turn in answered)


def _problem(seen: DiscussionView, lost: Sequence[TurnView]) -> tuple[str, str]:
    match seen.state:
        case DiscussionState.CANCELLED:
            return CANCELLED, "Fork the run at this step to do it again."
        case DiscussionState.FAILED:
            failure = next((turn.failure for turn in lost if turn.failure is not None), None)
            if failure is None:
                return "Nobody has answered.", "Fork the run at this step to do it again."
            told = f"{failure.title}. {failure.detail}"
            return told, f"{failure.next_step} Then fork the run at this step.".strip()
        case _:
            return "", ""


def spent(facts: Sequence[DiscussionEvent]) -> Spent:
    """All its requests together, those that failed too.

    A request that failed and of which no price is told counts as free; an answer does not.
    """
    whole = Spent()
    for fact in facts:
        match fact:
            case TurnCompleted(usage=usage, cost=cost):
                amount = cost.amount if cost is not None else None
            case AttemptFailed(usage=usage, cost=cost) | AttemptCut(usage=usage, cost=cost):
                amount = cost.amount if cost is not None else Decimal(0)
            case _:
                continue
        whole += Spent(usage.input_tokens + usage.output_tokens, amount)
    return whole
