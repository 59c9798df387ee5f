"""What people see of a run: each step as it stands, never more than fits into one answer."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from contracts.discussion import DiscussionState
from contracts.workflow_events import KeptStep, RunEvent, RunForked, StepFailed
from contracts.workflows import RunState, StepState
from services.discussion.workflows import results, views
from services.discussion.workflows.budgets import Spent
from services.discussion.workflows.results import Result
from tests.unit.test_runs import (
    ALL,
    COMPLETED,
    DIAMOND,
    NOON,
    TWO,
    answered,
    begun,
    compared,
    done,
    gate_answered,
    person_asked,
)


def said(text: str) -> Result:
    return Result(
        state=DiscussionState.COMPLETED,
        text=text,
        outcome="completed",
        turns=(),
        model="kimi/k2",
        failed=(),
        spent=Spent(),
        seconds=1.0,
    )


def test_a_step_that_runs_leads_to_its_discussion() -> None:
    view = views.view([TWO, begun("ideas", "d1")], {"d1": said("Half a")})
    ideas, plan = view.steps
    assert (view.state, ideas.state, plan.state) == (
        RunState.RUNNING,
        StepState.RUNNING,
        StepState.PENDING,
    )
    assert ideas.discussion == "d1"
    assert ideas.text == ""


def test_what_a_step_came_to_is_its_text() -> None:
    facts: list[RunEvent] = [
        TWO,
        begun("ideas", "d1"),
        answered("ideas", "d1", tokens=30, cost=Decimal("0.5")),
        done("ideas", "d1"),
    ]
    view = views.view(facts, {"d1": said("Assam.")})
    assert (view.steps[0].text, view.tokens) == ("Assam.", 30)
    assert view.cost is not None
    assert view.cost.amount == Decimal("0.5")
    assert view.version == 4


def test_candidates_stand_side_by_side_and_wait_for_a_person() -> None:
    facts: list[RunEvent] = [*compared("person"), *ALL, person_asked("draft", 0, 1, 2)]
    texts = {f"d{n}": said(f"Text {n}.") for n in range(3)}
    view = views.view(facts, texts)
    (draft,) = view.steps
    assert (view.state, draft.state) == (RunState.WAITING, StepState.WAITING)
    assert [one.text for one in draft.candidates] == ["Text 0.", "Text 1.", "Text 2."]
    assert [one.model for one in draft.candidates] == ["kimi/k2", "openai/gpt-5", "local/small"]

    chosen = [*facts, gate_answered("draft", 1, "person"), done("draft", "d1", 1), COMPLETED]
    (draft,) = views.view(chosen, texts).steps
    assert draft.text == "Text 1."
    assert [one.chosen for one in draft.candidates] == [False, True, False]


def test_a_failed_step_says_why() -> None:
    failed = StepFailed(at=NOON, run="r", step="ideas", problem="Lost.", next_step="Fork it.")
    facts = [TWO, begun("ideas", "d1"), answered("ideas", "d1", completed=False), failed]
    step = views.view(facts, {}).steps[0]
    assert (step.state, step.problem, step.next_step) == (StepState.FAILED, "Lost.", "Fork it.")


def test_a_fork_shows_what_it_kept() -> None:
    kept = [KeptStep(step="a", discussion="d-a"), KeptStep(step="c")]
    forked = RunForked(at=NOON, run="r", origin="r0", step="b", kept=kept)
    assert views.discussions([DIAMOND, forked]) == ["d-a"]
    view = views.view([DIAMOND, forked], {"d-a": said("Kept.")})
    assert (view.forked_from, view.forked_at) == ("r0", "b")
    assert [(s.state.value, s.kept, s.text) for s in view.steps[:3:2]] == [
        ("completed", True, "Kept."),
        ("skipped", True, ""),
    ]


def test_a_deleted_discussion_leaves_the_run_readable() -> None:
    facts: list[RunEvent] = [
        TWO,
        begun("ideas", "d1"),
        answered("ideas", "d1"),
        done("ideas", "d1"),
    ]
    assert views.view(facts, {"d1": results.result([])}).steps[0].text == ""
    assert views.view(facts, {}).steps[0].text == ""


def test_however_much_was_said_it_fits_into_one_answer() -> None:
    facts: list[RunEvent] = [*compared("person"), *ALL, person_asked("draft", 0, 1, 2)]
    texts = {f"d{n}": said("\x00" * 2_000_000) for n in range(3)}
    assert len(msgspec.json.encode(views.view(facts, texts))) < 7_000_000
