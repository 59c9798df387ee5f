"""What may happen in a run: steps begin and end, gates are asked and answered, and it is over.

Pure. Each command also says what follows from it, so that the log never shows a run whose last step
has ended and which goes on. What is to be begun next, `process` says.
"""

from __future__ import annotations

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
from services.discussion.workflows.aggregate.decision import decide
from services.discussion.workflows.aggregate.evolution import evolve, replay
from services.discussion.workflows.aggregate.forking import kept
from services.discussion.workflows.aggregate.rejections import (
    AlreadyStarted,
    NobodyIsAsked,
    NoSuchCandidate,
    NoSuchStep,
    NotReady,
    Rejected,
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
from services.discussion.workflows.aggregate.steps import expected, is_ready

__all__ = [
    "AlreadyStarted",
    "AskJudge",
    "Asked",
    "Begin",
    "Cancel",
    "Candidate",
    "Choose",
    "Chosen",
    "Command",
    "Completed",
    "Delete",
    "Failed",
    "Going",
    "Hear",
    "Judging",
    "NoSuchCandidate",
    "NoSuchStep",
    "NobodyIsAsked",
    "NotReady",
    "NotStarted",
    "Over",
    "Phase",
    "Progress",
    "Refuse",
    "Rejected",
    "Run",
    "Skip",
    "Skipped",
    "Start",
    "Working",
    "decide",
    "evolve",
    "expected",
    "is_ready",
    "kept",
    "replay",
]
