"""What a run does next, from what has happened in it: pure, so that whoever looks does the same."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.workflow_events import JUDGE
from services.discussion.workflows.aggregate import (
    Candidate,
    Going,
    NotStarted,
    Run,
    Working,
    expected,
    is_ready,
)
from services.discussion.workflows.budgets import Spent, total


@dataclass(frozen=True, slots=True)
class BeginNext:
    """This candidate's discussion is to be opened; or, with `fresh`, the step skipped."""

    step: str
    candidate: int
    fresh: bool
    """Nothing of the step has begun: whether it is to be done at all is asked now."""


@dataclass(frozen=True, slots=True)
class AskJudgeNext:
    """A judge is to be asked to choose among these."""

    step: str
    candidates: tuple[int, ...]


Todo = BeginNext | AskJudgeNext


def todo(state: Run) -> list[Todo]:
    """What can be begun now, in the order of the definition."""
    if not isinstance(state, Going):
        return []
    found: list[Todo] = []
    for step in state.started.definition.steps:
        progress = state.steps.get(step.name)
        if progress is None:
            if is_ready(state, step.name):
                found.append(BeginNext(step.name, 0, fresh=True))
            continue
        if not isinstance(progress.phase, Working):
            continue
        missing = [n for n in range(expected(step)) if n not in progress.candidates]
        found += [BeginNext(step.name, number, fresh=False) for number in missing]
        answers = progress.answered()
        if not missing and len(answers) == expected(step):
            completed = sorted(answer.candidate for answer in answers if answer.completed)
            found.append(AskJudgeNext(step.name, tuple(completed)))
    return found


def open_discussions(state: Run) -> list[str]:
    """Those whose end has not been heard of."""
    return [each.discussion for each in _begun(state) if each.answer is None]


def discussions(state: Run) -> list[str]:
    """All that it has opened, those of its judges among them."""
    return [each.discussion for each in _begun(state)]


def _begun(state: Run) -> list[Candidate]:
    steps = () if isinstance(state, NotStarted) else state.steps.values()
    return [each for step in steps for each in step.candidates.values() if each.discussion]


def spent(state: Run, step: str | None = None) -> Spent:
    """What the run, or one step, has cost; what still runs counts with what is reserved for it."""
    if isinstance(state, NotStarted):
        return Spent()
    return total(
        candidate.reserved
        if candidate.answer is None
        else Spent(candidate.answer.tokens, candidate.answer.cost)
        for name, progress in state.steps.items()
        if step in {None, name}
        for candidate in progress.candidates.values()
    )


def judges(state: Run, discussion: str) -> tuple[str, tuple[int, ...]] | None:
    """The step and the candidates' order, if this is a judge's discussion."""
    if isinstance(state, NotStarted):
        return None
    for name, progress in state.steps.items():
        judge = progress.candidates.get(JUDGE)
        if judge is not None and judge.discussion == discussion:
            order = getattr(progress.phase, "order", ())
            return name, order
    return None
