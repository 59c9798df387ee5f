"""What may be asked of workflows and their runs, and what is answered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from contracts.prices import Cost
from contracts.workflow_events import Budget, Comparison, Definition, InputField


class RunState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    """A person is to choose."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    CHOOSING = "choosing"
    """A judge reads what the candidates said."""
    WAITING = "waiting"
    """A person is to choose."""
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


# --- Workflows ------------------------------------------------------------------------------


class ListWorkflows(Struct, frozen=True, kw_only=True):
    """`workflows`"""

    workspace: str


class GetWorkflow(Struct, frozen=True, kw_only=True):
    """`get_workflow`: by its slug or its id."""

    workspace: str
    workflow: str


class DefineWorkflow(Struct, frozen=True, kw_only=True):
    """`define_workflow`: Invalid names every fault and its place; Conflict: the slug is taken."""

    workspace: str
    source: str
    by: str = ""
    idempotency_key: str = ""
    body_hmac: bytes = b""


class ReviseWorkflow(Struct, frozen=True, kw_only=True):
    """`revise_workflow`: a new version; runs that have begun keep theirs."""

    workspace: str
    workflow: str
    source: str
    by: str = ""


class ArchiveWorkflow(Struct, frozen=True, kw_only=True):
    """`archive_workflow`: it can be started no more; its runs stay."""

    workspace: str
    workflow: str
    by: str = ""


class WorkflowLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    slug: str
    title: str
    version: int
    updated_at: datetime
    description: str = ""
    inputs: list[InputField] = []
    steps: list[str] = []
    """Their names."""
    built_in: bool = False


class WorkflowList(Struct, frozen=True):
    items: list[WorkflowLine]


class WorkflowView(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    version: int
    built_in: bool
    updated_at: datetime
    definition: Definition
    source: str


# --- Runs -----------------------------------------------------------------------------------


class StartRun(Struct, frozen=True, kw_only=True):
    """`start_run`: answers RunAccepted; the run belongs to the server from then on."""

    workspace: str
    workflow: str
    """Slug or id."""
    inputs: dict[str, str] = {}
    budget: Budget | None = None
    by: str = ""
    idempotency_key: str = ""
    body_hmac: bytes = b""


class RunAccepted(Struct, frozen=True, kw_only=True):
    run: str
    version: int


class ListRuns(Struct, frozen=True, kw_only=True):
    """`runs`: newest first; `cursor` is the id of the last one seen."""

    workspace: str
    workflow: str = ""
    state: RunState | None = None
    cursor: str = ""
    limit: int = 50


class RunLine(Struct, frozen=True, kw_only=True):
    id: str
    workflow: str
    slug: str
    title: str
    state: RunState
    created_at: datetime
    updated_at: datetime


class RunList(Struct, frozen=True, kw_only=True):
    items: list[RunLine]
    next_cursor: str = ""


class GetRun(Struct, frozen=True, kw_only=True):
    """`get_run`"""

    workspace: str
    run: str


class CandidateView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One discussion of a step."""

    candidate: int
    discussion: str
    state: str
    """Of the discussion."""
    model: str
    text: str
    """With several candidates; a single one's text is the step's."""
    tokens: int
    seconds: float
    chosen: bool
    outcome: str = ""
    cost: Cost | None = None
    failed: list[str] = []
    problem: str = ""


class RunGate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    gate: str
    candidates: list[int]
    discussion: str = ""
    """The judge's."""
    reason: str = ""
    how: str = ""
    """Empty: nobody has chosen yet."""
    by: str = ""


class RunStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    state: StepState
    mode: str
    title: str
    after: list[str]
    text: str
    discussion: str
    """The one that goes on."""
    candidates: list[CandidateView]
    outcome: str = ""
    compare_providers: Comparison | None = None
    gate: RunGate | None = None
    kept: bool = False
    """Taken over from the run that this one was forked from."""
    problem: str = ""
    next_step: str = ""


class RunView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    workflow: str
    slug: str
    workflow_version: int
    title: str
    state: RunState
    created_at: datetime
    updated_at: datetime
    version: int
    """Of its last event; the id that a stream goes on from."""
    inputs: dict[str, str]
    steps: list[RunStep]
    tokens: int
    cost: Cost | None = None
    """None: the price of a part is not known."""
    budget: Budget | None = None
    forked_from: str = ""
    forked_at: str = ""


class GetRunHistory(Struct, frozen=True, kw_only=True):
    """`run_history`: the run's own events after a version; answers contracts.discussion.History."""

    workspace: str
    discussion: str
    """The run's id, under the name that `history` has for a log."""
    after: int = 0
    limit: int = 500


class AnswerGate(Struct, frozen=True, kw_only=True):
    """`answer_gate`: a person chooses; the same choice again changes nothing."""

    workspace: str
    run: str
    step: str
    candidate: int | None = None
    model: str = ""
    """The candidate on this model, where no number is given."""
    by: str = ""


class CancelRun(Struct, frozen=True, kw_only=True):
    """`cancel_run`: with the discussions that run; twice, or after the end, changes nothing."""

    workspace: str
    run: str
    by: str = ""


class DeleteRun(Struct, frozen=True, kw_only=True):
    """`delete_run`: its words go, and its discussions; what runs of it is cancelled first. Deleting
    twice changes nothing and is no error. Answers Done.
    """

    workspace: str
    run: str
    by: str = ""


class ForkRun(Struct, frozen=True, kw_only=True):
    """`fork_run`: a new run that keeps what came before `step`; answers RunAccepted."""

    workspace: str
    run: str
    step: str
    inputs: dict[str, str] | None = None
    """None: as they were."""
    by: str = ""
    idempotency_key: str = ""
    body_hmac: bytes = b""
