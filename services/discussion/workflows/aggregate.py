"""What may happen in a run: steps begin and end, gates are asked and answered, and it is over.

Pure. Each command also says what follows from it, so that the log never shows a run whose last step
has ended and which goes on. What is to be begun next, `process` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from typing import assert_never

from contracts.workflow_events import (
    JUDGE,
    Comparison,
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
    Step,
    StepAnswered,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from services.discussion.workflows import graph, rules
from services.discussion.workflows.budgets import Spent

# --- Commands -------------------------------------------------------------------------------


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

# --- State: only what a decision needs ------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class NotStarted: ...


@dataclass(frozen=True, slots=True)
class Going:
    started: RunStarted
    steps: Mapping[str, Progress] = field(default_factory=dict[str, Progress])


@dataclass(frozen=True, slots=True)
class Over:
    started: RunStarted
    steps: Mapping[str, Progress] = field(default_factory=dict[str, Progress])
    cancelled: bool = False
    deleted: bool = False


Run = NotStarted | Going | Over

# --- Rejections -----------------------------------------------------------------------------


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyStarted(Rejected): ...


class NotReady(Rejected):
    """The step has begun already, or waits for another: look again."""

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step} cannot begin now")
        self.step = step


class NoSuchStep(Rejected):
    def __init__(self, step: str) -> None:
        super().__init__(f"there is no step {step}")
        self.step = step


class NobodyIsAsked(Rejected):
    """There is nothing to choose at this step, now."""

    def __init__(self, step: str, *, chosen: int | None) -> None:
        super().__init__(f"nothing is to be chosen at step {step}")
        self.step = step
        self.chosen = chosen


class NoSuchCandidate(Rejected):
    def __init__(self, step: str, candidate: int, among: tuple[int, ...]) -> None:
        super().__init__(f"step {step} has no candidate {candidate} to choose")
        self.step = step
        self.candidate = candidate
        self.among = among


# --- Decide ---------------------------------------------------------------------------------


def decide(command: Command, state: Run, *, now: datetime) -> list[RunEvent]:
    """The facts that follow from `command`, to the last one; none if it is already so."""
    events = _first(command, state, now)
    if not events:
        return []
    after = reduce(evolve, events, state)
    while more := _follow_up(after, now):
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
            return _begun(command, state, now)
        case Skip(step=step), Going():
            if not is_ready(state, step) or step in state.steps:
                raise NotReady(step)
            return [StepSkipped(at=now, run=_id(state), step=step)]
        case Refuse(), Going():
            return _refused(command, state, now)
        case AskJudge(), Going():
            return _judged(command, state, now)
        case Hear(), Going():
            return _heard(command, state, now)
        case Choose(), Going() | Over():
            return _chosen(command, state, now)
        case Cancel(by), Going():
            return [RunCancelled(at=now, run=_id(state), cancelled_by=by)]
        case Delete(by), Going():
            cancelled = RunCancelled(at=now, run=_id(state), cancelled_by=by)
            return [cancelled, RunDeleted(at=now, run=_id(state), deleted_by=by)]
        case Delete(by), Over(deleted=False):
            return [RunDeleted(at=now, run=state.started.run, deleted_by=by)]
        case (Begin() | Skip() | Refuse() | AskJudge()) as early, _:
            raise NotReady(early.step)
        case Choose(step=step), NotStarted():
            raise NoSuchStep(step)
        case ((Hear() | Cancel() | Delete()), _):
            return []  # it is over: who is late changes nothing


def _id(state: Going) -> str:
    return state.started.run


def expected(step: Step) -> int:
    """How many candidates the step has."""
    return len(step.compare_providers.models) if step.compare_providers else 1


def is_ready(state: Going, step: str) -> bool:
    """All that it comes after have ended well."""
    definition = state.started.definition.step(step)
    return all(
        before in state.steps and isinstance(state.steps[before].phase, Completed | Skipped)
        for before in definition.after
    )


def _wanted(state: Going, step: str, candidate: int) -> None:
    progress = state.steps.get(step)
    if progress is None:
        if not is_ready(state, step):
            raise NotReady(step)
    elif not isinstance(progress.phase, Working) or candidate in progress.candidates:
        raise NotReady(step)


def _begun(command: Begin, state: Going, now: datetime) -> list[RunEvent]:
    _wanted(state, command.step, command.candidate)
    comparison = state.started.definition.step(command.step).compare_providers
    return [
        StepStarted(
            at=now,
            run=_id(state),
            step=command.step,
            discussion=command.discussion,
            candidate=command.candidate,
            model=comparison.models[command.candidate] if comparison else "",
            tokens=command.reserved.tokens,
            cost=command.reserved.usd,
        )
    ]


def _refused(command: Refuse, state: Going, now: datetime) -> list[RunEvent]:
    if command.candidate == JUDGE:
        among = tuple(answer.candidate for answer in _completed(state.steps[command.step]))
        return [_ask_person(state, command.step, among, now, reason=command.problem)]
    _wanted(state, command.step, command.candidate)
    return [
        StepAnswered(
            at=now,
            run=_id(state),
            step=command.step,
            candidate=command.candidate,
            completed=False,
            cost=Spent().usd,
            problem=command.problem,
            next_step=command.next_step,
        )
    ]


def _judged(command: AskJudge, state: Going, now: datetime) -> list[RunEvent]:
    progress = state.steps.get(command.step)
    if progress is None or not isinstance(progress.phase, Working):
        raise NotReady(command.step)
    return [
        GateAsked(
            at=now,
            run=_id(state),
            step=command.step,
            gate="judge",
            candidates=list(command.order),
            discussion=command.discussion,
            tokens=command.reserved.tokens,
            cost=command.reserved.usd,
        )
    ]


def _heard(heard: Hear, state: Going, now: datetime) -> list[RunEvent]:
    for step, progress in state.steps.items():
        for number, candidate in progress.candidates.items():
            if candidate.discussion == heard.discussion and candidate.answer is None:
                answered: list[RunEvent] = [_answer(heard, state, step, number, now)]
                if number == JUDGE and isinstance(progress.phase, Judging):
                    answered.append(_judgement(heard, state, step, progress.phase, now))
                return answered
    return []


def _answer(heard: Hear, state: Going, step: str, number: int, now: datetime) -> StepAnswered:
    return StepAnswered(
        at=now,
        run=_id(state),
        step=step,
        discussion=heard.discussion,
        candidate=number,
        completed=heard.completed,
        outcome=heard.outcome,
        tokens=heard.spent.tokens,
        cost=heard.spent.usd,
        seconds=heard.seconds,
        characters=heard.characters,
        failed=list(heard.failed),
        problem=heard.problem,
        next_step=heard.next_step,
    )


def _judgement(heard: Hear, state: Going, step: str, phase: Judging, now: datetime) -> RunEvent:
    among = tuple(sorted(phase.order))
    if heard.completed and heard.choice in among:
        return GateAnswered(
            at=now,
            run=_id(state),
            step=step,
            candidate=heard.choice,
            how="judge",
            discussion=heard.discussion,
        )
    reason = "The judge's answer names none of the candidates."
    if not heard.completed:
        reason = f"The judge did not answer. {heard.problem}".strip()
    return _ask_person(state, step, among, now, reason=reason)


def _ask_person(
    state: Going, step: str, among: tuple[int, ...], now: datetime, *, reason: str = ""
) -> GateAsked:
    return GateAsked(
        at=now, run=_id(state), step=step, gate="person", candidates=list(among), reason=reason
    )


def _chosen(command: Choose, state: Going | Over, now: datetime) -> list[RunEvent]:
    if command.step not in {step.name for step in state.started.definition.steps}:
        raise NoSuchStep(command.step)
    progress = state.steps.get(command.step)
    if isinstance(state, Over) or progress is None or not isinstance(progress.phase, Asked):
        before = _choice_before(progress)
        if before == command.candidate:
            return []
        raise NobodyIsAsked(command.step, chosen=before)
    if command.candidate not in progress.phase.among:
        raise NoSuchCandidate(command.step, command.candidate, progress.phase.among)
    return [
        GateAnswered(
            at=now,
            run=_id(state),
            step=command.step,
            candidate=command.candidate,
            how="person",
            by=command.by,
        )
    ]


def _choice_before(progress: Progress | None) -> int | None:
    if progress is None or not isinstance(progress.phase, Completed):
        return None
    for number, candidate in progress.candidates.items():
        if candidate.discussion == progress.phase.discussion:
            return number
    return None


# --- What follows ---------------------------------------------------------------------------


def _follow_up(state: Run, now: datetime) -> list[RunEvent]:
    if not isinstance(state, Going):
        return []
    for name, progress in state.steps.items():
        match progress.phase:
            case Working() if len(progress.answered()) == expected(
                state.started.definition.step(name)
            ):
                if told := _all_answered(state, name, progress, now):
                    return told
            case Chosen(candidate):
                done = progress.candidates[candidate].discussion
                return [
                    StepCompleted(
                        at=now, run=_id(state), step=name, discussion=done, candidate=candidate
                    )
                ]
            case _:
                pass
    return _end(state, now)


def _completed(progress: Progress) -> list[StepAnswered]:
    return [answer for answer in progress.answered() if answer.completed]


def _all_answered(state: Going, name: str, progress: Progress, now: datetime) -> list[RunEvent]:
    run, comparison = _id(state), state.started.definition.step(name).compare_providers
    completed = _completed(progress)
    if not completed:
        first = min(progress.answered(), key=lambda answer: answer.candidate)
        told = first.problem or "Nobody has answered."
        return [StepFailed(at=now, run=run, step=name, problem=told, next_step=first.next_step)]
    if comparison is None:
        return [StepCompleted(at=now, run=run, step=name, discussion=completed[0].discussion)]
    if len(completed) == 1:
        only = completed[0].candidate
        return [GateAnswered(at=now, run=run, step=name, candidate=only, how="only")]
    return _through_gate(comparison, state, name, completed, now)


def _through_gate(
    comparison: Comparison,
    state: Going,
    name: str,
    completed: list[StepAnswered],
    now: datetime,
) -> list[RunEvent]:
    match comparison.gate:
        case "rule":
            chosen = rules.choose(comparison.rule, completed)
            return [
                GateAnswered(
                    at=now, run=_id(state), step=name, candidate=chosen, how=comparison.rule
                )
            ]
        case "person":
            among = tuple(sorted(answer.candidate for answer in completed))
            return [_ask_person(state, name, among, now)]
        case "judge":
            return []  # its discussion is opened next, see process
        case _:
            assert_never(comparison.gate)


def _end(state: Going, now: datetime) -> list[RunEvent]:
    names = [step.name for step in state.started.definition.steps]
    phases = {name: progress.phase for name, progress in state.steps.items()}
    failed = [name for name in names if isinstance(phases.get(name), Failed)]
    order = {step.name: step.after for step in state.started.definition.steps}
    unreached = frozenset[str]().union(*(graph.after(order, name) for name in failed))
    settled = (Completed, Skipped, Failed)
    if not all(isinstance(phases.get(name), settled) or name in unreached for name in names):
        return []
    if not failed:
        return [RunCompleted(at=now, run=_id(state))]
    left = [name for name in names if name in unreached]
    return [RunFailed(at=now, run=_id(state), failed=failed, unreached=left)]


# --- Forking --------------------------------------------------------------------------------


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


# --- Evolve ---------------------------------------------------------------------------------


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
