"""Each command in each state, and all that follows from it."""

from __future__ import annotations

from datetime import datetime
from functools import reduce

from contracts.workflow_events import RunCancelled, RunDeleted, RunEvent, StepSkipped
from services.discussion.workflows.aggregate import gates, steps
from services.discussion.workflows.aggregate.commands import (
    AskJudge,
    Begin,
    Cancel,
    Choose,
    Command,
    Delete,
    Hear,
    Refuse,
    Skip,
    Start,
)
from services.discussion.workflows.aggregate.course import follow_up
from services.discussion.workflows.aggregate.evolution import evolve
from services.discussion.workflows.aggregate.rejections import AlreadyStarted, NoSuchStep, NotReady
from services.discussion.workflows.aggregate.states import Going, NotStarted, Over, Run


def decide(command: Command, state: Run, *, now: datetime) -> list[RunEvent]:
    """The facts that follow from `command`, to the last one; none if it is already so."""
    events = _first(command, state, now)
    if not events:
        return []
    after = reduce(evolve, events, state)
    while more := follow_up(after, now):
        events += more
        after = reduce(evolve, more, after)
    return events


def _first(command: Command, state: Run, now: datetime) -> list[RunEvent]:  # noqa: C901, PLR0912
    match command, state:
        case Start(started, forked), NotStarted():
            return [started] if forked is None else [started, forked]
        case Start(), _:
            raise AlreadyStarted
        case Begin(), Going():
            return steps.begun(command, state, now)
        case Skip(step=step), Going():
            if not steps.is_ready(state, step) or step in state.steps:
                raise NotReady(step)
            return [StepSkipped(at=now, run=state.id, step=step)]
        case Refuse(), Going():
            return steps.refused(command, state, now)
        case AskJudge(), Going():
            return gates.judged(command, state, now)
        case Hear(), Going():
            return steps.heard(command, state, now)
        case Choose(), Going() | Over():
            return gates.chosen(command, state, now)
        case Cancel(by), Going():
            return [RunCancelled(at=now, run=state.id, cancelled_by=by)]
        case Delete(by), Going():
            cancelled = RunCancelled(at=now, run=state.id, cancelled_by=by)
            return [cancelled, RunDeleted(at=now, run=state.id, deleted_by=by)]
        case Delete(by), Over(deleted=False):
            return [RunDeleted(at=now, run=state.started.run, deleted_by=by)]
        case (Begin() | Skip() | Refuse() | AskJudge()) as early, _:
            raise NotReady(early.step)
        case Choose(step=step), NotStarted():
            raise NoSuchStep(step)
        case ((Hear() | Cancel() | Delete()), _):
            return []  # it is over: who is late changes nothing
