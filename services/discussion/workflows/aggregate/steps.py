"""A step begins, is refused, and hears how its discussions ended."""

from __future__ import annotations

from datetime import datetime

from contracts.workflow_events import JUDGE, RunEvent, Step, StepAnswered, StepStarted
from services.discussion.workflows.aggregate import gates
from services.discussion.workflows.aggregate.commands import Begin, Hear, Refuse
from services.discussion.workflows.aggregate.rejections import NotReady
from services.discussion.workflows.aggregate.states import (
    Completed,
    Going,
    Judging,
    Skipped,
    Working,
)
from services.discussion.workflows.budgets import Spent


def expected(step: Step) -> int:
    """How many candidates the step has."""
    return len(step.compare_providers.models) if step.compare_providers else 1


def is_ready(state: Going, step: str) -> bool:
    """All that it comes after have ended well."""
    definition = state.started.definition.step(step)
    return all(
        before in state.steps and isinstance(state.steps[before].phase, Completed | Skipped)
        for before in definition.after
    )


def _wanted(state: Going, step: str, candidate: int) -> None:
    progress = state.steps.get(step)
    if progress is None:
        if not is_ready(state, step):
            raise NotReady(step)
    elif not isinstance(progress.phase, Working) or candidate in progress.candidates:
        raise NotReady(step)


def begun(command: Begin, state: Going, now: datetime) -> list[RunEvent]:
    _wanted(state, command.step, command.candidate)
    comparison = state.started.definition.step(command.step).compare_providers
    return [
        StepStarted(
            at=now,
            run=state.id,
            step=command.step,
            discussion=command.discussion,
            candidate=command.candidate,
            model=comparison.models[command.candidate] if comparison else "",
            tokens=command.reserved.tokens,
            cost=command.reserved.usd,
        )
    ]


def refused(command: Refuse, state: Going, now: datetime) -> list[RunEvent]:
    if command.candidate == JUDGE:
        progress = gates.before_gate(state, command.step)
        among = tuple(answer.candidate for answer in progress.completed())
        return [gates.ask_person(state, command.step, among, now, reason=command.problem)]
    _wanted(state, command.step, command.candidate)
    return [
        StepAnswered(
            at=now,
            run=state.id,
            step=command.step,
            candidate=command.candidate,
            completed=False,
            cost=Spent().usd,
            problem=command.problem,
            next_step=command.next_step,
        )
    ]


def heard(command: Hear, state: Going, now: datetime) -> list[RunEvent]:
    for step, progress in state.steps.items():
        for number, candidate in progress.candidates.items():
            if candidate.discussion == command.discussion and candidate.answer is None:
                answered: list[RunEvent] = [_answer(command, state, step, number, now)]
                if number == JUDGE and isinstance(progress.phase, Judging):
                    answered.append(gates.judgement(command, state, step, progress.phase, now))
                return answered
    return []


def _answer(heard: Hear, state: Going, step: str, number: int, now: datetime) -> StepAnswered:
    return StepAnswered(
        at=now,
        run=state.id,
        step=step,
        discussion=heard.discussion,
        candidate=number,
        completed=heard.completed,
        outcome=heard.outcome,
        tokens=heard.spent.tokens,
        cost=heard.spent.usd,
        seconds=heard.seconds,
        characters=heard.characters,
        failed=list(heard.failed),
        problem=heard.problem,
        next_step=heard.next_step,
    )
