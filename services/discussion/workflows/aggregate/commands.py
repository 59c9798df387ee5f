"""What a run may be told to do: by who works on it, by its discussions and by people."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.workflow_events import RunForked, RunStarted
from services.discussion.workflows.budgets import Spent


@dataclass(frozen=True, slots=True)
class Start:
    started: RunStarted
    forked: RunForked | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The discussion of a candidate is opened in the same moment."""

    step: str
    discussion: str
    candidate: int = 0
    reserved: Spent = Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """A candidate, or the judge, cannot be asked at all."""

    step: str
    problem: str
    next_step: str = ""
    candidate: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskJudge:
    """The judge's discussion is opened in the same moment."""

    step: str
    discussion: str
    order: tuple[int, ...]
    reserved: Spent = Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hear:
    """A discussion of the run has ended."""

    discussion: str
    completed: bool
    outcome: str = ""
    spent: Spent = Spent()
    seconds: float = 0.0
    characters: int = 0
    failed: tuple[str, ...] = ()
    problem: str = ""
    next_step: str = ""
    choice: int | None = None
    """What it names, if it is the judge's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose:
    """A person chooses."""

    step: str
    candidate: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    by: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    by: str = ""


Command = Start | Begin | Skip | Refuse | AskJudge | Hear | Choose | Cancel | Delete
