"""What a run that begins anew at a step takes over from the one before."""

from __future__ import annotations

from contracts.workflow_events import KeptStep
from services.discussion.workflows import graph
from services.discussion.workflows.aggregate.rejections import NoSuchStep
from services.discussion.workflows.aggregate.states import Completed, NotStarted, Run, Skipped


def kept(state: Run, step: str) -> list[KeptStep]:
    """What a run that is forked at `step` takes over: all that has ended well and does not come
    after it.
    """
    if isinstance(state, NotStarted) or step not in {
        one.name for one in state.started.definition.steps
    }:
        raise NoSuchStep(step)
    order = {one.name: one.after for one in state.started.definition.steps}
    anew = {step} | graph.after(order, step)
    found: list[KeptStep] = []
    for name, progress in state.steps.items():
        if name in anew:
            continue
        match progress.phase:
            case Completed(discussion):
                found.append(KeptStep(step=name, discussion=discussion))
            case Skipped():
                found.append(KeptStep(step=name))
            case _:
                pass
    return found
