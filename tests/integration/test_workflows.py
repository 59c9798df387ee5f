"""Workflows on a true database and broker: runs go on by themselves, wait for people, and end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import pytest_asyncio

from contracts.attempts import RunAttempt
from contracts.discussion import DiscussionList, DiscussionState, ListDiscussions
from contracts.failures import Conflict, IdempotencyMismatch, Invalid, NotFound
from contracts.keeping import DeleteDiscussion
from contracts.keys import Done
from contracts.workflow_events import Budget
from contracts.workflows import (
    AnswerGate,
    ArchiveWorkflow,
    CancelRun,
    ForkRun,
    GetRun,
    GetWorkflow,
    ListRuns,
    ListWorkflows,
    ReviseWorkflow,
    RunAccepted,
    RunList,
    RunState,
    RunView,
    StepState,
    WorkflowList,
    WorkflowView,
)
from tests.eventually import eventually
from tests.house import House
from tests.neighbours import Adapter, completed, error
from tests.runs import TEA, define, on_kimi, reaches, seen, sensible, start, story

COMPARED = """\
slug: compared
title: Compared
steps:
  - name: draft
    personas: [riley-engstrom]
    prompt: DRAFT
    compare_providers:
      models: [kimi/kimi-k2.6, kimi/kimi-k3]
      GATE
  - name: polish
    personas: [morgan-castellano]
    after: [draft]
    prompt: "POLISH {{ steps.draft.text }}"
"""


def compared(*gate: str) -> str:
    return COMPARED.replace("GATE", "\n      ".join(gate))


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With a key that works."""
    house.adapter.script = sensible
    await house.kimi_works()
    return house


# --- Runs ------------------------------------------------------------------------------------


async def test_a_run_goes_from_step_to_step(house: House) -> None:
    await define(house, TEA)

    run = await start(house, "tea", {"guest": "Ada"})
    view = await reaches(house, run, RunState.COMPLETED)

    ideas, plan = view.steps
    said = "kimi-k2.6 on <IDEAS for Ada at four>"
    assert ideas.text == f"## Riley Engstrom\n\n{said}\n\n## Morgan Castellano\n\n{said}"
    assert plan.text == f"kimi-k2.6 on <PLAN from: {ideas.text}>"
    assert len(house.adapter.attempts) == 3
    assert view.tokens == 3 * 30
    assert view.cost is not None
    assert await story(house, run) == [
        "RunStarted",
        *["StepStarted", "StepAnswered", "StepCompleted"] * 2,
        "RunCompleted",
    ]
    listed = await house.ask("list", ListDiscussions(workspace="default"), DiscussionList)
    assert [line.title for line in listed.items] == ["Tea: plan", "Tea: ideas"]


async def test_branches_run_at_the_same_time_and_join(house: House) -> None:
    await define(
        house,
        """\
slug: diamond
title: Diamond
steps:
  - {name: a, personas: [riley-engstrom], prompt: A}
  - {name: b, personas: [riley-engstrom], prompt: "B of {{ steps.a.text }}", after: a}
  - {name: c, personas: [riley-engstrom], prompt: "C of {{ steps.a.text }}", after: [a]}
  - {name: d, personas: [riley-engstrom], prompt: "D", after: [b, c],
     when: "steps.b.state == 'completed' and steps.c.text == 'never'"}
""",
    )
    waiting: list[RunAttempt] = []

    async def hold(adapter: Adapter, command: RunAttempt) -> None:
        if str(command.messages[-1].content)[0] in "BC":
            waiting.append(command)
        else:
            await sensible(adapter, command)

    house.adapter.script = hold
    run = await start(house, "diamond")

    async def both() -> bool:
        return len(waiting) == 2

    await eventually(both)
    for command in waiting:
        await sensible(house.adapter, command)
    view = await reaches(house, run, RunState.COMPLETED)

    assert [step.state for step in view.steps] == [
        StepState.COMPLETED,
        StepState.COMPLETED,
        StepState.COMPLETED,
        StepState.SKIPPED,
    ]
    assert len(house.adapter.attempts) == 3


async def test_a_person_at_a_gate_is_waited_for_and_the_choice_goes_on(house: House) -> None:
    await define(house, compared("gate: person", "criteria: Which is warmer?"))
    run = await start(house, "compared")
    view = await reaches(house, run, RunState.WAITING)
    draft = view.steps[0]
    assert draft.state is StepState.WAITING
    assert [one.text for one in draft.candidates] == ["kimi-k2.6 on <DRAFT>", "kimi-k3 on <DRAFT>"]

    async def choose(candidate: int, step: str = "draft") -> Done:
        wish = AnswerGate(workspace="default", run=run, step=step, candidate=candidate, by="ada")
        return await house.ask("answer_gate", wish, Done)

    with pytest.raises(Invalid, match="no candidate 7"):
        await choose(7)
    with pytest.raises(NotFound, match="no step"):
        await choose(0, "drafd")
    with pytest.raises(Conflict, match="Nobody is asked"):
        await choose(0, "polish")
    await choose(1)
    await choose(1)
    view = await reaches(house, run, RunState.COMPLETED)

    assert view.steps[1].text == "kimi-k2.6 on <POLISH kimi-k3 on <DRAFT>>"
    assert view.steps[0].gate is not None
    assert (view.steps[0].gate.how, view.steps[0].gate.by) == ("person", "ada")
    assert [one.chosen for one in view.steps[0].candidates] == [False, True]
    with pytest.raises(Conflict, match="Candidate 1 has been chosen"):
        await choose(0)


async def test_a_judge_reads_and_chooses(house: House) -> None:
    await define(house, compared("gate: judge", "judge: kimi/kimi-k2.6"))
    view = await reaches(house, await start(house, "compared"), RunState.COMPLETED)

    gate = view.steps[0].gate
    assert gate is not None
    assert (gate.gate, gate.how) == ("judge", "judge")
    assert gate.discussion
    assert view.steps[0].text == "kimi-k3 on <DRAFT>"
    assert len(house.adapter.attempts) == 4


async def test_a_rule_chooses(house: House) -> None:
    await define(house, compared("gate: rule", "rule: shortest"))
    view = await reaches(house, await start(house, "compared"), RunState.COMPLETED)
    assert view.steps[0].text == "kimi-k3 on <DRAFT>"


async def test_a_judge_that_names_nobody_leaves_it_to_a_person(house: House) -> None:
    async def undecided(adapter: Adapter, command: RunAttempt) -> None:
        asked = str(command.messages[-1].content)
        text = "Both are fine." if "Judge which" in asked else asked
        await adapter.end(completed(command, text))

    house.adapter.script = undecided
    await define(house, compared("gate: judge", "judge: riley-engstrom"))
    run = await start(house, "compared")
    view = await reaches(house, run, RunState.WAITING)
    assert view.steps[0].gate is not None
    assert "names none" in view.steps[0].gate.reason


# --- What goes wrong ---------------------------------------------------------------------------


async def test_a_step_that_fails_names_why_and_a_fork_does_it_again(house: House) -> None:
    await define(house, TEA)

    async def refuses_the_plan(adapter: Adapter, command: RunAttempt) -> None:
        if "PLAN" in str(command.messages[-1].content):
            await adapter.end(error(command, "request", evidence={"status": 400}))
        else:
            await sensible(adapter, command)

    house.adapter.script = refuses_the_plan
    run = await start(house, "tea", {"guest": "Ada"})
    view = await reaches(house, run, RunState.FAILED)
    assert [step.state for step in view.steps] == [StepState.COMPLETED, StepState.FAILED]
    assert view.steps[1].problem
    assert "ork the run" in view.steps[1].next_step

    house.adapter.script = sensible
    fork = ForkRun(workspace="default", run=run, step="plan", by="ada")
    forked = (await house.ask("fork_run", fork, RunAccepted)).run
    again = await reaches(house, forked, RunState.COMPLETED)

    assert again.forked_from == run
    assert again.steps[0].kept
    assert again.steps[0].text == view.steps[0].text
    assert len(house.adapter.attempts) == 4, "two for the ideas, one plan, and that one again"


async def test_a_step_is_not_asked_about_words_that_are_gone(house: House) -> None:
    house.adapter.script = sensible
    await define(house, TEA)
    run = await start(house, "tea", {"guest": "Ada"})
    ideas = (await reaches(house, run, RunState.COMPLETED)).steps[0]
    gone = DeleteDiscussion(workspace="default", discussion=ideas.discussion, by="ada")
    await house.ask("delete", gone, Done)
    asked = len(house.adapter.attempts)

    fork = ForkRun(workspace="default", run=run, step="plan", by="ada")
    forked = (await house.ask("fork_run", fork, RunAccepted)).run
    view = await reaches(house, forked, RunState.FAILED)

    assert view.steps[1].problem == "What `ideas` came to has been deleted."
    assert view.steps[1].next_step == "Fork the run at `ideas` to do it again."
    assert len(house.adapter.attempts) == asked


async def test_who_cannot_be_asked_fails_the_step_with_what_to_do(house: House) -> None:
    await define(house, TEA.replace("morgan-castellano", "nobody-at-all"))
    view = await reaches(house, await start(house, "tea", {"guest": "A"}), RunState.FAILED)
    assert "nobody-at-all" in view.steps[0].problem
    assert view.steps[0].next_step
    assert view.steps[1].state is StepState.PENDING
    assert house.adapter.attempts == []


async def test_what_does_not_fit_the_budget_is_not_asked(house: House) -> None:
    await define(house, TEA)
    run = await start(house, "tea", {"guest": "Ada"}, budget=Budget(tokens=100))
    view = await reaches(house, run, RunState.FAILED)
    assert "100" in view.steps[0].problem
    assert house.adapter.attempts == []


async def under_way(house: House) -> str:
    """A run whose first step has been asked and does not come to an end."""

    async def says_little(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.say(command, "Well")

    async def asked() -> bool:
        return bool(house.adapter.attempts)

    house.adapter.script = says_little
    await define(house, TEA)
    run = await start(house, "tea", {"guest": "Ada"})
    await eventually(asked)
    return run


async def test_a_cancelled_run_takes_its_discussions_along(house: House) -> None:
    run = await under_way(house)
    for _ in range(2):
        await house.ask("cancel_run", CancelRun(workspace="default", run=run, by="ada"), Done)
    view = await reaches(house, run, RunState.CANCELLED)
    await house.reaches(view.steps[0].discussion, DiscussionState.CANCELLED)
    assert (await story(house, run))[-1] == "RunCancelled"


async def test_a_step_whose_discussion_is_deleted_fails_and_its_run_ends(house: House) -> None:
    run = await under_way(house)
    (ideas, _) = (await seen(house, run)).steps
    gone = DeleteDiscussion(workspace="default", discussion=ideas.discussion, by="ada")
    await house.ask("delete", gone, Done)

    view = await reaches(house, run, RunState.FAILED)
    assert view.steps[0].problem == "Its discussion has been deleted."


# --- Definitions -------------------------------------------------------------------------------


async def test_a_workflow_is_defined_revised_and_put_away(house: House) -> None:
    made = await define(house, TEA, by="ada")
    assert (made.slug, made.version, made.built_in) == ("tea", 1, False)
    with pytest.raises(Conflict, match="already"):
        await define(house, TEA)

    revise = ReviseWorkflow(
        workspace="default", workflow="tea", source=on_kimi(TEA.replace("title: Tea", "title: Té"))
    )
    revised = await house.ask("revise_workflow", revise, WorkflowView)
    again = await house.ask("revise_workflow", revise, WorkflowView)
    assert (revised.version, again.version, revised.definition.title) == (2, 2, "Té")
    assert revised.id == made.id

    await house.ask("archive_workflow", ArchiveWorkflow(workspace="default", workflow="tea"), Done)
    with pytest.raises(NotFound):
        await house.ask(
            "get_workflow", GetWorkflow(workspace="default", workflow="tea"), WorkflowView
        )
    assert (await define(house, TEA)).version == 3


async def test_all_faults_come_back_with_their_places(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        await define(house, TEA.replace("guest\n", "guesst\n").replace("ideas.text", "idea.text"))
    errors = refused.value.problem.errors
    assert [(one["line"], one["column"]) for one in errors] == [("9", "34"), ("13", "34")]


async def test_inputs_are_checked_before_anything_begins(house: House) -> None:
    await define(house, TEA)
    with pytest.raises(Invalid) as refused:
        await start(house, "tea", {"gast": "Ada"})
    assert [one["field"] for one in refused.value.problem.errors] == ["inputs.guest", "inputs.gast"]
    with pytest.raises(NotFound) as unknown:
        await start(house, "tee")
    assert unknown.value.problem.nearest[0] == "tea"


async def test_a_start_that_comes_twice_is_one_run(house: House) -> None:
    await define(house, TEA)
    more: dict[str, Any] = {"idempotency_key": "k", "body_hmac": b"x"}
    once = await start(house, "tea", {"guest": "Ada"}, **more)
    assert await start(house, "tea", {"guest": "Ada"}, **more) == once
    with pytest.raises(IdempotencyMismatch):
        await start(house, "tea", {"guest": "Bob"}, **(more | {"body_hmac": b"y"}))
    await reaches(house, once, RunState.COMPLETED)
    listed = await house.ask("runs", ListRuns(workspace="default", workflow="tea"), RunList)
    assert [line.id for line in listed.items] == [once]


async def test_another_workspace_sees_nothing(house: House) -> None:
    await define(house, TEA)
    run = await start(house, "tea", {"guest": "Ada"})
    with pytest.raises(NotFound):
        await house.ask("get_run", GetRun(workspace="other", run=run), RunView)
    with pytest.raises(NotFound):
        await house.ask(
            "get_workflow", GetWorkflow(workspace="other", workflow="tea"), WorkflowView
        )
    runs = await house.ask("runs", ListRuns(workspace="other"), RunList)
    assert runs.items == []


async def test_the_built_in_workflows_are_there(house: House) -> None:
    listed = await house.ask("workflows", ListWorkflows(workspace="default"), WorkflowList)
    assert all(line.built_in for line in listed.items)
    assert msgspec.json.encode(listed)
