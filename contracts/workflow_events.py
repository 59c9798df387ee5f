"""What happens to workflows and their runs: the definition as it was kept, and each run's own log.

A run's steps are discussions, each with a log of its own; here stands only which step each one is,
how it ended and what was decided of it. So nobody's words are kept twice.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

from msgspec import Struct

from contracts.event import Event

# --- A definition ---------------------------------------------------------------------------


class InputField(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What whoever starts a run is asked for."""

    name: str
    required: bool = True
    default: str = ""
    description: str = ""


class Speaker(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A persona, a model, or a persona on a model."""

    persona: str = ""
    model: str = ""
    role: str = ""
    """`moderator` of a debate, `judge` of a comparison, `chair` of a consensus; empty: a member."""


class Budget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be spent at most; None: no bound of this kind."""

    usd: Decimal | None = None
    tokens: int | None = None


JUDGE = -1
"""Stands where a candidate's number would, for the one who judges them."""

Gate = Literal["judge", "rule", "person"]

Rule = Literal["cheapest", "fastest", "longest", "shortest", "first"]


class Comparison(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The step is done once on each model, and the gate chooses which of them goes on."""

    models: list[str]
    gate: Gate
    rule: str = ""
    """A `Rule`, with gate `rule`."""
    judge: Speaker | None = None
    """With gate `judge`."""
    criteria: str = ""
    """What the judge, or the person, is to look at."""


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One discussion of a run."""

    name: str
    mode: str
    prompt: str
    """A template over `inputs` and `steps`."""
    participants: list[Speaker]
    title: str = ""
    after: list[str] = []
    """Steps that end before this one begins."""
    when: str = ""
    """An expression over `inputs` and `steps`; where it is false the step is skipped."""
    budget: Budget | None = None
    options: dict[str, Any] = {}
    compare_providers: Comparison | None = None


class Definition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow, as it was read and found right."""

    slug: str
    title: str
    steps: list[Step]
    description: str = ""
    inputs: list[InputField] = []
    budget: Budget | None = None
    """Of each run, unless its starter says otherwise."""

    def step(self, name: str) -> Step:
        """The step called that, which exists."""
        return next(step for step in self.steps if step.name == name)


# --- Facts of a workflow --------------------------------------------------------------------


class _WorkflowEvent(Event, frozen=True, kw_only=True):
    workflow: str
    workspace: str


class WorkflowDefined(
    _WorkflowEvent, frozen=True, kw_only=True, tag="discussion.workflow_defined.v1"
):
    slug: str
    definition: Definition
    source: str = ""
    """The text that it was read from, comments and all."""
    built_in: bool = False
    by: str = ""


class WorkflowRevised(
    _WorkflowEvent, frozen=True, kw_only=True, tag="discussion.workflow_revised.v1"
):
    version: int
    """From 2."""
    definition: Definition
    source: str = ""
    built_in: bool = False
    by: str = ""


class WorkflowArchived(
    _WorkflowEvent, frozen=True, kw_only=True, tag="discussion.workflow_archived.v1"
):
    by: str = ""


WorkflowEvent = WorkflowDefined | WorkflowRevised | WorkflowArchived

# --- Facts of a run -------------------------------------------------------------------------


class _RunEvent(Event, frozen=True, kw_only=True):
    run: str


class RunStarted(_RunEvent, frozen=True, kw_only=True, tag="discussion.run_started.v1"):
    WORDS: ClassVar[tuple[str, ...]] = ("inputs",)

    workspace: str
    workflow: str
    version: int
    """Of the workflow; the run keeps to it."""
    definition: Definition
    inputs: dict[str, str] = {}
    budget: Budget | None = None
    started_by: str = ""


class KeptStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step that a forked run takes over as it was."""

    step: str
    discussion: str = ""
    """Empty: it was skipped."""


class RunForked(_RunEvent, frozen=True, kw_only=True, tag="discussion.run_forked.v1"):
    """It begins where another run was when `step` had yet to begin."""

    origin: str
    """The run that it was forked from."""
    step: str
    kept: list[KeptStep] = []


class StepStarted(_RunEvent, frozen=True, kw_only=True, tag="discussion.step_started.v1"):
    """Its discussion is opened in the same moment; with several candidates, one fact for each."""

    step: str
    discussion: str
    candidate: int = 0
    model: str = ""
    """With several candidates: which of the models this one is on."""
    tokens: int = 0
    """At most, as estimated: reserved of the budgets until it has ended."""
    cost: Decimal | None = None


class StepAnswered(_RunEvent, frozen=True, kw_only=True, tag="discussion.step_answered.v1"):
    """One of the step's discussions has ended, or could not be opened."""

    step: str
    completed: bool
    discussion: str = ""
    candidate: int = 0
    """`JUDGE`: what the judge has answered."""
    outcome: str = ""
    """In the mode's own word, e.g. `split`."""
    tokens: int = 0
    cost: Decimal | None = None
    """In USD; None: not known."""
    seconds: float = 0.0
    characters: int = 0
    failed: list[str] = []
    """Members that did not make it, by name."""
    problem: str = ""
    """Why it did not complete."""
    next_step: str = ""


class GateAsked(_RunEvent, frozen=True, kw_only=True, tag="discussion.gate_asked.v1"):
    """Candidates are there, and somebody is to choose: a judge, whose discussion this is, or a
    person, for whom the run waits.
    """

    step: str
    gate: str
    candidates: list[int]
    """In the order in which a judge sees them."""
    discussion: str = ""
    reason: str = ""
    """Why a person is asked where a judge was to choose."""
    tokens: int = 0
    """The judge's at most, as estimated."""
    cost: Decimal | None = None


class GateAnswered(_RunEvent, frozen=True, kw_only=True, tag="discussion.gate_answered.v1"):
    step: str
    candidate: int
    how: str
    """`judge`, `person`, a rule's name, or `only`: no other had completed."""
    by: str = ""
    discussion: str = ""
    """The judge's."""


class StepCompleted(_RunEvent, frozen=True, kw_only=True, tag="discussion.step_completed.v1"):
    """What this discussion came to is what the steps after it see."""

    step: str
    discussion: str
    candidate: int = 0


class StepSkipped(_RunEvent, frozen=True, kw_only=True, tag="discussion.step_skipped.v1"):
    """Its `when` was not true."""

    step: str


class StepFailed(_RunEvent, frozen=True, kw_only=True, tag="discussion.step_failed.v1"):
    step: str
    problem: str
    next_step: str = ""


class RunCompleted(_RunEvent, frozen=True, kw_only=True, tag="discussion.run_completed.v1"):
    """Every step has completed or was skipped."""


class RunFailed(_RunEvent, frozen=True, kw_only=True, tag="discussion.run_failed.v1"):
    failed: list[str]
    """Steps that did not make it."""
    unreached: list[str] = []
    """Steps that therefore never began."""


class RunCancelled(_RunEvent, frozen=True, kw_only=True, tag="discussion.run_cancelled.v1"):
    cancelled_by: str = ""


class RunDeleted(_RunEvent, frozen=True, kw_only=True, tag="discussion.run_deleted.v1"):
    """What it was given is gone for good, and so is what its discussions said; what it cost stays.
    Nothing comes after it.
    """

    deleted_by: str = ""


RunEvent = (
    RunStarted
    | RunForked
    | StepStarted
    | StepAnswered
    | GateAsked
    | GateAnswered
    | StepCompleted
    | StepSkipped
    | StepFailed
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunDeleted
)

WORKFLOW_CLASSES: tuple[type[Event], ...] = (
    WorkflowDefined,
    WorkflowRevised,
    WorkflowArchived,
    RunStarted,
    RunForked,
    StepStarted,
    StepAnswered,
    GateAsked,
    GateAnswered,
    StepCompleted,
    StepSkipped,
    StepFailed,
    RunCompleted,
    RunFailed,
    RunCancelled,
    RunDeleted,
)
