"""How a run goes on by itself: a step is done, a gate is passed, all has ended."""

from __future__ import annotations

from datetime import datetime

from contracts.workflow_events import (
    GateAnswered,
    RunCompleted,
    RunEvent,
    RunFailed,
    StepCompleted,
    StepFailed,
)
from services.discussion.workflows import graph
from services.discussion.workflows.aggregate import gates
from services.discussion.workflows.aggregate.states import (
    Chosen,
    Completed,
    Failed,
    Going,
    Progress,
    Run,
    Skipped,
    Working,
)
from services.discussion.workflows.aggregate.steps import expected


def follow_up(state: Run, now: datetime) -> list[RunEvent]:
    if not isinstance(state, Going):
        return []
    for name, progress in state.steps.items():
        match progress.phase:
            case Working() if len(progress.answered()) == expected(
                state.started.definition.step(name)
            ):
                if told := _all_answered(state, name, progress, now):
                    return told
            case Chosen(candidate):
                done = progress.candidates[candidate].discussion
                return [
                    StepCompleted(
                        at=now, run=state.id, step=name, discussion=done, candidate=candidate
                    )
                ]
            case _:
                pass
    return _end(state, now)


def _all_answered(state: Going, name: str, progress: Progress, now: datetime) -> list[RunEvent]:
    run, comparison = state.id, state.started.definition.step(name).compare_providers
    completed = progress.completed()
    if not completed:
        first = min(progress.answered(), key=lambda answer: answer.candidate)
        told = first.problem or "Nobody has answered."
        return [StepFailed(at=now, run=run, step=name, problem=told, next_step=first.next_step)]
    if comparison is None:
        return [StepCompleted(at=now, run=run, step=name, discussion=completed[0].discussion)]
    if len(completed) == 1:
        only = completed[0].candidate
        return [GateAnswered(at=now, run=run, step=name, candidate=only, how="only")]
    return gates.through_gate(comparison, state, name, completed, now)


def _end(state: Going, now: datetime) -> list[RunEvent]:
    names = [step.name for step in state.started.definition.steps]
    phases = {name: progress.phase for name, progress in state.steps.items()}
    failed = [name for name in names if isinstance(phases.get(name), Failed)]
    order = {step.name: step.after for step in state.started.definition.steps}
    unreached = frozenset[str]().union(*(graph.after(order, name) for name in failed))
    settled = (Completed, Skipped, Failed)
    if not all(isinstance(phases.get(name), settled) or name in unreached for name in names):
        return []
    if not failed:
        return [RunCompleted(at=now, run=state.id)]
    left = [name for name in names if name in unreached]
    return [RunFailed(at=now, run=state.id, failed=failed, unreached=left)]
