"""Who chooses among the candidates of a step, and what was chosen."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from contracts.workflow_events import Comparison, GateAnswered, GateAsked, RunEvent, StepAnswered
from services.discussion.workflows import rules
from services.discussion.workflows.aggregate.commands import AskJudge, Choose, Hear
from services.discussion.workflows.aggregate.rejections import (
    NobodyIsAsked,
    NoSuchCandidate,
    NoSuchStep,
    NotReady,
)
from services.discussion.workflows.aggregate.states import (
    Asked,
    Completed,
    Going,
    Judging,
    Over,
    Progress,
    Working,
)


def before_gate(state: Going, step: str) -> Progress:
    """The step, unless somebody is asked already."""
    progress = state.steps.get(step)
    if progress is None or not isinstance(progress.phase, Working):
        raise NotReady(step)
    return progress


def judged(command: AskJudge, state: Going, now: datetime) -> list[RunEvent]:
    before_gate(state, command.step)
    return [
        GateAsked(
            at=now,
            run=state.id,
            step=command.step,
            gate="judge",
            candidates=list(command.order),
            discussion=command.discussion,
            tokens=command.reserved.tokens,
            cost=command.reserved.usd,
        )
    ]


def judgement(heard: Hear, state: Going, step: str, phase: Judging, now: datetime) -> RunEvent:
    among = tuple(sorted(phase.order))
    if heard.completed and heard.choice in among:
        return GateAnswered(
            at=now,
            run=state.id,
            step=step,
            candidate=heard.choice,
            how="judge",
            discussion=heard.discussion,
        )
    reason = "The judge's answer names none of the candidates."
    if not heard.completed:
        reason = f"The judge did not answer. {heard.problem}".strip()
    return ask_person(state, step, among, now, reason=reason)


def ask_person(
    state: Going, step: str, among: tuple[int, ...], now: datetime, *, reason: str = ""
) -> GateAsked:
    return GateAsked(
        at=now, run=state.id, step=step, gate="person", candidates=list(among), reason=reason
    )


def chosen(command: Choose, state: Going | Over, now: datetime) -> list[RunEvent]:
    if command.step not in {step.name for step in state.started.definition.steps}:
        raise NoSuchStep(command.step)
    progress = state.steps.get(command.step)
    if isinstance(state, Over) or progress is None or not isinstance(progress.phase, Asked):
        before = _choice_before(progress)
        if before == command.candidate:
            return []
        raise NobodyIsAsked(command.step, chosen=before)
    if command.candidate not in progress.phase.among:
        raise NoSuchCandidate(command.step, command.candidate, progress.phase.among)
    return [
        GateAnswered(
            at=now,
            run=state.id,
            step=command.step,
            candidate=command.candidate,
            how="person",
            by=command.by,
        )
    ]


def _choice_before(progress: Progress | None) -> int | None:
    if progress is None or not isinstance(progress.phase, Completed):
        return None
    for number, candidate in progress.candidates.items():
        if candidate.discussion == progress.phase.discussion:
            return number
    return None


def through_gate(
    comparison: Comparison,
    state: Going,
    name: str,
    completed: list[StepAnswered],
    now: datetime,
) -> list[RunEvent]:
    match comparison.gate:
        case "rule":
            best = rules.choose(comparison.rule, completed)
            return [
                GateAnswered(at=now, run=state.id, step=name, candidate=best, how=comparison.rule)
            ]
        case "person":
            among = tuple(sorted(answer.candidate for answer in completed))
            return [ask_person(state, name, among, now)]
        case "judge":
            return []  # its discussion is opened next, see process
        case _:
            assert_never(comparison.gate)
