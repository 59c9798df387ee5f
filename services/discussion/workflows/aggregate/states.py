"""Where a run stands, as far as a decision needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.workflow_events import JUDGE, RunStarted, StepAnswered
from services.discussion.workflows.budgets import Spent


@dataclass(frozen=True, slots=True)
class Candidate:
    discussion: str
    reserved: Spent = Spent()
    answer: StepAnswered | None = None


@dataclass(frozen=True, slots=True)
class Working:
    """Its candidates are being discussed; all have answered when a judge is to be asked."""


@dataclass(frozen=True, slots=True)
class Judging:
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A person is to choose among these."""

    among: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The gate has been answered."""

    candidate: int


@dataclass(frozen=True, slots=True)
class Completed:
    discussion: str


@dataclass(frozen=True, slots=True)
class Skipped: ...


@dataclass(frozen=True, slots=True)
class Failed: ...


Phase = Working | Judging | Asked | Chosen | Completed | Skipped | Failed


@dataclass(frozen=True, slots=True)
class Progress:
    """A step that has begun."""

    phase: Phase
    candidates: Mapping[int, Candidate] = field(default_factory=dict[int, Candidate])
    """The judge among them, as `JUDGE`."""

    def answered(self) -> list[StepAnswered]:
        """In the order in which they did, the judge not among them."""
        found = (one.answer for number, one in self.candidates.items() if number != JUDGE)
        return [answer for answer in found if answer is not None]

    def completed(self) -> list[StepAnswered]:
        return [answer for answer in self.answered() if answer.completed]


@dataclass(frozen=True, slots=True)
class NotStarted: ...


@dataclass(frozen=True, slots=True)
class Going:
    started: RunStarted
    steps: Mapping[str, Progress] = field(default_factory=dict[str, Progress])

    @property
    def id(self) -> str:
        return self.started.run


@dataclass(frozen=True, slots=True)
class Over:
    started: RunStarted
    steps: Mapping[str, Progress] = field(default_factory=dict[str, Progress])
    cancelled: bool = False
    deleted: bool = False


Run = NotStarted | Going | Over
