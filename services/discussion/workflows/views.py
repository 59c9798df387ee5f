"""A run as people read it, made from its facts and from what its discussions have come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from contracts.prices import Cost
from contracts.workflow_events import (
    JUDGE,
    GateAnswered,
    GateAsked,
    KeptStep,
    RunCancelled,
    RunEvent,
    RunForked,
    RunStarted,
    Step,
    StepAnswered,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from contracts.workflows import CandidateView, RunGate, RunStep, RunView, StepState
from services.discussion.workflows import aggregate, process
from services.discussion.workflows.journal import state_of
from services.discussion.workflows.results import Result

SHOWN = 60_000
SHOWN_TOGETHER = 1_000_000
"""Characters of one text, and of all of them: an answer has to fit into one message of the broker.
The discussion itself shows the whole."""


@dataclass(slots=True)
class _Step:
    state: StepState = StepState.PENDING
    begun: dict[int, StepStarted] = field(default_factory=dict[int, StepStarted])
    answers: dict[int, StepAnswered] = field(default_factory=dict[int, StepAnswered])
    asked: GateAsked | None = None
    judge: str = ""
    chosen: GateAnswered | None = None
    discussion: str = ""
    kept: bool = False
    failed: StepFailed | None = None


def discussions(facts: Sequence[RunEvent]) -> list[str]:
    """Those that the view shows something of."""
    found = [fact.discussion for fact in facts if isinstance(fact, StepStarted | StepCompleted)]
    kept = [one.discussion for f in facts if isinstance(f, RunForked) for one in f.kept]
    return list(dict.fromkeys(one for one in (*found, *kept) if one))


def view(facts: Sequence[RunEvent], results: Mapping[str, Result]) -> RunView:
    """What `GET /api/v1/runs/{id}` shows; `facts` begin with RunStarted."""
    started = facts[0]
    assert isinstance(started, RunStarted)
    steps = {step.name: _Step() for step in started.definition.steps}
    for fact in facts[1:]:
        _apply(steps, fact)
    state = aggregate.replay(facts)
    spent = process.spent(state)
    forked = next((fact for fact in facts if isinstance(fact, RunForked)), None)
    given = {one.name: one.default for one in started.definition.inputs} | started.inputs
    shown = min(SHOWN, SHOWN_TOGETHER // max(1, 2 * len(results)))
    results = {id: replace(one, text=_cut(one.text, shown)) for id, one in results.items()}
    return RunView(
        id=started.run,
        workflow=started.workflow,
        slug=started.definition.slug,
        workflow_version=started.version,
        title=started.definition.title,
        state=state_of(state, facts[-1]),
        created_at=started.at,
        updated_at=facts[-1].at,
        version=len(facts),
        inputs=given,
        steps=[_step(step, steps[step.name], results) for step in started.definition.steps],
        tokens=spent.tokens,
        cost=_cost(spent.usd),
        budget=started.budget or started.definition.budget,
        forked_from=forked.origin if forked else "",
        forked_at=forked.step if forked else "",
    )


def _apply(  # noqa: C901, PLR0912 - one case for each fact
    steps: dict[str, _Step], fact: RunEvent
) -> None:
    match fact:
        case RunForked(kept=kept):
            for one in kept:
                _keep(steps[one.step], one)
        case StepStarted(step=name):
            steps[name].state = StepState.RUNNING
            steps[name].begun[fact.candidate] = fact
        case StepAnswered(step=name):
            steps[name].answers[fact.candidate] = fact
        case GateAsked(step=name):
            steps[name].asked = fact
            steps[name].judge = fact.discussion or steps[name].judge
            waits = fact.gate == "person"
            steps[name].state = StepState.WAITING if waits else StepState.CHOOSING
        case GateAnswered(step=name):
            steps[name].chosen = fact
        case StepCompleted(step=name, discussion=discussion):
            steps[name].state = StepState.COMPLETED
            steps[name].discussion = discussion
        case StepSkipped(step=name):
            steps[name].state = StepState.SKIPPED
        case StepFailed(step=name):
            steps[name].state = StepState.FAILED
            steps[name].failed = fact
        case RunCancelled():
            for step in steps.values():
                if step.state in {StepState.RUNNING, StepState.CHOOSING, StepState.WAITING}:
                    step.state = StepState.CANCELLED
        case _:
            pass


def _keep(step: _Step, one: KeptStep) -> None:
    step.kept = True
    step.discussion = one.discussion
    step.state = StepState.COMPLETED if one.discussion else StepState.SKIPPED


def _step(step: Step, seen: _Step, results: Mapping[str, Result]) -> RunStep:
    result = results.get(seen.discussion)
    numbers = sorted((seen.begun.keys() | seen.answers.keys()) - {JUDGE})
    return RunStep(
        name=step.name,
        state=seen.state,
        mode=step.mode,
        title=step.title,
        after=step.after,
        text=result.text if result else "",
        outcome=result.outcome if result else "",
        discussion=seen.discussion or _only(seen),
        candidates=[_candidate(step, seen, number, results) for number in numbers],
        compare_providers=step.compare_providers,
        gate=_gate(step, seen),
        kept=seen.kept,
        problem=seen.failed.problem if seen.failed else "",
        next_step=seen.failed.next_step if seen.failed else "",
    )


def _only(seen: _Step) -> str:
    """The discussion of a step that has just one, while it runs."""
    return next(iter(seen.begun.values())).discussion if len(seen.begun) == 1 else ""


def _candidate(
    step: Step, seen: _Step, number: int, results: Mapping[str, Result]
) -> CandidateView:
    begun, answer = seen.begun.get(number), seen.answers.get(number)
    discussion = begun.discussion if begun else ""
    result = results.get(discussion)
    models = step.compare_providers.models if step.compare_providers else []
    model = models[number] if number < len(models) else ""
    chosen = bool(discussion) and discussion == seen.discussion
    return CandidateView(
        candidate=number,
        discussion=discussion,
        state=result.state.value if result else "failed",
        model=model or (result.model if result else ""),
        text=result.text if result and models else "",
        outcome=answer.outcome if answer else "",
        tokens=answer.tokens if answer else 0,
        cost=_cost(answer.cost) if answer else None,
        seconds=answer.seconds if answer else 0.0,
        chosen=chosen,
        failed=answer.failed if answer else [],
        problem=answer.problem if answer else "",
    )


def _gate(step: Step, seen: _Step) -> RunGate | None:
    if seen.asked is None and seen.chosen is None:
        return None
    asked, chosen = seen.asked, seen.chosen
    comparison = step.compare_providers
    return RunGate(
        gate=asked.gate if asked else comparison.gate if comparison else "",
        candidates=sorted(asked.candidates) if asked else sorted(seen.begun),
        discussion=seen.judge,
        reason=asked.reason if asked else "",
        how=chosen.how if chosen else "",
        by=chosen.by if chosen else "",
    )


def _cost(usd: Decimal | None) -> Cost | None:
    return None if usd is None else Cost(amount=usd)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} […]"
