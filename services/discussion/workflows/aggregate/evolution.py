"""The state after each fact; nothing that was stated is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce
from typing import assert_never

from contracts.workflow_events import (
    JUDGE,
    GateAnswered,
    GateAsked,
    KeptStep,
    RunCancelled,
    RunCompleted,
    RunDeleted,
    RunEvent,
    RunFailed,
    RunForked,
    RunStarted,
    StepAnswered,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from services.discussion.workflows.aggregate.states import (
    Asked,
    Candidate,
    Chosen,
    Completed,
    Failed,
    Going,
    Judging,
    NotStarted,
    Over,
    Phase,
    Progress,
    Run,
    Skipped,
    Working,
)
from services.discussion.workflows.budgets import Spent


def evolve(state: Run, event: RunEvent) -> Run:  # noqa: C901, PLR0912 - one case for each fact
    """The state after one more fact."""
    if isinstance(event, RunStarted):
        return Going(event)
    if isinstance(event, RunDeleted):
        assert isinstance(state, Over), "what runs is cancelled first"
        return replace(state, deleted=True)
    assert isinstance(state, Going), f"{type(event).__name__} in {type(state).__name__}"
    match event:
        case RunForked(kept=kept):
            taken = {one.step: Progress(_kept(one)) for one in kept}
            return replace(state, steps={**state.steps, **taken})
        case StepStarted(step=step, candidate=number, discussion=discussion):
            begun = Candidate(discussion, Spent(event.tokens, event.cost))
            return _with(state, step, Working(), {number: begun})
        case StepAnswered(step=step, candidate=number):
            progress = state.steps.get(step, Progress(Working()))
            before = progress.candidates.get(number, Candidate(event.discussion))
            # It moves to the end: the order of candidates is the order in which they answered.
            others = {n: one for n, one in progress.candidates.items() if n != number}
            answered = {**others, number: replace(before, answer=event)}
            return _with(state, step, progress.phase, answered, anew=True)
        case GateAsked(step=step, gate="judge", candidates=candidates, discussion=discussion):
            judge = Candidate(discussion, Spent(event.tokens, event.cost))
            return _with(state, step, Judging(tuple(candidates)), {JUDGE: judge})
        case GateAsked(step=step, candidates=candidates):
            return _with(state, step, Asked(tuple(candidates)))
        case GateAnswered(step=step, candidate=candidate):
            return _with(state, step, Chosen(candidate))
        case StepCompleted(step=step, discussion=discussion):
            return _with(state, step, Completed(discussion))
        case StepSkipped(step=step):
            return _with(state, step, Skipped())
        case StepFailed(step=step):
            return _with(state, step, Failed())
        case RunCompleted() | RunFailed():
            return Over(state.started, state.steps)
        case RunCancelled():
            return Over(state.started, state.steps, cancelled=True)
        case _:
            assert_never(event)


def _kept(one: KeptStep) -> Phase:
    return Completed(one.discussion) if one.discussion else Skipped()


def _with(
    state: Going,
    step: str,
    phase: Phase,
    candidates: Mapping[int, Candidate] | None = None,
    *,
    anew: bool = False,
) -> Going:
    known = state.steps.get(step)
    before = dict(known.candidates) if known is not None and not anew else {}
    progress = Progress(phase, before | dict(candidates or {}))
    return replace(state, steps={**state.steps, step: progress})


def replay(events: Iterable[RunEvent]) -> Run:
    start: Run = NotStarted()
    return reduce(evolve, events, start)
